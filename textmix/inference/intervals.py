"""Confidence intervals, each of a kind that suits its metric."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from textmix.errors import InputError
from textmix.inference.resample import BINNED, Replicates, replicate
from textmix.metrics.examples import Array, FloatArray, Mode, score_examples


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


def confidence_intervals(
    logits: Array,
    labels: Array,
    *,
    num_bins: int = 15,
    mode: Mode = "top",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int | np.random.Generator = 0,
) -> dict[str, Interval]:
    """Return the intervals of accuracy, nll, brier, mean_confidence, ece, oe, over and under.

    - accuracy: Wilson (1927).
    - nll, brier, mean_confidence: Student's t for a mean.
    - ece, oe, over, under: noise makes the observed value too large on average, most for a calibrated model, so that
      percentiles of the bootstrap never cover a small true value. The bootstrap gives the standard error; the bias is
      computed bin by bin (folded normal) with every gap a standard error smaller for the lower bound and a standard
      error larger for the upper one, since the true gaps, on which it depends, are known no better.

    A maximum (mce) has no interval worth printing; read it beside its null band.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :param level: probability with which an interval covers. :param resamples: bootstrap resamples.
    :param seed: seed or generator of the resampling.
    :raises InputError: fewer than two examples, a wrong shape, a label that is no class index, logits that are not
        finite, or a level outside (0, 1).

    >>> bounds = confidence_intervals([[2.0, 0.0]] * 90 + [[0.0, 2.0]] * 10, [0] * 100)
    >>> accuracy = bounds["accuracy"]
    >>> accuracy.estimate, round(accuracy.low, 3), round(accuracy.high, 3)
    (0.9, 0.826, 0.945)
    """
    check_level(level)
    examples = score_examples(logits, labels, mode)
    n = len(examples.correct)
    if n < 2:
        raise InputError("logits: expected at least 2 examples for a confidence interval, got 1.")
    hits = int(examples.correct.sum())
    low, high = wilson(hits, n, level)
    intervals = {"accuracy": Interval(hits / n, float(low), float(high))}
    for name, values, ceiling in (
        ("nll", examples.nll, inf),
        ("brier", examples.brier, 2.0),
        ("mean_confidence", examples.confidence, 1.0),
    ):
        intervals[name] = _mean_interval(values.numpy(), level, ceiling)
    [replicates] = replicate([examples], num_bins, resamples, np.random.default_rng(seed))
    return intervals | {name: _binned_interval(replicates, name, level) for name in BINNED}


def wilson(
    successes: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lower and upper bounds of shares (Wilson 1927), for any shape; NaN where n is 0.

    >>> low, high = wilson([0, 5], [10, 10])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 0.237], [0.278, 0.763])
    """
    z = norm.isf((1 - level) / 2)
    count = np.where(np.asarray(n) > 0, n, np.nan)
    share = successes / count
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    # At no hits, or hits alone, rounding would put the share itself outside by a hair.
    return np.clip(center - half, 0, share), np.clip(center + half, share, 1)


def binned_error(resampled: FloatArray, n: int, level: float) -> float:
    """Return the standard error of a binned metric, or of a difference of two, over n examples.

    What the bootstrap finds, and z / n, which is Wilson's where there is no variance: no mistake in 100 examples is not
    certainty.

    :param resampled: the metric or difference of each resample (R,).
    """
    return float(np.hypot(resampled.std(), norm.isf((1 - level) / 2) / n))


def check_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1).

    :raises InputError: it is.
    """
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level}.")


def _mean_interval(values: FloatArray, level: float, ceiling: float) -> Interval:
    n, mean = len(values), float(values.mean())
    half = float(t.isf((1 - level) / 2, n - 1) * values.std(ddof=1)) / sqrt(n)
    return Interval(mean, max(mean - half, 0.0), min(mean + half, ceiling))


def _binned_interval(replicates: Replicates, metric: str, level: float) -> Interval:
    estimate, n = replicates.observed(metric), int(replicates.count.sum())
    z = norm.isf((1 - level) / 2)
    half = float(z * binned_error(replicates.resampled(metric), n, level))
    low = estimate - replicates.bias(metric, shift=1.0) - half
    high = estimate - replicates.bias(metric, shift=-1.0) + half
    return Interval(estimate, min(max(low, 0.0), estimate), min(max(high, estimate), 1.0))
