"""Losses of logits (B, C) and soft targets (B, C): plain cross entropy, label smoothing and mixup are one formula.

Every loss is a sum over the batch divided by what it is averaged over, so that a batch that is computed in parts
(micro-batches, processes) can be divided by the whole's count and gives the whole's gradient.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textmix.config import LossConfig
from textmix.errors import InputError


def soft_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    r"""Cross entropy with soft targets, :math:`-\frac{1}{M} \sum_i \sum_k w_k t_{ik} \log p_{ik}`, in nats.

    :math:`M` is the weight mass of the targets, :math:`\sum_i \sum_k w_k t_{ik}` (the number of rows where there are no
    class weights), so that one-hot targets give exactly ``F.cross_entropy(logits, labels, weight=class_weights)``.

    :param logits: (B, C).
    :param targets: (B, C), rows summing to 1.
    :param class_weights: (C,) or None.
    :return: a scalar.
    :raises InputError: the shapes differ.

    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> targets = torch.tensor([[0.7, 0.3], [0.0, 1.0]])
    >>> round(soft_cross_entropy(logits, targets).item(), 4)
    0.5201
    """
    return cross_entropy_sum(logits, targets, class_weights) / target_mass(targets, class_weights)


def cross_entropy_sum(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return the numerator of :func:`soft_cross_entropy`, in float32 at least.

    :raises InputError: the shapes differ.

    >>> cross_entropy_sum(torch.zeros(3, 4), torch.eye(4)[:3]).item() / 3 == torch.tensor(4.0).log().item()
    True
    """
    if logits.shape != targets.shape:
        raise InputError(
            f"soft targets: expected the shape of the logits {tuple(logits.shape)}, got {tuple(targets.shape)}; "
            "make one-hot rows of hard labels first."
        )
    weighted = targets if class_weights is None else targets * class_weights
    return -(weighted * torch.log_softmax(_float(logits), dim=-1)).sum()


def target_mass(targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Return the denominator of :func:`soft_cross_entropy`: rows, or class weights summed over the targets.

    >>> target_mass(torch.eye(2), torch.tensor([1.0, 3.0]))
    tensor(4.)
    """
    if class_weights is None:
        return targets.new_tensor(float(len(targets)))
    return (targets * class_weights).sum()


def smooth_labels(targets: Tensor, epsilon: float, convention: str = "others") -> Tensor:
    r"""Label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    ``others``, as in Thulasidasan et al. 2019: every target keeps :math:`1 - \epsilon` of its mass and the rest goes to
    the other :math:`K - 1` classes; ``all``, as in torch: :math:`\epsilon` is spread over all :math:`K` classes. The
    two are related by :math:`\epsilon_\text{all} = \epsilon_\text{others} K / (K - 1)`.

    :param targets: (B, C), hard or mixed.
    :param epsilon: in [0, 1]; for ``others`` at most (K - 1) / K, beyond which the right class would be the
        least likely.
    :raises InputError: epsilon is out of these bounds.

    >>> smooth_labels(torch.tensor([[1.0, 0.0, 0.0]]), 0.1)
    tensor([[0.9000, 0.0500, 0.0500]])
    >>> smooth_labels(torch.tensor([[1.0, 0.0, 0.0]]), 0.15, "all")
    tensor([[0.9000, 0.0500, 0.0500]])
    """
    if epsilon == 0:
        return targets
    num_classes = targets.shape[-1]
    bound = 1.0 if convention == "all" else (num_classes - 1) / num_classes
    if not 0 <= epsilon <= bound:
        raise InputError(
            f"loss.label_smoothing: expected a share in [0, {bound:.4g}] for {num_classes} classes in the convention "
            f"{convention!r}, got {epsilon}."
        )
    spread = epsilon if convention == "all" else epsilon * num_classes / (num_classes - 1)
    return targets * (1 - spread) + spread / num_classes


def entropy_sum(logits: Tensor) -> Tensor:
    r"""Entropy of the predictions, :math:`\sum_i H(p_i) = -\sum_i \sum_k p_{ik} \log p_{ik}`, in nats.

    The entropy-regularised loss subtracts kappa times its mean (Pereyra et al. 2017, arXiv 1701.06548, equation 3).

    >>> round(entropy_sum(torch.zeros(2, 8)).item() / 2, 4)  # log 8
    2.0794
    """
    log_p = torch.log_softmax(_float(logits), dim=-1)
    return -(log_p.exp() * log_p).sum()


def classification_loss(
    logits: Tensor,
    targets: Tensor,
    config: LossConfig,
    class_weights: Tensor | None = None,
    *,
    rows: Tensor | float | None = None,
    mass: Tensor | float | None = None,
) -> Tensor:
    """Cross entropy with everything `config` adds to it, as a scalar.

    The batch may be a part of a larger one: `rows` and `mass` are then the whole's number of rows and
    :func:`target_mass`, by which the entropy and the cross entropy are divided.

    :param logits: (B, C).
    :param targets: (B, C), before smoothing; class weights are normalised by these, as torch does.
    :raises InputError: shapes differ, or the smoothing is out of bounds for this number of classes.

    >>> from textmix.config import LossConfig
    >>> logits, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    >>> round(classification_loss(logits, targets, LossConfig(entropy_penalty=0.1)).item(), 4)
    0.0904
    """
    smoothed = smooth_labels(targets, config.label_smoothing, config.smoothing_convention)
    mass = target_mass(targets, class_weights) if mass is None else mass
    loss = cross_entropy_sum(logits, smoothed, class_weights) / mass
    if config.entropy_penalty > 0:
        loss = loss - config.entropy_penalty * entropy_sum(logits) / (len(logits) if rows is None else rows)
    return loss


def resolve_class_weights(config: LossConfig, counts: Tensor) -> Tensor | None:
    """Return the weight of each class (C,), or None where all are alike.

    ``balanced`` is n / (K * count), as scikit-learn has it.

    :param counts: training examples of each class (C,).
    :raises InputError: the number of weights is not the number of classes, or balanced meets a class without examples.

    >>> resolve_class_weights(LossConfig(class_weights="balanced"), torch.tensor([30, 10]))
    tensor([0.6667, 2.0000])
    """
    if config.class_weights == "none":
        return None
    if config.class_weights == "balanced":
        if (counts == 0).any():
            empty = (counts == 0).nonzero().flatten().tolist()
            raise InputError(
                f"loss.class_weights: balanced needs a training example of every class, got none of classes {empty}."
            )
        return counts.sum() / (len(counts) * counts.float())
    if len(config.class_weights) != len(counts):
        raise InputError(
            f"loss.class_weights: expected one weight for each of the {len(counts)} classes, "
            f"got {len(config.class_weights)}."
        )
    return torch.tensor(config.class_weights)


def check_loss(config: LossConfig, counts: npt.NDArray[np.int64]) -> None:
    """Make sure, before any training, that `config` fits these classes.

    :param counts: training examples of each class (C,).
    :raises InputError: the class weights or the label smoothing don't.

    >>> check_loss(LossConfig(label_smoothing=0.5), np.array([30, 10]))
    """
    resolve_class_weights(config, torch.from_numpy(counts))
    smooth_labels(torch.eye(len(counts)), config.label_smoothing, config.smoothing_convention)


def _float(logits: Tensor) -> Tensor:
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
