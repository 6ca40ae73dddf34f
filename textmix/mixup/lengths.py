"""Pairs of texts that differ in length: which row carries a pair, and what the model is given for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from textmix.errors import InputError
from textmix.mixup.draw import Mix

CARRIED = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
"""Inputs of a text batch, each (B, L), that a pair takes from its carrier."""


@dataclass(frozen=True)
class Plan:
    """What the hooks read while they are armed; nothing in it changes.

    `permutation` (B,) and `weight` () or (B,) are the mix. `carrier` (B,) is the row of each pair that everything but
    the mixed tensor comes from. `own` holds the inputs as each row has them alone. `site` is the armed site's name.
    """

    permutation: Tensor
    weight: Tensor
    carrier: Tensor
    own: dict[str, Tensor] = field(default_factory=dict)
    site: str = "embedding"


def carriers(mix: Mix, mask: Tensor | None) -> Tensor:
    """Return for each pair the row that is longer, or heavier where both are equally long: LongTensor (B,).

    >>> mask = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    >>> carriers(Mix(torch.tensor([1, 2, 0]), torch.tensor(0.9)), mask)
    tensor([1, 2, 2])

    :param mask: the attention mask (B, L); without one every row is taken to be full.
    """
    rows = torch.arange(len(mix.permutation), device=mix.permutation.device)
    if mask is None:
        return torch.where(mix.weight < 0.5, mix.permutation, rows)
    length = mask.sum(dim=1)
    longer = length.index_select(0, mix.permutation) - length
    # Lengths are whole numbers and weights from 0 to 1, so that the weight decides only between equal lengths.
    return torch.where(longer > mix.weight - 0.5, mix.permutation, rows)


def carry(batch: Mapping[str, Tensor], mix: Mix, carrier: Tensor) -> dict[str, Tensor]:
    """Return the inputs of the pairs: every one from the carrier row, the attention mask the union of both rows'."""
    return {
        name: torch.maximum(rows, rows.index_select(0, mix.permutation))
        if name == "attention_mask"
        else rows.index_select(0, carrier)
        for name, rows in batch.items()
    }


def check(batch: Mapping[str, object], mix: Mix, allowed: tuple[str, ...]) -> None:
    """Refuse a batch that the mix or its site does not fit.

    :param allowed: the inputs that the site knows how to mix; none means any.
    :raises InputError: the batch is empty, has an input that the site does not know, or another number of rows than the
        mix.
    """
    if not batch:
        raise InputError("batch: expected the model's inputs by name, got an empty one; pass what the model reads.")
    size = len(mix.permutation)
    for name, value in batch.items():
        if allowed and name == "inputs_embeds":
            raise InputError("inputs_embeds: it bypasses the embedding, where rows are mixed; pass input_ids instead.")
        if allowed and name not in allowed:
            raise InputError(
                f"The batch's input {name!r} can't be mixed with its row: expected {', '.join(allowed)}; leave it "
                "out of the batch, make the Mixup with an example= that has it, or use mixup.site head."
            )
        if isinstance(value, Tensor) and value.ndim and len(value) != size:
            raise InputError(
                f"The batch's input {name!r}: expected {size} rows as the mix has, got {len(value)}; draw one mix for "
                "each batch."
            )


def pair(batch: Mapping[str, Tensor], mix: Mix, site: str, carried: bool) -> tuple[Plan, dict[str, Tensor]]:
    """Return what the hooks of `site` read and what the model is given for the pairs of `batch`.

    :param carried: whether inputs come from the carriers, as those of texts must.
    """
    if not carried:
        return Plan(mix.permutation, mix.weight, carriers(mix, None), {}, site), dict(batch)
    carrier = carriers(mix, batch.get("attention_mask"))
    return Plan(mix.permutation, mix.weight, carrier, dict(batch), site), carry(batch, mix, carrier)
