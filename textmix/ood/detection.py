"""Telling two sets apart by a score: in-distribution examples should score higher than the others.

All functions take the scores of the in-distribution examples (N,) and of the others (M,). Equal scores can't be told
apart by any threshold and always count together, so that the order of the examples makes no difference.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from textmix.errors import InputError
from textmix.metrics.examples import FloatArray


@dataclass(frozen=True)
class Detection:
    """How well a score tells in-distribution examples from the others."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float


def detection(in_scores: npt.ArrayLike, out_scores: npt.ArrayLike) -> Detection:
    """Return all measures of this module.

    :param in_scores: (N,), higher is more in-distribution. :param out_scores: (M,) of the other examples.
    :raises InputError: no scores, or scores that are not finite numbers in one dimension.

    >>> detection([0.9, 0.8], [0.3, 0.1])
    Detection(auroc=1.0, aupr_in=1.0, aupr_out=1.0, fpr95=0.0)
    """
    return Detection(
        auroc(in_scores, out_scores),
        aupr_in(in_scores, out_scores),
        aupr_out(in_scores, out_scores),
        fpr95(in_scores, out_scores),
    )


def auroc(in_scores: npt.ArrayLike, out_scores: npt.ArrayLike) -> float:
    """Return the probability that an in-distribution example scores higher than another one, ties counting half.

    AUROC = U / (N M) with the Mann-Whitney U of mid-ranks (Hanley and McNeil 1982); 0.5 is chance.

    :param in_scores: (N,), higher is more in-distribution. :param out_scores: (M,) of the other examples.
    :raises InputError: no scores, or scores that are not finite numbers in one dimension.

    >>> auroc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    inside, outside = _scores(in_scores, "in_scores"), _scores(out_scores, "out_scores")
    n, m = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def placements(in_scores: npt.ArrayLike, out_scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return for each example the share of the other set that it is told apart from, ties counting half.

    The mean of either is the AUROC, and their variances over N and over M add up to that of the AUROC (DeLong et al.
    1988, Biometrics 44, 837).

    :param in_scores: (N,), higher is more in-distribution. :param out_scores: (M,) of the other examples.
    :return: (N,) and (M,).
    :raises InputError: no scores, or scores that are not finite numbers in one dimension.

    >>> [part.tolist() for part in placements([0.9, 0.5], [0.5, 0.1])]
    [[1.0, 0.75], [0.75, 1.0]]
    """
    inside, outside = _scores(in_scores, "in_scores"), _scores(out_scores, "out_scores")
    return _share_below(inside, outside), 1 - _share_below(outside, inside)


def aupr_in(in_scores: npt.ArrayLike, out_scores: npt.ArrayLike) -> float:
    """Return the area under precision against recall with in-distribution examples as the positives.

    Average precision, sum_t (R_t - R_t-1) P_t over the distinct thresholds from the highest down, without
    interpolation (Davis and Goadrich 2006); N / (N + M) is chance.

    :param in_scores: (N,), higher is more in-distribution. :param out_scores: (M,) of the other examples.
    :raises InputError: no scores, or scores that are not finite numbers in one dimension.

    >>> round(aupr_in([0.9, 0.5], [0.5, 0.1]), 4)
    0.8333
    """
    return _average_precision(_scores(in_scores, "in_scores"), _scores(out_scores, "out_scores"))


def aupr_out(in_scores: npt.ArrayLike, out_scores: npt.ArrayLike) -> float:
    """Return the area under precision against recall with the other examples as the positives, low scores first.

    As :func:`aupr_in` with the roles and the sign of the scores exchanged (Hendrycks and Gimpel 2017, arXiv
    1610.02136, section 2); M / (N + M) is chance.

    :param in_scores: (N,), higher is more in-distribution. :param out_scores: (M,) of the other examples.
    :raises InputError: no scores, or scores that are not finite numbers in one dimension.

    >>> round(aupr_out([0.9, 0.5], [0.5, 0.1]), 4)
    0.8333
    """
    return _average_precision(-_scores(out_scores, "out_scores"), -_scores(in_scores, "in_scores"))


def fpr95(in_scores: npt.ArrayLike, out_scores: npt.ArrayLike) -> float:
    """Return the share of other examples that pass the threshold which at least 95 % of in-distribution ones pass.

    FPR at TPR 95 %, at the highest threshold t with P(in >= t) >= 0.95 (Liang et al. 2018, arXiv 1706.02690).

    :param in_scores: (N,), higher is more in-distribution. :param out_scores: (M,) of the other examples.
    :raises InputError: no scores, or scores that are not finite numbers in one dimension.

    >>> fpr95([0.9, 0.8, 0.7, 0.6], [0.65, 0.5])
    0.5
    """
    inside, outside = np.sort(_scores(in_scores, "in_scores"))[::-1], _scores(out_scores, "out_scores")
    needed = -(-95 * len(inside) // 100)  # whole examples: 0.95 * 20 in floating point is a little more than 19
    return float((outside >= inside[needed - 1]).mean())


def _share_below(values: FloatArray, others: FloatArray) -> FloatArray:
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(ordered))


def _average_precision(positive: FloatArray, negative: FloatArray) -> float:
    thresholds, found = np.unique(positive, return_counts=True)
    at_least = np.cumsum(found[::-1])[::-1]
    false = len(negative) - np.searchsorted(np.sort(negative), thresholds, side="left")
    return float((found * at_least / (at_least + false)).sum() / len(positive))


def _scores(values: npt.ArrayLike, name: str) -> FloatArray:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise InputError(f"{name}: expected one score an example, shape (N,) with N >= 1, got shape {scores.shape}.")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise InputError(f"{name}: expected finite numbers, got {scores[bad[0]]} in row {bad[0]} (counted from 0).")
    return scores
