"""What is measured of a method's predictions, and of how they differ from the first method's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from textmix.inference import Interval, compare, method_intervals, null_band
from textmix.inference.repeated import Part, between_runs, half_width
from textmix.inference.resample import replicate
from textmix.metrics import score_examples
from textmix.metrics.examples import FloatArray
from textmix.ood import fpr95, placements
from textmix.predictions import Predictions
from textmix.report.summary import PAPER_BINS

METRICS = ("accuracy", "nll", "brier", "ece", "oe", "over", "under", "mean_confidence")
"""Metrics that have an interval and are compared; ECE and OE also over the paper's bins."""
_PAPER = {"ece": f"ece_{PAPER_BINS}", "oe": f"oe_{PAPER_BINS}"}
_LEVEL = 0.95
_UNKNOWN = Part(1.0, 1)
"""What one example tells of a mean of shares: nothing."""

Confidences = tuple[Sequence[FloatArray], Sequence[FloatArray]]
"""Each run's confidences on the test set (N,), and on a set outside the classes (M,)."""


@dataclass(frozen=True)
class Statistics:
    """Bins of ECE and OE, and the resamples behind each interval and null band."""

    num_bins: int
    resamples: int


def measure(runs: Sequence[Predictions], first: Sequence[Predictions] | None, statistics: Statistics) -> dict[str, Any]:
    """Return means and intervals of every metric, the differences from the first method, and the null band of ECE.

    `debiased_ece` is ECE less what noise adds on average (folded normal, as in Kumar et al. 2019, arXiv 1909.10155);
    `excess_ece` is ECE less what a perfectly calibrated model with these confidences shows on average.

    :param runs: one Predictions a seed. :param first: those of the first method; None compares with none.
    """
    fine = Statistics(PAPER_BINS, statistics.resamples)
    of_all, of_paper = (method_intervals(runs, **asdict(each)) for each in (statistics, fine))
    intervals = {name: of_all[name] for name in METRICS} | {_PAPER[name]: of_paper[name] for name in _PAPER}
    means = {name: interval.estimate for name, interval in intervals.items()}
    bands = [null_band(run.logits, run.labels, **asdict(statistics))["ece"] for run in runs]
    means["debiased_ece"] = means["ece"] - _noise(runs, statistics)
    means["excess_ece"] = means["ece"] - float(np.mean([band.mean for band in bands]))
    return {
        "means": means,
        "intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()},
        "null_band": {
            "low": float(np.mean([band.low for band in bands])),
            "high": float(np.mean([band.high for band in bands])),
            "inside": [band.low <= band.observed <= band.high for band in bands],
            "p_values": [band.p_value for band in bands],
        },
        "differences": {} if first is None else _differences(runs, first, statistics, fine),
    }


def measure_outside(runs: Confidences, first: Confidences | None) -> dict[str, Any]:
    """Return how well confidence tells a set outside the classes from the test set, and how high it is there.

    :param first: those of the first method; None compares with none.
    """
    inside, outside = runs
    places = [placements(*sides) for sides in zip(inside, outside, strict=True)]
    numbers = {
        "n": len(outside[0]),
        "auroc": _interval(*_stacked(places)),
        "fpr95": float(np.mean([fpr95(*sides) for sides in zip(inside, outside, strict=True)])),
        "mean_confidence": _interval(np.stack(outside)),
        "differences": {},
    }
    if first is not None:
        others = [placements(*sides) for sides in zip(*first, strict=True)]
        numbers["differences"] = {
            "auroc": _difference(_stacked(others), _stacked(places)),
            "mean_confidence": _difference((np.stack(first[1]),), (np.stack(outside),)),
        }
    return numbers


def _noise(runs: Sequence[Predictions], statistics: Statistics) -> float:
    examples = [score_examples(run.logits, run.labels) for run in runs]
    replicates = replicate(examples, statistics.num_bins, statistics.resamples, np.random.default_rng(0))
    return float(np.mean([run.bias("ece") for run in replicates]))


def _differences(
    runs: Sequence[Predictions], first: Sequence[Predictions], statistics: Statistics, fine: Statistics
) -> dict[str, dict[str, float]]:
    found = compare(first, runs, metrics=METRICS, **asdict(statistics)).differences
    paper = compare(first, runs, metrics=tuple(_PAPER), **asdict(fine)).differences
    return {name: asdict(value) for name, value in {**found, **{_PAPER[k]: v for k, v in paper.items()}}.items()}


def _stacked(places: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    return np.stack([inside for inside, _ in places]), np.stack([outside for _, outside in places])


def _interval(*sides: FloatArray) -> dict[str, float]:
    """Return a mean over runs and its interval, from one or more sets of values (R, N) whose means are the same."""
    runs = sides[0].mean(1)
    half = half_width([*_over_examples([side.mean(0) for side in sides]), *between_runs(runs)], _LEVEL)
    mean = float(runs.mean())
    return asdict(Interval(mean, max(mean - half, 0.0), min(mean + half, 1.0)))


def _difference(first: Sequence[FloatArray], other: Sequence[FloatArray]) -> dict[str, float]:
    """Return the difference of two such means, over the same examples, and its interval."""
    paired = [b.mean(0) - a.mean(0) for a, b in zip(first, other, strict=True)]
    parts = [*_over_examples(paired), *between_runs(first[0].mean(1)), *between_runs(other[0].mean(1))]
    half = half_width(parts, _LEVEL)
    mean = float(paired[0].mean())
    return {"difference": mean, "low": max(mean - half, -1.0), "high": min(mean + half, 1.0)}


def _over_examples(values: Sequence[FloatArray]) -> list[Part]:
    return [
        Part(float(side.std(ddof=1)) / np.sqrt(len(side)), len(side) - 1) if len(side) > 1 else _UNKNOWN
        for side in values
    ]
