"""Curves and points with intervals: against alpha, against coverage, soft against dominant labels."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from textmix.figures.chart import INK, SERIES, WIDTH, Chart, legend_label, look

MOST_POINTS = 400
"""Points a curve is drawn with, however many examples it has."""


def against_alpha(
    alphas: Sequence[float], metrics: Mapping[str, npt.NDArray[np.floating]], name: str = "alpha"
) -> Chart:
    """Draw metrics against alpha, one panel a metric, with intervals.

    :param alphas: (A,), 0 for training without mixing. They are spaced evenly, for they are tried as 0, 0.1, 0.4, 1 ...
    :param metrics: for each metric (accuracy, ECE, OE ...) estimates with their intervals, (A, 3): estimate, low, high.
    """
    place = np.arange(len(alphas))
    with look():
        figure = Figure(figsize=(WIDTH, 0.4 + 1.7 * len(metrics)), layout="constrained")
        rows = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (metric, values), style in zip(rows, metrics.items(), _styles(len(metrics)), strict=True):
            estimate, low, high = values.T
            axes.fill_between(place, low, high, color=style["color"], alpha=0.2, linewidth=0)
            axes.plot(place, estimate, **style)
            axes.set_ylabel(metric)
        rows[-1].set_xticks(place, [f"{alpha:g}" for alpha in alphas])
        rows[-1].set_xlabel(r"$\alpha$", parse_math=True)
    ends = "; ".join(f"{metric} {values[0, 0]:.3f} at alpha {alphas[0]:g} and {values[-1, 0]:.3f} at {alphas[-1]:g}"
                     for metric, values in metrics.items())  # fmt: skip
    return Chart(name, figure, f"{', '.join(metrics)} against alpha", f"With 95 % intervals: {ends}.")


def along(
    places: Sequence[str], panels: Mapping[str, Mapping[str, npt.NDArray[np.floating]]], axis: str, name: str = "along"
) -> Chart:
    """Draw several methods along an axis, such as the epochs or the size of the training set, one panel a metric.

    :param places: (P,) what stands at the axis, evenly spaced.
    :param panels: for each metric and each method, estimates with their intervals, (P, 3): estimate, low, high; NaN
        where there is none.
    :param axis: what the axis is called.
    """
    place = np.arange(len(places))
    shown = place[:: -(-len(places) // 9)]
    with look():
        figure = Figure(figsize=(WIDTH, 0.7 + 1.9 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (metric, methods) in zip(rows, panels.items(), strict=True):
            aside = np.linspace(-0.15, 0.15, len(methods)) if len(methods) > 1 else [0.0]
            for (method, values), style, shift in zip(methods.items(), _styles(len(methods)), aside, strict=True):
                estimate, low, high = values.T
                axes.errorbar(place + shift, estimate, yerr=[estimate - low, high - estimate], **style,
                              label=legend_label(method), elinewidth=1, capsize=2)  # fmt: skip
            axes.set_ylabel(metric)
        rows[-1].set_xticks(shown, [places[k] for k in shown])
        rows[-1].set_xlabel(axis)
        handles, labels = rows[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(2, len(labels)))
    curves = {f"{metric}, {method}": values for metric, own in panels.items() for method, values in own.items()}
    ends = "; ".join(f"{title}: {_ends(places, values[:, 0])}" for title, values in curves.items())
    spread = any(np.nanmax(values[:, 2] - values[:, 1], initial=0) > 0 for values in curves.values())
    said = "With 95 % intervals" if spread else "One run each, so without intervals"
    return Chart(name, figure, f"{', '.join(panels)} along {axis}", f"{said}: {ends}.")


def _ends(places: Sequence[str], estimates: npt.NDArray[np.floating]) -> str:
    """Say where a curve begins and ends, as far as there are estimates."""
    known = np.flatnonzero(np.isfinite(estimates))
    if not len(known):
        return "nothing yet"
    first, last = known[0], known[-1]
    return f"{estimates[first]:.3f} at {places[first]} and {estimates[last]:.3f} at {places[last]}"


def risk_coverage(
    curves: Mapping[str, tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]], name: str = "risk-coverage"
) -> Chart:
    """Draw the error among the examples answered against the share answered, the most confident first.

    :param curves: for each method, the shares answered (P,) and the errors among them (P,), as in
        :class:`textmix.ood.RiskCoverage`.
    """
    with look():
        figure = Figure(figsize=(WIDTH, 3), layout="constrained")
        axes = figure.subplots()
        for (label, (coverage, risk)), style in zip(curves.items(), _styles(len(curves)), strict=True):
            kept = np.unique(np.linspace(0, len(coverage) - 1, MOST_POINTS).round().astype(int))
            axes.plot(coverage[kept], risk[kept], color=style["color"], linestyle=style["linestyle"],
                      marker=style["marker"] if len(kept) == 1 else "", clip_on=False,
                      label=legend_label(label))  # fmt: skip
        axes.set(xlabel="coverage (share answered)", ylabel="risk (share wrong)", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        if len(curves) > 1:
            axes.legend()
    said = "; ".join(f"{label}: {_at(coverage, risk, 0.5):.3f} for the most confident half, {risk[-1]:.3f} for all"
                     for label, (coverage, risk) in curves.items())  # fmt: skip
    return Chart(name, figure, "Error against coverage", f"Share wrong. {said}.")


def soft_against_dominant(
    methods: Mapping[str, Mapping[str, Sequence[float]]], name: str = "soft-against-dominant"
) -> Chart:
    """Draw the ablation: what mixing does with soft labels, with dominant labels, and not at all.

    :param methods: for each method, its metrics (accuracy, ECE, OE ...), each estimate, low and high.
    """
    metrics = list(next(iter(methods.values())))
    height = np.arange(len(methods))[::-1]
    with look():
        figure = Figure(figsize=(WIDTH, (0.55 + 0.25 * len(methods)) * len(metrics)), layout="constrained")
        rows = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
        for axes, metric in zip(rows, metrics, strict=True):
            for y, values, style in zip(height, methods.values(), _styles(len(methods)), strict=True):
                estimate, low, high = values[metric]
                axes.errorbar(estimate, y, xerr=[[estimate - low], [high - estimate]], ecolor=INK, capsize=3,
                              color=style["color"], marker=style["marker"], markersize=7)  # fmt: skip
            axes.set_yticks(height, list(methods))
            axes.set(ylim=(-0.6, len(methods) - 0.4), xlabel=metric)
            axes.margins(x=0.1)
    said = "; ".join(f"{method}: " + ", ".join(f"{metric} {values[metric][0]:.3f}" for metric in metrics)
                     for method, values in methods.items())  # fmt: skip
    return Chart(name, figure, "Soft against dominant labels", f"With 95 % intervals. {said}.")


def _styles(count: int) -> list[dict[str, str]]:
    return [SERIES[k % len(SERIES)] for k in range(count)]


def _at(coverage: npt.NDArray[np.floating], risk: npt.NDArray[np.floating], share: float) -> float:
    return float(risk[min(int(np.searchsorted(coverage, share)), len(risk) - 1)])
