"""The figures of a sweep, drawn from results.json alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import entr

from textmix.figures import Chart, against_alpha, along, mixed_label_entropy, soft_against_dominant
from textmix.metrics.examples import FloatArray

_ALPHA, _LABELS = "mixup.alpha", "mixup.labels"
_SHOWN = {"nll": "NLL", "accuracy": "accuracy", "ece": "ECE", "oe": "OE"}
_PAIRS = 20_000
"""Pairs whose mixed labels are drawn for their entropy."""

_MOST = 4
"""Methods that one figure can tell apart."""

Entry = Mapping[str, Any]


def charts(rows: Sequence[Entry]) -> Iterator[Chart]:
    """Yield the figures that the methods of one data set, model and size allow.

    Methods that set nothing but mixup.alpha, and the first, make the curve and the entropies; those that set
    mixup.labels besides stand against the one with soft labels and the same alpha.
    """
    curve = {row["alpha"]: row for row in rows if set(row["changes"]) <= {_ALPHA}}
    curve = dict(sorted(curve.items()))
    if len(curve) >= 3:
        yield against_alpha(list(curve), {title: np.array([_interval(row, metric) for row in curve.values()])
                                          for metric, title in _SHOWN.items()})  # fmt: skip
    for row in rows:
        if set(row["changes"]) - {_ALPHA} == {_LABELS} and row["alpha"] in curve:
            yield _labels_chart(row, curve)
    yield from _epochs_chart(rows)
    mixed = {alpha: mixed_entropies(alpha, row["class_shares"]) for alpha, row in curve.items() if alpha > 0}
    if mixed:
        yield mixed_label_entropy(mixed)


def mixed_entropies(alpha: float, class_shares: Sequence[float], seed: int = 0) -> FloatArray:
    """Draw pairs as mixup does and return the entropy of their labels, in nats (P,).

    :param class_shares: of the C classes.
    """
    rng = np.random.default_rng(seed)
    shares = np.asarray(class_shares)
    own, partner = rng.choice(len(shares), size=(2, _PAIRS), p=shares / shares.sum())
    weight = np.where(own == partner, 1.0, rng.beta(alpha, alpha, _PAIRS))
    return np.asarray(entr(weight) + entr(1 - weight), dtype=np.float64)


def size_charts(rows: Sequence[Entry]) -> Iterator[Chart]:
    """Yield the figure of metrics along the size of the training set, from the rows of one data set and model."""
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    if len(sizes) < 2:
        return
    methods = list(dict.fromkeys(row["method"] for row in rows))[:_MOST]
    found = {(row["method"], row["size"]): row for row in rows}
    nothing = [float("nan")] * 3
    panels = {
        title: {
            method: np.array([
                _interval(found[method, size], metric) if (method, size) in found else nothing for size in sizes
            ])
            for method in methods
        }
        for metric, title in _SHOWN.items()
    }  # fmt: skip
    yield along(sizes, panels, "training examples", name="sizes")


def _epochs_chart(rows: Sequence[Entry]) -> Iterator[Chart]:
    """Yield how confidence runs away from accuracy: the first method and, evenly chosen, those with some alpha."""
    mixed = [row for row in rows[1:] if set(row["changes"]) <= {_ALPHA}]
    kept = np.linspace(0, len(mixed) - 1, min(_MOST - 1, len(mixed))).round().astype(int)
    shown = [rows[0], *(mixed[k] for k in kept)]
    epochs = sorted(set.intersection(*({entry["epochs"] for entry in row["epochs"]} for row in shown)) - {0})
    if len(epochs) < 2:
        return
    panels = {
        title: {
            row["method"]: np.array([entry[metric] for entry in row["epochs"] if entry["epochs"] in epochs])
            for row in shown
        }
        for metric, title in {"gap": "confidence - accuracy", "nll": "NLL"}.items()
    }
    yield along([str(epoch) for epoch in epochs], panels, "epochs (validation)", name="epochs")


def _labels_chart(row: Entry, curve: Mapping[float, Entry]) -> Chart:
    alpha = row["alpha"]
    shown = {"no mixup": curve.get(0.0), "soft labels": curve[alpha], f"{row['changes'][_LABELS]} labels": row}
    methods = {
        name: {title: _interval(other, metric) for metric, title in _SHOWN.items()}
        for name, other in shown.items()
        if other is not None
    }
    return soft_against_dominant(methods, name=f"labels-{alpha:g}")


def _interval(row: Entry, metric: str) -> list[float]:
    return [row["means"][metric], *row["intervals"][metric]]
