"""Equal-width confidence bins and the formulas that compare confidence with accuracy in them.

The bins are (a, b] with the edges i/B in float64; 0 belongs to the first and 1 to the last.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from textmix.errors import InputError
from textmix.metrics.examples import FloatArray

Counts: TypeAlias = npt.NDArray[np.int64] | FloatArray


@dataclass(frozen=True)
class BinTable:
    """What a reliability diagram shows: one entry a bin, each an array (B,).

    `lower` and `upper` are the bin's edges, `count` its examples, `confidence` their mean confidence and `accuracy` the
    share of them whose outcome came true; the last two are NaN in an empty bin.
    """

    lower: FloatArray
    upper: FloatArray
    count: npt.NDArray[np.int64]
    confidence: FloatArray
    accuracy: FloatArray


def bin_index(confidence: Tensor, num_bins: int) -> Tensor:
    """Return the bin (n,) int64 of each confidence (n,) float64.

    Only the edge nearest to a confidence can decide, and k / B is that edge exactly: rounding c * B misplaces none.
    """
    nearest = (confidence * num_bins).round_()
    above = confidence > nearest / num_bins
    return nearest.long().add_(above).sub_(1).clamp_(0, num_bins - 1)


def bin_table(count: npt.NDArray[np.int64], confidence: FloatArray, outcome: npt.NDArray[np.int64]) -> BinTable:
    """Return the table of bins (B,) with these counts, summed confidences and numbers of outcomes."""
    edges = np.arange(len(count) + 1) / len(count)
    filled = np.where(count > 0, count, np.nan)
    return BinTable(edges[:-1], edges[1:], count, confidence / filled, outcome / filled)


def binned_statistics(
    count: Counts, confidence: FloatArray, outcome: Counts, min_count: int = 1
) -> dict[str, FloatArray]:
    """Return ece, oe, over, under, mce and rms of bins, each of shape (...).

    With gap_m = (sum of confidences - number of outcomes) in bin m, n_m examples in it and n in all:
    ece = sum |gap_m| / n, over and under are the sums of its positive and of its negative part,
    oe = sum conf(B_m) max(gap_m, 0) / n, mce = max |gap_m| / n_m over bins of at least `min_count` examples (NaN where
    there is none), rms = sqrt(sum n_m (gap_m / n_m)^2 / n).

    :param count: (..., B) examples. :param confidence: (..., B) sums. :param outcome: (..., B) numbers of outcomes.
    """
    total = count.sum(-1)
    filled = np.maximum(count, 1)
    gap = confidence - outcome
    positive = np.maximum(gap, 0)
    over, under = positive.sum(-1) / total, (positive - gap).sum(-1) / total
    mean_gap = np.abs(gap) / filled
    widest = np.where(count >= min_count, mean_gap, -1).max(-1)
    return {
        "ece": np.abs(gap).sum(-1) / total,
        "oe": (confidence / filled * positive).sum(-1) / total,
        "over": over,
        "under": under,
        "mce": np.where(widest < 0, np.nan, widest),
        "rms": np.sqrt((np.square(gap) / filled).sum(-1) / total),
    }


def check_bins(num_bins: int) -> None:
    """Refuse a number of bins below 1.

    :raises InputError: it is.
    """
    if num_bins < 1:
        raise InputError(f"num_bins: expected an integer >= 1, got {num_bins!r}.")
