"""What the architecture of a model of texts asks of their padding: decoders pool at a text's last token."""

import copy
from dataclasses import dataclass, replace
from inspect import signature

import torch
from torch import Tensor
from transformers import PreTrainedModel

from textmix.data import Examples, Splits, TextExamples
from textmix.data.batching import Indices


def pad_with(model: PreTrainedModel, token_id: int) -> None:
    """Tell `model` its tokenizer's token of padding: decoders pool at the last token that is none.

    Models of more than texts (Gemma 3) look for it in the configuration of their text half.
    """
    for config in (model.config, model.config.get_text_config()):
        config.pad_token_id = token_id


@torch.no_grad()
def pools_last_token(model: PreTrainedModel) -> bool:
    """Tell whether the model is decoder-only: whether what follows a text's last token changes nothing.

    Padding ids are appended to a text and attended to. A decoder reads from left to right and pools at the last token
    that is no padding, so that its logits stay the same, though another last token changes them.
    """
    if "inputs_embeds" not in signature(model.forward).parameters:  # none of the transformers
        return False
    config = model.config.get_text_config().to_dict()
    pad, end = config["pad_token_id"], config.get("eos_token_id")
    special = {pad, *(end if isinstance(end, list) else [end])}
    *text, other = [i for i in range(16) if i not in special][:9]
    # Some models pool at the end of text, and fail without it.
    tail = [end] if isinstance(end, int) and end < config.get("vocab_size", 0) else []
    texts = [*text, *tail], [*text, *tail, pad, pad, pad], [*text[:-1], other, *tail]
    training = model.training
    model.eval()
    alone, followed, changed = (
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        for ids in (torch.tensor([text], device=model.device) for text in texts)
    )
    model.train(training)
    return bool((followed - alone).abs().max() < 1e-3 * (changed - alone).abs().max())


def positions(mask: Tensor) -> Tensor:
    """Return the place of each token in its text, counted from 0, whichever side is padded: LongTensor (B, L).

    :param mask: the attention mask (B, L).
    """
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def takes_positions(model: PreTrainedModel) -> bool:
    """Tell whether the model can be given `position_ids`."""
    return "position_ids" in signature(model.forward).parameters


@dataclass(frozen=True, eq=False)
class LeftPadded(TextExamples):
    """Texts padded on the left, with their positions where the model takes any.

    So the last tokens of a mixed pair, where a decoder pools, are mixed with each other.
    """

    positions: bool

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """Return what TextExamples does, and `position_ids` (B, L)."""
        batch = super().batch(indices)
        if self.positions:
            batch["position_ids"] = positions(batch["attention_mask"])
        return batch


def fit_padding(model: PreTrainedModel, splits: Splits) -> Splits:
    """Pad the training texts of a decoder-only model on the left, and all others, and later ones, on the right.

    The texts of other models are padded as their tokenizer says.
    """
    if not isinstance(splits.train, TextExamples) or not pools_last_token(model):
        return splits
    processor = copy.deepcopy(splits.processor)
    processor.padding_side = "right"  # or a GPT-2 in a pipeline would count the padding among its positions
    train = LeftPadded(**{**vars(splits.train), "pad_left": True}, positions=takes_positions(model))
    test = None if splits.test is None else _padded_right(splits.test)
    return replace(splits, train=train, validation=_padded_right(splits.validation), test=test, processor=processor)


def fit_padding_outside(model: PreTrainedModel, outside: dict[str, Examples]) -> dict[str, Examples]:
    """Pad texts from outside the classes as :func:`fit_padding` pads those of validation."""
    return {name: _padded_right(part) for name, part in outside.items()} if pools_last_token(model) else outside


def _padded_right(part: Examples) -> Examples:
    return replace(part, pad_left=False) if isinstance(part, TextExamples) else part
