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


def padding_id(model: nn.Module, pad_id: int | None) -> int | None:
    """Return `pad_id` or, where it is None, the token id that the model itself calls padding, if any."""
    own: int | None = text_config(model).get("pad_token_id")
    return own if pad_id is None else pad_id


def example_batch(model: nn.Module, pad_id: int | None) -> dict[str, Tensor]:
    """Make a batch of five rows of random tokens, padded on the right, with what the model reads beside `input_ids`.

    :param pad_id: token id of padding; None is the model's own.
    :raises InputError: the model has no vocabulary or no padding token.
    """
    config, pad = text_config(model), padding_id(model, pad_id)
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


def few_rows(example: Mapping[str, object], device: torch.device, pad: int | None) -> dict[str, Tensor]:
    """Take six rows of a batch, from its shortest to its longest, without its labels.

    Where texts are all as long as the batch, as long texts that were cut are, some are shortened: of pairs that differ
    in length nothing would be proven otherwise.

    :param pad: token id of padding.
    :raises InputError: it holds something else than tensors, or less than two rows.
    """
    batch = {name: rows for name, rows in example.items() if name != "labels"}
    tensors = {name: rows.to(device) for name, rows in batch.items() if isinstance(rows, Tensor)}
    if len(tensors) < len(batch) or not tensors or min(map(len, tensors.values())) < 2:
        got = ", ".join(f"{name} {type(rows).__name__}" for name, rows in batch.items())
        raise InputError(f"example: expected a batch of tensors with two rows at least, got {got}.")
    size = len(next(iter(tensors.values())))
    order = torch.arange(size, device=device)
    if "attention_mask" in tensors:
        order = tensors["attention_mask"].sum(dim=1).argsort(stable=True)
    chosen = order[torch.linspace(0, size - 1, min(size, 6), device=device).long()]
    few = {name: rows[chosen] for name, rows in tensors.items()}
    if pad is None or not {"input_ids", "attention_mask"} <= few.keys() or not few["attention_mask"].all():
        return few
    return _shortened(few, pad)


def _shortened(batch: Mapping[str, Tensor], pad: int) -> dict[str, Tensor]:
    """Cut the first rows of a batch and pad them on the right; their last token, often the end of text, stays last."""
    ids = batch["input_ids"]
    size, width = ids.shape
    lengths = (width * torch.linspace(0.4, 1.4, size, device=ids.device)).ceil().clamp(max=width).long()[:, None]
    kept = torch.arange(width, device=ids.device) < lengths
    cut = torch.where(kept, ids.scatter(1, lengths - 1, ids[:, -1:]), pad)
    types = {name: rows * kept for name, rows in batch.items() if name == "token_type_ids"}
    return {**batch, **types, "input_ids": cut, "attention_mask": kept.to(batch["attention_mask"].dtype)}


def scrambled(batch: Mapping[str, Tensor], special: set[int]) -> dict[str, Tensor]:
    """Replace every token by another one of the batch; pads and special tokens stay, so all else derived does too.

    Pixels are mirrored instead.

    :raises InputError: the batch has neither, or fewer than two different tokens.
    """
    if "input_ids" not in batch:
        if "pixel_values" not in batch:
            raise InputError(
                f"example: expected a batch with input_ids or pixel_values, got {', '.join(batch)}; pass one of "
                "them, for mixing is proven with other tokens or pixels."
            )
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
