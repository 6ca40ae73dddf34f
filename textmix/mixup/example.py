"""Batches to prove mixup on: made from a model's configuration, and the same with other tokens."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from textmix.errors import InputError

_LENGTHS = (4, 7, 11, 11, 7)
"""Each row's neighbour is longer, longer, equally long, shorter, shorter (the last one's is the first)."""


def text_config(model: nn.Module) -> dict[str, Any]:
    """Return what the Hugging Face model in `model` says of its texts; empty where there is none."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            return module.config.get_text_config().to_dict()
    return {}


def special_ids(model: nn.Module) -> set[int]:
    """Return the ids that mean something to the model's own code: padding, end of text, decoder start."""
    values = [value for key, value in text_config(model).items() if key.endswith("token_id")]
    return {i for value in values for i in (value if isinstance(value, list) else [value]) if i is not None}


def example_batch(model: nn.Module, pad_id: int | None) -> dict[str, Tensor]:
    """Make a batch of five rows of random tokens, padded on the right, with what the model reads beside `input_ids`.

    :param pad_id: token id of padding; None is the model's own.
    :raises InputError: the model has no vocabulary or no padding token.
    """
    config = text_config(model)
    pad = config.get("pad_token_id") if pad_id is None else pad_id
    if "vocab_size" not in config:
        raise InputError(f"{type(model).__name__} has no vocab_size in its configuration; pass Mixup an example batch.")
    if pad is None:
        raise InputError(f"{type(model).__name__} has no padding token; set config.pad_token_id to the tokenizer's.")
    special = special_ids(model) | {pad}
    ordinary = torch.tensor([i for i in range(min(config["vocab_size"], 2**15)) if i not in special])
    lengths, length = torch.tensor(_LENGTHS)[:, None], max(_LENGTHS)
    drawn = torch.randint(len(ordinary), (len(_LENGTHS), length), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(length) < lengths
    ids = torch.where(mask, ordinary[drawn], pad)
    end = config.get("eos_token_id")
    if isinstance(end, int) and end != pad:  # where a model pools at it, every row must have one
        ids.scatter_(1, lengths - 1, end)
    batch = {"input_ids": ids, "attention_mask": mask.long()}
    if (config.get("type_vocab_size") or 0) > 1:
        batch["token_type_ids"] = (mask & (torch.arange(length) >= lengths // 2)).long()
    taken = signature(model.forward).parameters
    return {name: rows for name, rows in batch.items() if name in taken}


def few_rows(example: Mapping[str, object], device: torch.device) -> dict[str, Tensor]:
    """Take six rows of a batch, from its shortest to its longest, without its labels.

    :raises InputError: it holds something else than tensors, less than two rows, or no padding, so that nothing would
        be proven of pairs that differ in length.
    """
    batch = {name: rows for name, rows in example.items() if name != "labels"}
    tensors = {name: rows.to(device) for name, rows in batch.items() if isinstance(rows, Tensor)}
    if len(tensors) < len(batch) or not tensors or min(map(len, tensors.values())) < 2:
        got = ", ".join(f"{name} {type(rows).__name__}" for name, rows in batch.items())
        raise InputError(f"example: expected a batch of tensors with two rows at least, got {got}.")
    size = len(next(iter(tensors.values())))
    order = torch.arange(size, device=device)
    if "attention_mask" in tensors:
        if tensors["attention_mask"].all():
            raise InputError("example: expected texts of different lengths with their padding, got no padding.")
        order = tensors["attention_mask"].sum(dim=1).argsort(stable=True)
    chosen = order[torch.linspace(0, size - 1, min(size, 6), device=device).long()]
    return {name: rows[chosen] for name, rows in tensors.items()}


def scrambled(batch: Mapping[str, Tensor], special: set[int]) -> dict[str, Tensor]:
    """Replace every token by another one of the batch; pads and special tokens stay, so all else derived does too.

    Pixels are mirrored instead.

    :raises InputError: the batch has neither, or fewer than two different tokens.
    """
    if "input_ids" not in batch:
        if "pixel_values" not in batch:
            raise InputError(f"example: expected a batch with input_ids or pixel_values, got {', '.join(batch)}.")
        return {**batch, "pixel_values": batch["pixel_values"].flip(-1)}
    ids = batch["input_ids"]
    fixed = torch.isin(ids, torch.tensor(sorted(special), dtype=ids.dtype, device=ids.device))
    if "attention_mask" in batch:
        fixed |= batch["attention_mask"] == 0
    tokens = ids[~fixed].unique()
    if len(tokens) < 2:
        raise InputError("example: expected a batch with two different tokens at least, to prove mixup on.")
    others = tokens.roll(1)[torch.searchsorted(tokens, ids).clamp(max=len(tokens) - 1)]
    return {**batch, "input_ids": torch.where(fixed, ids, others)}
