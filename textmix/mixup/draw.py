"""Which rows are mixed, and how much of each: everything random about mixup, drawn on the host without any state."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from textmix.config import MixupConfig
from textmix.errors import InputError


@dataclass(frozen=True)
class Mix:
    """The pairs of one batch of B rows: row i becomes ``weight * row i + (1 - weight) * row permutation[i]``.

    `permutation` is a LongTensor (B,), `weight` a float tensor () or (B,): lambda, the share of row i itself. `labels`
    says what becomes of the two labels: `soft` mixes them alike, `dominant` keeps the one of the larger weight.
    `choice` in [0, 1) picks one of several sites (``hidden:random[...]``). `identity` marks rows that stay unmixed.
    """

    permutation: Tensor
    weight: Tensor
    labels: Literal["soft", "dominant"] = "soft"
    choice: float = 0.0
    identity: bool = False

    def to(self, device: torch.device) -> "Mix":
        """Return the same pairs with their tensors on `device`; the copy waits for nothing."""
        permutation, weight = (t.to(device, non_blocking=True) for t in (self.permutation, self.weight))
        return Mix(permutation, weight, self.labels, self.choice, self.identity)

    def targets(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return the targets of the mixed rows (Thulasidasan et al. 2019, eq. 2), one-hot where nothing is mixed.

        >>> mix = Mix(torch.tensor([1, 2, 0]), torch.tensor(0.75))
        >>> mix.targets(torch.tensor([0, 1, 1]), num_classes=2)
        tensor([[0.7500, 0.2500],
                [0.0000, 1.0000],
                [0.2500, 0.7500]])

        :param labels: class indices (B,), of any integer type or bool.
        :return: float32 (B, num_classes) on the device of `labels`; each row sums to 1.
        :raises InputError: `labels` has another number of rows than the mix, or holds no indices.
        """
        if labels.shape != self.permutation.shape or labels.is_floating_point():
            raise InputError(
                f"labels: expected class indices of shape {tuple(self.permutation.shape)} as the mix has, "
                f"got shape {tuple(labels.shape)} of {labels.dtype}; draw one mix for each batch."
            )
        labels = labels.long()
        if self.identity:
            return one_hot(labels, num_classes).float()
        mix = self.to(labels.device)
        if self.labels == "dominant":
            return one_hot(torch.where(mix.weight >= 0.5, labels, labels[mix.permutation]), num_classes).float()
        own = one_hot(labels, num_classes).float()
        return torch.lerp(own.index_select(0, mix.permutation), own, mix.weight.float().reshape(-1, 1))


def draw(config: MixupConfig, batch_size: int, seed: tuple[int, int, int, int]) -> Mix:
    """Draw the pairs of one batch: a uniform permutation and lambda ~ Beta(alpha, alpha), never folded.

    The draw depends on its arguments alone. Philox counts (Salmon et al. 2011): the run's seed is its key, and epoch,
    step and rank are the high words of its counter, so that no two batches ever share a random number.

    >>> config = MixupConfig(alpha=0.4)
    >>> mix = draw(config, batch_size=4, seed=(0, 0, 7, 0))
    >>> bool(torch.equal(mix.weight, draw(config, batch_size=4, seed=(0, 0, 7, 0)).weight))
    True

    :param config: with `site` none or `alpha` 0 nothing is drawn and the mix is the identity.
    :param batch_size: rows of this process's micro-batch; a single row has no partner and stays as it is.
    :param seed: (seed, epoch, step, rank), each >= 0; `step` counts micro-batches.
    :raises InputError: a number of `seed` is negative.
    """
    if min(seed) < 0:
        raise InputError(f"seed: expected (seed, epoch, step, rank), each an integer >= 0, got {seed}.")
    if not config.active or batch_size < 2:
        return Mix(torch.arange(batch_size), torch.ones(()), config.labels, identity=True)
    key, epoch, step, rank = seed
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, step, epoch, rank]))
    size = batch_size if config.weight_per == "sample" else ()
    weight = torch.as_tensor(generator.beta(config.alpha, config.alpha, size), dtype=torch.float32)
    permutation = torch.from_numpy(generator.permutation(batch_size))
    return Mix(permutation, weight, config.labels, choice=generator.random())
