"""How sure a model is of an input, from its logits alone: higher means more like what it was trained on."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from textmix.metrics.examples import Array, FloatArray, chunks, probabilities


def msp(logits: Array) -> FloatArray:
    """Return the maximum softmax probability of each example (N,); higher is more in-distribution.

    max_k softmax(z)_k (Hendrycks and Gimpel 2017, arXiv 1610.02136).

    :param logits: (N, C), tensor or array of any float type.
    :raises InputError: a wrong shape, or logits that are not finite, with the row.

    >>> msp([[2.0, 0.0], [0.0, 0.0]]).round(4).tolist()
    [0.8808, 0.5]
    """
    return _score(logits, lambda x: probabilities(x).amax(1))


def entropy(logits: Array) -> FloatArray:
    """Return the negative entropy of each example's probabilities (N,), in nats; higher is more in-distribution.

    sum_k p_k log p_k, between -log C (uniform) and 0 (certain): the sign is turned so that all scores point one way.

    :param logits: (N, C), tensor or array of any float type.
    :raises InputError: a wrong shape, or logits that are not finite, with the row.

    >>> entropy([[2.0, 0.0], [0.0, 0.0]]).round(4).tolist()
    [-0.3653, -0.6931]
    """
    return _score(logits, lambda x: -torch.special.entr(probabilities(x)).sum(1))


def energy(logits: Array) -> FloatArray:
    """Return the negative free energy of each example (N,); higher is more in-distribution.

    log sum_k exp z_k (Liu et al. 2020, arXiv 2010.03759, eq. 4, at temperature 1 and with the sign turned). It reads
    the size of the logits, which softmax throws away; a constant added to all logits of a row changes it.

    :param logits: (N, C), tensor or array of any float type.
    :raises InputError: a wrong shape, or logits that are not finite, with the row.

    >>> energy([[2.0, 0.0], [0.0, 0.0]]).round(4).tolist()
    [2.1269, 0.6931]
    """
    return _score(logits, lambda x: torch.logsumexp(x, dim=1))


def margin(logits: Array) -> FloatArray:
    """Return the gap between the two largest probabilities of each example (N,); higher is more in-distribution.

    p_(1) - p_(2) (Scheffer et al. 2001, "best versus second best"); 1 where there is one class only.

    :param logits: (N, C), tensor or array of any float type.
    :raises InputError: a wrong shape, or logits that are not finite, with the row.

    >>> margin([[2.0, 0.0], [0.0, 0.0]]).round(4).tolist()
    [0.7616, 0.0]
    """
    return _score(logits, _top_gap)


SCORES: dict[str, Callable[[Array], FloatArray]] = {"msp": msp, "entropy": entropy, "energy": energy, "margin": margin}
"""The scores by name."""


def _score(logits: Array, function: Callable[[Tensor], Tensor]) -> FloatArray:
    shape = np.shape(logits)
    unlabelled = torch.zeros(shape[:1], dtype=torch.int64)
    parts = [function(x).cpu().double() for x, _ in chunks(logits, unlabelled)]
    return np.asarray(torch.cat(parts) if parts else np.empty(0))


def _top_gap(x: Tensor) -> Tensor:
    if x.shape[1] == 1:
        return torch.ones(len(x))
    top = probabilities(x).topk(2, dim=1).values
    return top[:, 0] - top[:, 1]
