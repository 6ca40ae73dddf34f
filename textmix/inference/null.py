"""Is the model calibrated? What a perfectly calibrated one would show by chance, and tests against it."""

from dataclasses import dataclass
from math import copysign, inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from textmix.inference.intervals import check_level
from textmix.metrics.bins import bin_index, binned_statistics, check_bins
from textmix.metrics.examples import Array, FloatArray, Mode, score_examples

_GROUPS = 4096  # neighbours in confidence share one binomial draw above this many examples; a draw each up to it


@dataclass(frozen=True)
class NullBand:
    """What a perfectly calibrated model with these very confidences would show, beside what was observed.

    `mean`, and the `low` and `high` quantiles of the band; `p_value` is the probability of a value at least as large as
    the observed one.
    """

    observed: float
    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class ZTest:
    """A statistic that is standard normal under the null hypothesis, and its two-sided p-value."""

    statistic: float
    p_value: float


def null_band(
    logits: Array,
    labels: Array,
    *,
    num_bins: int = 15,
    mode: Mode = "top",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int | np.random.Generator = 0,
) -> dict[str, NullBand]:
    """Return the null bands of ece, oe, over, under, mce and rms.

    Labels are drawn from the model's own probabilities (consistency resampling, Bröcker and Smith 2007; Vaicenavicius
    et al. 2019, arXiv 1902.06977, section 5), so that the model is calibrated by construction and whatever it shows is
    noise. Given the confidences, an outcome is a Bernoulli draw; above 4,096 examples neighbours in confidence within a
    bin share a binomial draw with their mean confidence.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :param level: share of calibrated models inside the band. :param resamples: draws of all labels.
    :param seed: seed or generator of the draws.
    :raises InputError: no examples, a wrong shape, a label that is no class index, logits that are not finite, or a
        level outside (0, 1).

    >>> band = null_band([[1.0, 0.0]] * 200, [0] * 100 + [1] * 100)["ece"]  # confidence 0.73, accuracy 0.5
    >>> round(band.observed, 3), band.low < band.mean < band.high < band.observed, band.p_value < 0.01
    (0.231, True, True)
    """
    check_level(level)
    check_bins(num_bins)
    examples = score_examples(logits, labels, mode)
    bins = bin_index(examples.confidence, num_bins).numpy()
    confidence = examples.confidence.numpy()
    _, position, count = np.unique(bins, return_inverse=True, return_counts=True)
    total = np.bincount(position, weights=confidence).astype(np.float64)
    observed = binned_statistics(count, total, np.bincount(position, weights=examples.outcome.numpy()))
    null = binned_statistics(count, total, _draw_outcomes(confidence, bins, resamples, np.random.default_rng(seed)))
    return {name: _band(float(value), null[name], level) for name, value in observed.items()}


def spiegelhalter(logits: Array, labels: Array, mode: Mode = "top") -> ZTest:
    """Return Spiegelhalter's z: do the outcomes deviate from the confidences, weighted as in the Brier score?

    z = sum (o_i - c_i)(1 - 2 c_i) / sqrt(sum (1 - 2 c_i)^2 c_i (1 - c_i)), with c the confidence and o the outcome, of
    the predicted class in mode `top` (Spiegelhalter 1986, Statistics in Medicine 5, 421). Positive where the Brier
    score of the outcomes is worse than the confidences promise, as under overconfidence above one half. Below it the
    weight 1 - 2c has the other sign: overconfidence makes z negative, and the two can cancel. No bins, and much power
    against confidence that is too high or too low throughout; none against deviations that cancel.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> round(spiegelhalter([[2.0, 0.0]] * 100, [0] * 88 + [1] * 12).p_value, 2)
    0.98
    >>> unsure = np.log([[0.35, 0.33, 0.32]] * 100)
    >>> round(spiegelhalter(unsure, [0] * 20 + [1] * 80).statistic, 2)  # confidence 0.35, accuracy 0.2
    -3.14
    """
    examples = score_examples(logits, labels, mode)
    confidence, outcome = examples.confidence.numpy(), examples.outcome.numpy()
    deviation = float(((outcome - confidence) * (1 - 2 * confidence)).sum())
    variance = float((np.square(1 - 2 * confidence) * confidence * (1 - confidence)).sum())
    # Without variance every confidence is 1, 0 or one half, and no calibrated model deviates at all.
    statistic = deviation / sqrt(variance) if variance > 0 else copysign(inf, deviation) if deviation else 0.0
    return ZTest(statistic, float(2 * norm.sf(abs(statistic))))


def _draw_outcomes(
    confidence: FloatArray, bins: npt.NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> FloatArray:
    """Draw the number of outcomes in each bin that is not empty, (resamples, filled bins)."""
    order = np.argsort(confidence)
    ordered = bins[order]
    rank = np.arange(len(order)) * min(_GROUPS, len(order)) // len(order)
    starts = np.flatnonzero(np.diff(ordered, prepend=-1) | np.diff(rank, prepend=-1))
    size = np.diff(starts, append=len(order))
    share = np.clip(np.add.reduceat(confidence[order], starts) / size, 0, 1)
    bin_starts = np.flatnonzero(np.diff(ordered[starts], prepend=-1))
    drawn = rng.binomial(size, share, size=(resamples, len(size)))
    return np.add.reduceat(drawn, bin_starts, axis=1).astype(np.float64)


def _band(observed: float, null: FloatArray, level: float) -> NullBand:
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
    # Sums in another order differ in the last digits; a tie still counts as "at least as large".
    extreme = int(np.count_nonzero(null >= observed - 1e-12))
    return NullBand(observed, float(null.mean()), float(low), float(high), (1 + extreme) / (1 + len(null)))
