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
class Threshold:
    """The lowest threshold that reaches a target accuracy: what it covers, and how accurate it is.

    The interval of `accuracy` holds for a threshold that was fixed beforehand; one chosen on these examples flatters
    itself a little, so choose it on validation and read its accuracy on test.
    """

    threshold: float
    coverage: float
    accuracy: Interval


@dataclass(frozen=True)
class RiskCoverage:
    """What is answered and what of that is wrong, one entry a threshold from the highest down.

    Each an array (P,) for the P distinct confidences: of the examples, `answered` are at or above `threshold` and
    `wrong` of those are mistakes. The functions of this module are its methods, for those who need one number; the
    curve sorts once for all.
    """

    threshold: FloatArray
    answered: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]

    @property
    def coverage(self) -> FloatArray:
        """Share of the examples answered (P,)."""
        return np.asarray(self.answered / self.answered[-1])

    @property
    def risk(self) -> FloatArray:
        """Share of the answers that are wrong (P,)."""
        return np.asarray(self.wrong / self.answered)

    @property
    def aurc(self) -> float:
        """As :func:`aurc`."""
        n = int(self.answered[-1])
        found, mistakes = np.diff(self.answered, prepend=0), np.diff(self.wrong, prepend=0)
        rank = np.arange(1, n + 1)
        within = rank - np.repeat(self.answered - found, found)
        expected = np.repeat(self.wrong - mistakes, found) + within * np.repeat(mistakes / found, found)
        return float((expected / rank).mean())

    @property
    def excess_aurc(self) -> float:
        """As :func:`excess_aurc`."""
        n, wrong = int(self.answered[-1]), int(self.wrong[-1])
        best = np.arange(1, wrong + 1) / np.arange(n - wrong + 1, n + 1)
        return self.aurc - float(best.sum() / n)

    def accuracy_at(self, coverage: float) -> float:
        """As :func:`accuracy_at_coverage`."""
        if not 0 < coverage <= 1:
            raise InputError(f"coverage: expected a share in (0, 1], got {coverage}.")
        reached = np.flatnonzero(self.coverage >= coverage - 1e-12)[0]
        return float(1 - self.risk[reached])

    def coverage_at(self, risk: float) -> float:
        """As :func:`coverage_at_risk`."""
        if not 0 <= risk <= 1:
            raise InputError(f"risk: expected a share in [0, 1], got {risk}.")
        return float(np.max(self.coverage, where=self.risk <= risk + 1e-12, initial=0.0))

    def threshold_for(self, target: float, level: float = 0.95) -> "Threshold | None":
        """As :func:`threshold_for_accuracy`."""
        if not 0 <= target <= 1:
            raise InputError(f"target: expected an accuracy in [0, 1], got {target}.")
        check_level(level)
        good = np.flatnonzero(1 - self.risk >= target - 1e-12)
        if len(good) == 0:
            return None
        at = good[-1]
        right, answered = int(self.answered[at] - self.wrong[at]), int(self.answered[at])
        low, high = wilson(right, answered, level)
        accuracy = Interval(right / answered, float(low), float(high))
        return Threshold(float(self.threshold[at]), float(self.coverage[at]), accuracy)


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> RiskCoverage:
    """Return the risk-coverage curve (El-Yaniv and Wiener 2010, JMLR 11, section 2).

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool.
    :raises InputError: no examples, different lengths, or a confidence that is not finite.

    >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.6], [True, True, False, False])
    >>> curve.coverage.tolist(), curve.risk.round(4).tolist()
    ([0.25, 0.75, 1.0], [0.0, 0.3333, 0.5])
    """
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape or scores.size == 0:
        raise InputError(
            f"confidence, correct: expected two of shape (N,) with N >= 1, got {scores.shape} and {right.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise InputError(f"confidence: expected finite numbers, got {scores[bad[0]]} in row {bad[0]} (counted from 0).")
    order = np.argsort(-scores)
    ordered = scores[order]
    last = np.flatnonzero(np.diff(ordered, append=-np.inf))  # of each distinct confidence
    return RiskCoverage(ordered[last], last + 1, np.cumsum(~right[order])[last])


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return the area under the risk-coverage curve: the mean over k of the risk of the k surest examples.

    AURC = 1/N sum_k (wrong among the k surest) / k (Geifman et al. 2019, arXiv 1805.08206, section 2). Among equal
    confidences the expectation over their orders is taken, which is exact and depends on no order.

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool.
    :raises InputError: no examples, different lengths, or a confidence that is not finite.

    >>> round(aurc([0.9, 0.8, 0.7], [True, False, True]), 4)
    0.2778
    """
    return risk_coverage(confidence, correct).aurc


def excess_aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return E-AURC: AURC less that of a confidence that puts every right example before every wrong one.

    E-AURC = AURC - AURC* with AURC* = 1/N sum_k max(k - right, 0) / k (Geifman et al. 2019, arXiv 1805.08206, section
    3, in its exact form). 0 is a perfect ordering, whatever the accuracy.

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool.
    :raises InputError: no examples, different lengths, or a confidence that is not finite.

    >>> round(excess_aurc([0.9, 0.8, 0.7], [True, False, True]), 4)
    0.1667
    """
    return risk_coverage(confidence, correct).excess_aurc


def accuracy_at_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike, coverage: float) -> float:
    """Return the accuracy on the surest examples that make up at least this share.

    1 - risk at the highest threshold whose coverage reaches `coverage` (Geifman and El-Yaniv 2017, arXiv 1705.08500).

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool. :param coverage: a share in (0, 1].
    :raises InputError: no examples, different lengths, a confidence that is not finite, or a coverage outside (0, 1].

    >>> accuracy_at_coverage([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 0.5)
    1.0
    """
    return risk_coverage(confidence, correct).accuracy_at(coverage)


def coverage_at_risk(confidence: npt.ArrayLike, correct: npt.ArrayLike, risk: float) -> float:
    """Return the largest share of examples that can be answered with at most this share of errors; 0 where none can.

    max coverage with risk(coverage) <= `risk` (Geifman and El-Yaniv 2017, arXiv 1705.08500).

    :param confidence: (N,), higher is surer. :param correct: (N,) of bool. :param risk: a share in [0, 1].
    :raises InputError: no examples, different lengths, a confidence that is not finite, or a risk outside [0, 1].

    >>> coverage_at_risk([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 0.25)
    1.0
    """
    return risk_coverage(confidence, correct).coverage_at(risk)


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
    return risk_coverage(confidence, correct).threshold_for(target, level)
