"""Calibration errors over confidence bins, each a function of logits (N, C) and labels (N,)."""

import numpy as np
import numpy.typing as npt

from textmix.metrics.bins import BinTable, binned_statistics, check_bins
from textmix.metrics.examples import Array, FloatArray, Mode, score_examples
from textmix.metrics.state import CalibrationState


def ece(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy over equal-width bins.

    ECE = sum_m |B_m| / n |acc(B_m) - conf(B_m)| (Guo et al. 2017, arXiv 1706.04599, eq. 3).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(ece([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=10), 4)
    0.4093
    """
    return _state(logits, labels, num_bins, mode).compute()["ece"]


def oe(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the overconfidence error: the part of ECE that is overconfident, weighted by confidence.

    OE = sum_m |B_m| / n conf(B_m) max(conf(B_m) - acc(B_m), 0) (Thulasidasan et al. 2019, arXiv 1905.11001,
    section 3.2).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(oe([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=10), 4)
    0.1781
    """
    return _state(logits, labels, num_bins, mode).compute()["oe"]


def over(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the overconfident half of ECE: sum_m |B_m| / n max(conf(B_m) - acc(B_m), 0), so that over + under = ECE.

    The same bins as :func:`ece` (Guo et al. 2017, eq. 3, split by the gap's sign), without the weight of :func:`oe`.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(over([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=10), 4)
    0.2437
    """
    return _state(logits, labels, num_bins, mode).compute()["over"]


def under(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the underconfident half of ECE: sum_m |B_m| / n max(acc(B_m) - conf(B_m), 0), so that over + under = ECE.

    The same bins as :func:`ece` (Guo et al. 2017, eq. 3, split by the sign of the gap).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(under([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=10), 4)
    0.1656
    """
    return _state(logits, labels, num_bins, mode).compute()["under"]


def mce(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top", min_count: int = 1) -> float:
    """Return the maximum calibration error: the widest gap in any bin of enough examples.

    MCE = max_m |acc(B_m) - conf(B_m)| over |B_m| >= min_count (Naeini et al. 2015, AAAI, eq. 4). A bin of one or two
    examples has a wide gap by chance alone: raise `min_count` (30, say) before you compare models. NaN where no bin
    has as many.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(mce([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=10), 4)
    0.7311
    """
    return _state(logits, labels, num_bins, mode).compute(min_count)["mce"]


def rms_calibration_error(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the root mean square gap between confidence and accuracy: it weighs wide gaps more than ECE.

    RMSCE = sqrt(sum_m |B_m| / n (acc(B_m) - conf(B_m))^2) (Hendrycks et al. 2019, arXiv 1812.04606, section 4.1).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(rms_calibration_error([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=10), 4)
    0.48
    """
    return _state(logits, labels, num_bins, mode).compute()["rms"]


def equal_mass_ece(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the ECE over bins of (nearly) as many examples each, equal confidences always in the same bin.

    ECE of :func:`ece` over bins of equal mass (Nguyen and O'Connor 2015, arXiv 1508.05154, section 3). Without ties the
    bins differ by one example at most; with them the order of the examples makes no difference.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> round(equal_mass_ece([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=2), 4)
    0.3298
    """
    return float(binned_statistics(*_equal_mass_bins(logits, labels, num_bins, mode))["ece"])


def debiased_squared_error(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> float:
    """Return the squared calibration error over bins of equal mass, less what noise adds to it on average.

    sum_m |B_m| / n ((conf(B_m) - acc(B_m))^2 - acc(B_m)(1 - acc(B_m)) / (|B_m| - 1)) (Kumar et al. 2019, arXiv
    1909.10155, section 5). Nothing is subtracted in bins of a single example. About 0, and as often below it as above,
    for a calibrated model.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> round(debiased_squared_error([[0.0, 0.0]] * 4, [0, 1, 0, 1], num_bins=1), 4)
    -0.0833
    """
    count, confidence, outcome = _equal_mass_bins(logits, labels, num_bins, mode)
    filled = np.maximum(count, 1)
    rate = outcome / filled
    noise = rate * (1 - rate) / np.maximum(count - 1, 1)
    return float((count * (np.square(confidence / filled - rate) - noise)).sum() / count.sum())


def reliability_table(logits: Array, labels: Array, num_bins: int = 15, mode: Mode = "top") -> BinTable:
    """Return what a reliability diagram shows: count, mean confidence and accuracy of each bin, arrays (B,).

    For calibrated probabilities pass `apply_temperature(logits, temperature)`.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> reliability_table([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 0], num_bins=5).count.tolist()
    [0, 0, 0, 2, 1]
    """
    return _state(logits, labels, num_bins, mode).table()


def _equal_mass_bins(
    logits: Array, labels: Array, num_bins: int, mode: Mode
) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
    """Return count, summed confidence and number of outcomes of bins of equal mass, each (B,)."""
    check_bins(num_bins)
    examples = score_examples(logits, labels, mode)
    confidence = examples.confidence.numpy()
    _, value, ties = np.unique(confidence, return_inverse=True, return_counts=True)
    twice_middle = 2 * np.cumsum(ties) - ties  # examples of equal confidence go where the middle one of them goes
    bins = (twice_middle * num_bins // (2 * len(confidence)))[value]
    count, total, outcome = (
        np.bincount(bins, weights, num_bins) for weights in (None, confidence, examples.outcome.numpy())
    )
    return count, total.astype(np.float64), outcome.astype(np.float64)


def _state(logits: Array, labels: Array, num_bins: int, mode: Mode) -> CalibrationState:
    state = CalibrationState(num_bins, mode)
    state.update(logits, labels)
    return state
