"""Accuracy and the proper scores, each a function of logits (N, C) and labels (N,)."""

from textmix.metrics.examples import Array
from textmix.metrics.state import CalibrationState


def accuracy(logits: Array, labels: Array) -> float:
    """Return the share of examples whose prediction, the first argmax of the logits, is the label.

    accuracy = sum_i [argmax_k z_ik = y_i] / N.

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> accuracy([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.0]], [0, 0, 0, 0])
    0.75
    """
    return _compute(logits, labels)["accuracy"]


def nll(logits: Array, labels: Array) -> float:
    """Return the mean negative log-likelihood of the labels, in nats.

    NLL = -sum_i log softmax(z_i)[y_i] / N (the logarithmic score of Good 1952).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(nll([[0.0, 0.0], [0.0, 0.0]], [0, 1]), 4)
    0.6931
    """
    return _compute(logits, labels)["nll"]


def brier(logits: Array, labels: Array) -> float:
    """Return the Brier score, summed over classes: 0 for certainty in the label, 2 for certainty in another class.

    Brier = sum_i sum_k (p_ik - [k = y_i])^2 / N (Brier 1950).

    :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.

    >>> round(brier([[0.0, 0.0], [0.0, 0.0]], [0, 1]), 4)
    0.5
    """
    return _compute(logits, labels)["brier"]


def _compute(logits: Array, labels: Array) -> dict[str, float]:
    state = CalibrationState(num_bins=1)
    state.update(logits, labels)
    return state.compute()
