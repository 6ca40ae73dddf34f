"""Metrics class by class: every class's probability against whether it was the label, in equal-width bins.

For classifiers whose probabilities are used beyond the predicted class, and for the classes that a mean over examples
hides.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from textmix.errors import InputError
from textmix.metrics.bins import bin_index, check_bins
from textmix.metrics.examples import Array, FloatArray, chunks, probabilities


@dataclass(frozen=True)
class BrierDecomposition:
    """The Brier score as reliability - resolution + uncertainty + within_bin, each summed over classes.

    `reliability` is the mean squared gap between probability and frequency (0 is perfect), `resolution` the variance of
    the frequencies among bins (large is good), `uncertainty` that of the labels themselves, and `within_bin` what the
    bins blur: the variance of the probabilities inside them less twice their covariance with the outcomes.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin: float


@dataclass(frozen=True)
class ClasswiseTable:
    """Sums over equal-width bins of each class's probability, arrays (C, B), and counts of predictions, arrays (C,).

    `count` and `outcome` are examples and those of them that have the label; `confidence`, `squares` and `products` sum
    the probability, its square, and the probability where the label is the class. `predicted` counts the predictions of
    each class and `hits` the right ones. Tables of pieces add up field by field.
    """

    count: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int64]
    confidence: FloatArray
    squares: FloatArray
    products: FloatArray
    predicted: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of examples."""
        return int(self.predicted.sum())

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """Examples of each class (C,)."""
        return np.asarray(self.outcome.sum(1))

    @property
    def ece(self) -> FloatArray:
        """ECE of each class (C,): sum_m |B_m| / n |mean probability - share of the label|."""
        return np.asarray(np.abs(self.confidence - self.outcome).sum(1) / self.n)

    @property
    def static_ece(self) -> float:
        """The mean of `ece`, as :func:`static_ece`."""
        return float(self.ece.mean())

    @property
    def f1(self) -> FloatArray:
        """F1 score of each class (C,); NaN for a class that occurs neither among labels nor among predictions."""
        occurring = self.support + self.predicted
        return np.asarray(2 * self.hits / np.where(occurring > 0, occurring, np.nan))

    @property
    def macro_f1(self) -> float:
        """The mean of `f1` over the classes that occur, as :func:`macro_f1`."""
        return float(np.nanmean(self.f1))

    @property
    def brier_decomposition(self) -> BrierDecomposition:
        """As :func:`brier_decomposition`."""
        n, filled = self.n, np.maximum(self.count, 1)
        base = self.support / n
        frequency = self.outcome / filled
        reliability = np.square(self.confidence - self.outcome) / filled
        resolution = self.count * np.square(frequency - base[:, None])
        spread = self.squares - np.square(self.confidence) / filled
        covariance = self.products - self.confidence * frequency
        return BrierDecomposition(
            brier=float((self.squares - 2 * self.products + self.outcome).sum() / n),
            reliability=float(reliability.sum() / n),
            resolution=float(resolution.sum() / n),
            uncertainty=float((base * (1 - base)).sum()),
            within_bin=float((spread - 2 * covariance).sum() / n),
        )

    def __add__(self, other: "ClasswiseTable") -> "ClasswiseTable":
        """Return the table of both sets of examples."""
        return ClasswiseTable(*(mine + vars(other)[name] for name, mine in vars(self).items()))


def classwise_table(logits: Array, labels: Array, num_bins: int = 15) -> ClasswiseTable:
    """Return the sums from which the metrics of this module are made, one pass in chunks.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> classwise_table([[2.0, 0.0], [0.0, 1.0]], [0, 0]).support.tolist()
    [2, 0]
    """
    check_bins(num_bins)
    table = None
    for x, y in chunks(logits, labels):
        part = _chunk_table(probabilities(x).cpu().double(), x.argmax(1).cpu(), y.cpu(), num_bins)
        table = part if table is None else table + part
    if table is None:
        raise InputError("logits: expected at least one example, got none.")
    return table


def static_ece(logits: Array, labels: Array, num_bins: int = 15) -> float:
    """Return the static calibration error: ECE of every class's probability, averaged over classes.

    SCE = 1/C sum_k sum_m |B_mk| / n |acc(B_mk) - conf(B_mk)| (Nixon et al. 2019, arXiv 1904.01685, eq. 4; the classwise
    ECE of Kull et al. 2019, arXiv 1910.12656, eq. 4).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> round(static_ece([[2.0, 0.0], [0.0, 1.0]], [0, 0], num_bins=10), 4)
    0.4251
    """
    return classwise_table(logits, labels, num_bins).static_ece


def classwise_ece(logits: Array, labels: Array, num_bins: int = 15) -> FloatArray:
    """Return the ECE of each class's probability (C,); its mean is :func:`static_ece`.

    ECE_k = sum_m |B_mk| / n |acc(B_mk) - conf(B_mk)| (Kull et al. 2019, arXiv 1910.12656, eq. 4).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> classwise_ece([[2.0, 0.0], [0.0, 1.0]], [0, 0], num_bins=10).round(4).tolist()
    [0.4251, 0.4251]
    """
    return classwise_table(logits, labels, num_bins).ece


def worst_classes(logits: Array, labels: Array, num_bins: int = 15, k: int = 5) -> list[tuple[int, float]]:
    """Return the (class, ECE) of the k classes whose probability is the least calibrated, the worst first.

    Ordered by ECE_k of :func:`classwise_ece` (Kull et al. 2019, arXiv 1910.12656, eq. 4); ties by class.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> worst_classes([[2.0, 0.0, -9.0], [0.0, 1.0, -9.0]], [0, 0], k=2)[1][0]
    1
    """
    errors = classwise_ece(logits, labels, num_bins)
    return [(int(c), float(errors[c])) for c in np.argsort(-errors, kind="stable")[:k]]


def macro_f1(logits: Array, labels: Array) -> float:
    """Return the F1 score of the predictions, averaged over classes.

    F1_k = 2 TP_k / (2 TP_k + FP_k + FN_k), averaged over the classes that occur among labels or predictions (Opitz and
    Burst 2019, arXiv 1911.03347, "averaged F1").

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> round(macro_f1([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1]), 4)
    0.6667
    """
    return classwise_table(logits, labels, num_bins=1).macro_f1


def brier_decomposition(logits: Array, labels: Array, num_bins: int = 15) -> BrierDecomposition:
    """Return what the Brier score is made of.

    Each class's probability is binned and decomposed after Murphy 1973 (J. Appl. Meteor. 12, 595), with the two
    within-bin terms of Stephenson et al. 2008 (Wea. Forecasting 23, 752, eq. 6), and the classes are summed, so that
    reliability - resolution + uncertainty + within_bin is the Brier score exactly.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: no examples, a wrong shape, a label that is no class index, or logits that are not finite.

    >>> parts = brier_decomposition([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 0, 1])
    >>> total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin
    >>> abs(total - parts.brier) < 1e-12
    True
    """
    return classwise_table(logits, labels, num_bins).brier_decomposition


def _chunk_table(p: torch.Tensor, predictions: torch.Tensor, labels: torch.Tensor, num_bins: int) -> ClasswiseTable:
    classes = p.shape[1]
    cells = bin_index(p, num_bins).add_(torch.arange(classes) * num_bins)
    own_cell, own_p = (values.gather(1, labels[:, None])[:, 0] for values in (cells, p))
    flat, flat_p = (values.t().reshape(-1) for values in (cells, p))

    def total(cell: torch.Tensor, weights: torch.Tensor | None = None) -> npt.NDArray[np.generic]:
        return torch.bincount(cell, weights, minlength=classes * num_bins).reshape(classes, num_bins).numpy()

    return ClasswiseTable(
        count=total(flat).astype(np.int64),
        outcome=total(own_cell).astype(np.int64),
        confidence=total(flat, flat_p).astype(np.float64),
        squares=total(flat, flat_p.square()).astype(np.float64),
        products=total(own_cell, own_p).astype(np.float64),
        predicted=torch.bincount(predictions, minlength=classes).numpy(),
        hits=torch.bincount(predictions[predictions == labels], minlength=classes).numpy(),
    )
