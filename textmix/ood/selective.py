"""Selective prediction: answer the examples the model is sure of, and leave the rest to somebody else.

All functions take `confidence` (N,), any score that is higher where the model is surer, and `correct` (N,), whether it
was right. Examples of equal confidence are answered together or not at all, so that their order makes no difference.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textmix.errors import InputError
from textmix.inference.intervals import Interval, check_level, wilson
from textmix.metrics.examples import FloatArray


@dataclass(frozen=True)
class RiskCoverage:
    """Share of examples answered and share of wrong answers among them, one entry a threshold from the highest down.

    Each an array (P,) for the P distinct confidences: answering everything at or above `threshold` covers `coverage`
    of the examples and errs on `risk` of those.
    """

    threshold: FloatArray
    coverage: FloatArray
    risk: FloatArray


@dataclass(frozen=True)
class Threshold:
    """The lowest threshold that reaches a target accuracy: what it covers, and how accurate it is.

    The interval of `accuracy` holds for a threshold that was fixed beforehand; one chosen on these examples flatters
    itself a little, so choose it on validation and read its accuracy on test.
    """

    threshold: float
    coverage: float
    accuracy: Interval


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> RiskCoverage:
    """Return the risk-coverage curve (El-Yaniv and Wiener 2010, JMLR 11, section 2).

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool.
    :raises InputError: no examples, different lengths, or a confidence that is not finite.

    >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.6], [True, True, False, False])
    >>> curve.coverage.tolist(), curve.risk.round(4).tolist()
    ([0.25, 0.75, 1.0], [0.0, 0.3333, 0.5])
    """
    threshold, found, wrong = _by_threshold(confidence, correct)
    answered = np.cumsum(found)
    return RiskCoverage(threshold, answered / answered[-1], np.cumsum(wrong) / answered)


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return the area under the risk-coverage curve: the mean over k of the risk of the k surest examples.

    AURC = 1/N sum_k (wrong among the k surest) / k (Geifman et al. 2019, arXiv 1805.08206, section 2). Among equal
    confidences the expectation over their orders is taken, which is exact and depends on no order.

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool.
    :raises InputError: no examples, different lengths, or a confidence that is not finite.

    >>> round(aurc([0.9, 0.8, 0.7], [True, False, True]), 4)
    0.2778
    """
    _, found, wrong = _by_threshold(confidence, correct)
    n = int(found.sum())
    rank = np.arange(1, n + 1)
    before, wrong_before = np.cumsum(found) - found, np.cumsum(wrong) - wrong
    expected_wrong = np.repeat(wrong_before, found) + (rank - np.repeat(before, found)) * np.repeat(
        wrong / found, found
    )
    return float((expected_wrong / rank).mean())


def excess_aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return E-AURC: AURC less that of a confidence that puts every right example before every wrong one.

    E-AURC = AURC - AURC* with AURC* = 1/N sum_k max(k - right, 0) / k (Geifman et al. 2019, arXiv 1805.08206, section
    3, in its exact form). 0 is a perfect ordering, whatever the accuracy.

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool.
    :raises InputError: no examples, different lengths, or a confidence that is not finite.

    >>> round(excess_aurc([0.9, 0.8, 0.7], [True, False, True]), 4)
    0.1667
    """
    return aurc(confidence, correct) - aurc(correct, correct)


def accuracy_at_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike, coverage: float) -> float:
    """Return the accuracy on the surest examples that make up at least this share.

    1 - risk at the highest threshold whose coverage reaches `coverage` (Geifman and El-Yaniv 2017, arXiv 1705.08500).

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool. :param coverage: a share in (0, 1].
    :raises InputError: no examples, different lengths, a confidence that is not finite, or a coverage outside (0, 1].

    >>> accuracy_at_coverage([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 0.5)
    1.0
    """
    if not 0 < coverage <= 1:
        raise InputError(f"coverage: expected a share in (0, 1], got {coverage}.")
    curve = risk_coverage(confidence, correct)
    reached = np.flatnonzero(curve.coverage >= coverage - 1e-12)[0]
    return float(1 - curve.risk[reached])


def coverage_at_risk(confidence: npt.ArrayLike, correct: npt.ArrayLike, risk: float) -> float:
    """Return the largest share of examples that can be answered with at most this share of errors; 0 where none can.

    max coverage with risk(coverage) <= `risk` (Geifman and El-Yaniv 2017, arXiv 1705.08500).

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool. :param risk: a share in [0, 1].
    :raises InputError: no examples, different lengths, a confidence that is not finite, or a risk outside [0, 1].

    >>> coverage_at_risk([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 0.25)
    1.0
    """
    if not 0 <= risk <= 1:
        raise InputError(f"risk: expected a share in [0, 1], got {risk}.")
    curve = risk_coverage(confidence, correct)
    return float(np.max(curve.coverage, where=curve.risk <= risk + 1e-12, initial=0.0))


def threshold_for_accuracy(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, target: float, *, level: float = 0.95
) -> Threshold | None:
    """Return the lowest threshold at or above which the accuracy is at least `target`; None where there is none.

    The threshold of :func:`coverage_at_risk` at risk 1 - target, with Wilson's interval for the accuracy above it.

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool. :param target: accuracy wanted, in [0, 1].
    :param level: confidence of the interval.
    :raises InputError: no examples, different lengths, a confidence that is not finite, or a target or level out of
        bounds.

    >>> found = threshold_for_accuracy([0.9, 0.8, 0.7, 0.6], [True, True, False, False], 0.9)
    >>> found.threshold, found.coverage, found.accuracy.estimate
    (0.8, 0.5, 1.0)
    """
    if not 0 <= target <= 1:
        raise InputError(f"target: expected an accuracy in [0, 1], got {target}.")
    check_level(level)
    threshold, found, wrong = _by_threshold(confidence, correct)
    answered, right = np.cumsum(found), np.cumsum(found - wrong)
    good = np.flatnonzero(right / answered >= target - 1e-12)
    if len(good) == 0:
        return None
    at = good[-1]
    low, high = wilson(right[at], answered[at], level)
    accuracy = Interval(float(right[at] / answered[at]), float(low), float(high))
    return Threshold(float(threshold[at]), float(answered[at] / answered[-1]), accuracy)


def _by_threshold(
    confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct confidences from the highest down, and how many examples and mistakes each has, all (P,)."""
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape or scores.size == 0:
        raise InputError(
            f"confidence, correct: expected two of shape (N,) with N >= 1, got {scores.shape} and {right.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise InputError(f"confidence: expected finite numbers, got {scores[bad[0]]} in row {bad[0]} (counted from 0).")
    values, position, found = np.unique(-scores, return_inverse=True, return_counts=True)
    return -values, found, found - np.bincount(position[right], minlength=len(values))
