"""Distributions: confidence in and out of distribution, and the entropy of mixed labels."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from textmix.figures.chart import INK, MUTED, SERIES, WIDTH, Chart, legend_label, look


def confidence_histograms(
    methods: Mapping[str, Mapping[str, npt.NDArray[np.floating]]], bins: int = 20, name: str = "confidence"
) -> Chart:
    """Draw how confident each method is in and out of distribution and on noise.

    :param methods: for each method, the confidences (N,) on each set of examples, in one order for all.
    """
    with look():
        figure = Figure(figsize=(WIDTH, 0.9 + 1.5 * len(methods)), layout="constrained")
        rows = figure.subplots(len(methods), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (method, sets) in zip(rows, methods.items(), strict=True):
            for k, (label, confidence) in enumerate(sets.items()):
                look_of = SERIES[k % len(SERIES)]
                share = np.histogram(confidence, bins, (0, 1))[0] / len(confidence)
                axes.stairs(share, np.linspace(0, 1, bins + 1), color=look_of["color"], ls=look_of["linestyle"],
                            fill=k == 0, alpha=0.35 if k == 0 else 1, lw=1.8, label=legend_label(label))  # fmt: skip
            axes.set(xlim=(0, 1), ylabel="share")
            axes.set_title(method, loc="left")
        rows[-1].set_xlabel("confidence")
        handles, labels = rows[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)))
    means = "; ".join(
        f"{method}: " + ", ".join(f"{label} {values.mean(dtype=np.float64):.2f}" for label, values in sets.items())
        for method, sets in methods.items()
    )
    return Chart(name, figure, "Confidence in and out of distribution", f"Mean confidences. {means}.")


def mixed_label_entropy(
    entropies: Mapping[float, npt.NDArray[np.floating]], bins: int = 24, name: str = "entropy"
) -> Chart:
    """Draw how uncertain the labels are that mixing makes: one row an alpha, entropy in nats across.

    :param entropies: for each alpha, the entropies (N,) of the mixed targets.
    """
    top = max(float(values.max()) for values in entropies.values()) or 1.0
    with look():
        figure = Figure(figsize=(WIDTH, 0.7 + 0.75 * len(entropies)), layout="constrained")
        rows = figure.subplots(len(entropies), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (alpha, values) in zip(rows, sorted(entropies.items()), strict=True):
            share = np.histogram(values, bins, (0, top))[0] / len(values)
            axes.stairs(share, np.linspace(0, top, bins + 1), fill=True, color=SERIES[0]["color"], alpha=0.75)
            axes.axvline(float(values.mean(dtype=np.float64)), color=INK, linewidth=1.2)
            axes.set_ylabel(rf"$\alpha$ = {alpha:g}", parse_math=True, rotation=0, ha="right", va="center")
            axes.set(yticks=[], xlim=(0, top))
            axes.spines["left"].set_color(MUTED)
        rows[-1].set_xlabel("entropy of the mixed label (nats); line: mean")
    means = ", ".join(f"{values.mean(dtype=np.float64):.2f} at alpha {alpha:g}"
                      for alpha, values in sorted(entropies.items()))  # fmt: skip
    return Chart(name, figure, "Entropy of mixed labels", f"Mean entropy in nats: {means}.")
