"""The paired bootstrap of the binned metrics: a thousand resamples of a million examples in a second."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from textmix.metrics.bins import Counts, bin_index, binned_statistics, check_bins
from textmix.metrics.examples import FloatArray, Scores

BINNED = ("ece", "oe", "over", "under")
"""Metrics that are sums over bins of a gap's absolute value or of one of its signs."""

_BLOCKS = 4096  # resampled units: examples up to this many, above it random blocks of them

_CERTAIN = 99.0  # gap over its standard error where that is 0: noise adds nothing


@dataclass(frozen=True)
class Replicates:
    """Bin sums of the data and of its resamples: what the binned metrics are computed from.

    `count`, `confidence` and `outcome` are the data's (B,); the same with `resampled_` in front are (R, B).
    """

    count: Counts
    confidence: FloatArray
    outcome: Counts
    resampled_count: FloatArray
    resampled_confidence: FloatArray
    resampled_outcome: FloatArray

    def observed(self, metric: str) -> float:
        """Return the metric of the data."""
        return float(binned_statistics(self.count, self.confidence, self.outcome)[metric])

    def resampled(self, metric: str) -> FloatArray:
        """Return the metric of each resample (R,)."""
        return binned_statistics(self.resampled_count, self.resampled_confidence, self.resampled_outcome)[metric]

    def bias(self, metric: str, shift: float = 0.0) -> float:
        """Return how much noise adds to a binned metric on average.

        The mean of |gap + noise| exceeds |gap|, the more the smaller the gap is beside the noise (the mean of a folded
        normal). The observed gaps hold noise themselves and so understate the excess; `shift` takes that many standard
        errors off each of them.

        :param metric: one of BINNED.
        """
        error = (self.resampled_confidence - self.resampled_outcome).std(0)
        gap = np.abs(self.confidence - self.outcome)
        ratio = np.maximum(np.divide(gap, error, out=np.full_like(gap, _CERTAIN), where=error > 0) - shift, 0)
        excess = 2 * (norm.pdf(ratio) - ratio * norm.sf(ratio))
        weight = {"ece": 1.0, "over": 0.5, "under": 0.5, "oe": 0.5 * self.confidence / np.maximum(self.count, 1)}[
            metric
        ]
        return float((weight * error * excess).sum() / self.count.sum())


def replicate(runs: Sequence[Scores], num_bins: int, resamples: int, rng: np.random.Generator) -> list[Replicates]:
    """Resample the examples with replacement, the same ones for every run, and return the bin sums of each run.

    Above 4,096 examples, random blocks of them are resampled instead: the sums over blocks of independent examples have
    the same mean and covariance, and resampling 4,096 units costs the same at any N.

    :param runs: predictions on the same examples, at least one. :param num_bins: B. :param resamples: R.
    :raises InputError: fewer than one bin.
    """
    check_bins(num_bins)
    n = len(runs[0].confidence)
    blocks = min(n, _BLOCKS)
    block = rng.permutation(n) % blocks
    drawn = rng.integers(blocks, size=(resamples, blocks)) + blocks * np.arange(resamples)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=resamples * blocks).reshape(resamples, blocks).astype(np.float64)
    return [_replicate_one(run, num_bins, block, weights) for run in runs]


def _replicate_one(run: Scores, num_bins: int, block: npt.NDArray[np.int64], weights: FloatArray) -> Replicates:
    blocks = weights.shape[1]
    cell = block * num_bins + bin_index(run.confidence, num_bins).numpy()
    parts = (None, run.confidence.numpy(), run.outcome.numpy())
    sums = [np.bincount(cell, part, minlength=blocks * num_bins).reshape(blocks, num_bins) for part in parts]
    count, confidence, outcome = (part.sum(0) for part in sums)
    return Replicates(count, confidence, outcome, *(weights @ part for part in sums))
