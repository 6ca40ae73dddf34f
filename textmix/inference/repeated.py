"""One method that was trained several times: intervals that speak of the method, not only of these trained models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy.stats import t

from textmix.errors import InputError
from textmix.inference.intervals import Interval, binned_error, check_level, confidence_intervals
from textmix.inference.pairing import align
from textmix.inference.resample import BINNED, Replicates, replicate
from textmix.metrics.examples import FloatArray, Scores, score_examples
from textmix.predictions import Predictions

MEANS = {"accuracy": "correct", "nll": "nll", "brier": "brier", "mean_confidence": "confidence"}
"""Metrics that are means over the examples, and which number of an example they average."""

_CEILINGS = {"nll": inf, "brier": 2.0}


@dataclass(frozen=True)
class Part:
    """A part of a variance: its square root, and its degrees of freedom."""

    error: float
    freedom: float


def between_runs(observed: FloatArray) -> list[Part]:
    """Return what the runs of a method add to the variance of their mean; nothing where there is one run.

    :param observed: the metric of each run (R,).
    """
    if len(observed) < 2:
        return []
    return [Part(float(observed.std(ddof=1)) / sqrt(len(observed)), len(observed) - 1)]


def combined(parts: Sequence[Part]) -> Part:
    """Return the standard error of a sum, and its degrees of freedom (Welch and Satterthwaite).

    Variances add up, and the degrees of freedom are (sum v)^2 / sum v^2 / f.
    """
    variances = [part.error**2 for part in parts]
    total = sum(variances)
    if total == 0:
        return Part(0.0, inf)
    return Part(sqrt(total), total**2 / sum(v**2 / part.freedom for v, part in zip(variances, parts, strict=True)))


def half_width(parts: Sequence[Part], level: float) -> float:
    """Return half the width of Student's interval of a sum whose variance has these parts."""
    total = combined(parts)
    return float(t.isf((1 - level) / 2, total.freedom)) * total.error if total.error > 0 else 0.0


def method_intervals(
    runs: Sequence[Predictions],
    *,
    num_bins: int = 15,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int | np.random.Generator = 0,
) -> Mapping[str, Interval]:
    """Return the mean over the runs of a method of accuracy, nll, brier, mean_confidence, ece, oe, over and under.

    The interval adds the variance over the examples (of each example's mean over the runs; for the binned metrics by a
    bootstrap of the examples, the same for all runs) and the variance between the runs over their number, as
    :func:`textmix.inference.compare` does for a difference; noise is taken off the binned metrics in the bounds that
    :func:`textmix.inference.confidence_intervals` gives. One run has the intervals of that function.

    :param runs: one Predictions a run, on the same examples.
    :raises InputError: no runs, other examples, or fewer than two of them.
    """
    check_level(level)
    if not runs:
        raise InputError("runs: expected at least one, got none.")
    if len(runs) == 1:
        [run] = runs
        return confidence_intervals(
            run.logits, run.labels, num_bins=num_bins, level=level, resamples=resamples, seed=seed
        )
    examples = [score_examples(run.logits, run.labels) for run in align(runs)]
    if len(examples[0].correct) < 2:
        raise InputError("runs: expected at least 2 examples, got 1.")
    replicates = replicate(examples, num_bins, resamples, np.random.default_rng(seed))
    return {name: _mean(examples, name, level) for name in MEANS} | {
        name: _binned(replicates, name, level) for name in BINNED
    }


def _mean(runs: Sequence[Scores], metric: str, level: float) -> Interval:
    values = np.stack([vars(run)[MEANS[metric]].double().numpy() for run in runs])
    of_examples = values.mean(0)
    # Agresti and Coull's two hits and two misses: no mistake in 100 examples is not certainty.
    padded = np.append(of_examples, [1.0, 1.0, 0.0, 0.0]) if metric == "accuracy" else of_examples
    error = Part(float(padded.std(ddof=1)) / sqrt(len(padded)), len(padded) - 1)
    half = half_width([error, *between_runs(values.mean(1))], level)
    mean, center = float(of_examples.mean()), float(padded.mean())
    return Interval(mean, max(center - half, 0.0), min(center + half, _CEILINGS.get(metric, 1.0)))


def _binned(runs: Sequence[Replicates], metric: str, level: float) -> Interval:
    observed = np.array([run.observed(metric) for run in runs])
    resampled = np.mean([run.resampled(metric) for run in runs], axis=0)
    n = int(runs[0].count.sum())
    half = half_width([Part(binned_error(resampled, n, level), n - 1), *between_runs(observed)], level)
    mean = float(observed.mean())
    least, most = (float(np.mean([run.bias(metric, shift=shift) for run in runs])) for shift in (-1.0, 1.0))
    return Interval(mean, min(max(mean - most - half, 0.0), mean), min(max(mean - least + half, mean), 1.0))
