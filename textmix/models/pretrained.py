"""Any Hugging Face classifier as a starting point, and what the architecture of one of texts asks of them."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from textmix.config import Config, ModelConfig
from textmix.data import Examples, Splits, TextExamples, resolve_packaged_model
from textmix.data.batching import Indices
from textmix.data.loading import loading
from textmix.errors import InputError
from textmix.models.limits import check_length, check_tokens

logger = logging.getLogger(__name__)

BAKED = "calibration_temperature"
"""The key of a model's configuration that holds the temperature its last layer was divided by."""

Mismatch = tuple[str, torch.Size, torch.Size]
"""A weight's name, its shape in the checkpoint, and in the model."""


_FEW, _SHORT = 5, 32
"""Rows that mixing is proven on, and tokens of the longest of them where there are enough as short."""


@dataclass(frozen=True)
class Loaded:
    """A model, and the names of its weights that the checkpoint did not have: they are new."""

    model: PreTrainedModel
    new: tuple[str, ...]


def load_pretrained(config: Config, splits: Splits, labels: dict[str, Any]) -> Loaded:
    """Load ``config.model.path`` as a classifier of texts for `labels`, with a new last layer where there is none.

    :param labels: the keys of a model's configuration that say so.
    :raises InputError: as :func:`load_weights` does, or it can't read texts of ``data.max_length``, or their tokens.
    """
    loaded = load_weights(AutoModelForSequenceClassification, "sequence classifier", config.model, labels)
    check_length(loaded.model, config.data.max_length)
    check_tokens(loaded.model, splits.processor, splits.train, splits.validation, splits.test)
    pad_with(loaded.model, splits.processor.pad_token_id)
    return loaded


def load_weights(auto: Any, kind: str, config: ModelConfig, labels: dict[str, Any]) -> Loaded:
    """Load any Hugging Face classifier, with a new last layer where its checkpoint has none or a new one is asked for.

    :param auto: the Auto class that knows such models, which are called `kind`.
    :param labels: the keys of a model's configuration that say which classes there are.
    :raises InputError: there is no such model, its checkpoint lacks most weights, or its classifier was trained for
        another number of labels.
    """
    path = str(config.path)
    with loading("model.path", f"a Hugging Face {kind}", path), quiet_loading():
        folder = resolve_packaged_model(path)
        trained_for = AutoConfig.from_pretrained(folder, trust_remote_code=False).id2label or {}
        model, info = auto.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **labels,
        )
    check_shapes(path, info["mismatched_keys"], labels["num_labels"], new_head=config.new_head)
    new = (*sorted(info["missing_keys"]), *sorted(name for name, _, _ in info["mismatched_keys"]))
    names = {name for name, _ in model.named_parameters()}
    if 2 * len(names & set(new)) > len(names):
        raise InputError(
            f"model.path: expected the weights of a {type(model).__name__} in {path!r}, got only "
            f"{len(names) - len(names & set(new))} of {len(names)}."
        )
    own = [str(name) for _, name in sorted(trained_for.items())]
    wanted = list(labels["id2label"].values())
    if own != wanted and sorted(own) == sorted(wanted):
        _reorder(model, [own.index(name) for name in wanted])
    if new:
        logger.info("%s: not in the checkpoint, and therefore new: %s.", path, ", ".join(new))
    forget_temperature(model)
    return Loaded(model, new)


def forget_temperature(model: PreTrainedModel) -> None:
    """Let the configuration of a model that is to be trained no longer say which temperature is baked into it.

    What was divided by it is the start of the training, and nothing that its end could be multiplied by.
    """
    if BAKED in model.config.to_dict():
        delattr(model.config, BAKED)


@torch.no_grad()
def _reorder(model: PreTrainedModel, order: list[int]) -> None:
    """Give the outputs of the classifier another order: those of a checkpoint have its own, data the alphabet's.

    The classifier is what has another shape in the same model for one label more.
    """
    config = copy.deepcopy(model.config)
    config.num_labels = len(order) + 1
    with torch.device("meta"):  # shapes alone
        larger = dict(type(model)(config).named_parameters())
    for name, parameter in model.named_parameters():
        for dim, (size, size_there) in enumerate(zip(parameter.shape, larger[name].shape, strict=True)):
            if size != size_there:
                parameter.copy_(parameter.index_select(dim, torch.tensor(order)))


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers from reporting on what is checked and told by the caller."""
    report = logging.getLogger("transformers.modeling_utils")
    report.addFilter(_is_error)
    try:
        yield
    finally:
        report.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def check_shapes(path: str, mismatched: list[Mismatch], num_labels: int, *, new_head: bool) -> None:
    """Refuse weights of other shapes than the model's, but for those of a classifier that is to be new.

    :raises InputError: there are such.
    """
    for name, there, here in mismatched:
        if here[0] != num_labels or there[1:] != here[1:]:
            raise InputError(
                f"model.path: {path!r} does not fit its own configuration: {name} has the shape {tuple(there)} in the "
                f"weights and {tuple(here)} in the model."
            )
        if not new_head:
            raise InputError(
                f"model.path: the classifier of {path!r} was trained for {there[0]} labels and the data has "
                f"{num_labels}; set model.new_head true to start with a new one, or choose another checkpoint."
            )


def pad_with(model: PreTrainedModel, token_id: int) -> None:
    """Tell `model` its tokenizer's token of padding: decoders pool at the last token that is none.

    Models of more than texts (Gemma 3) look for it in the configuration of their text half.
    """
    for config in (model.config, model.config.get_text_config()):
        config.pad_token_id = token_id


def recompute_activations(model: PreTrainedModel) -> None:
    """Let the backward pass compute the activations of every layer again instead of keeping them.

    :raises InputError: the model has no layers that can.
    """
    if not model.supports_gradient_checkpointing:
        raise InputError(f"model.gradient_checkpointing: {type(model).__name__} has none; set it to false.")
    model.activation_checkpointing_enable({"use_reentrant": False})  # which works with frozen weights, too


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


def proof_example(examples: Examples) -> dict[str, Tensor]:
    """Return a batch to prove mixing on: a few examples, and of texts short ones, for a quick proof."""
    order = np.arange(len(examples))
    if examples.lengths is not None:
        short = int((examples.lengths <= _SHORT).sum())
        order = np.argsort(examples.lengths, kind="stable")[: max(short, _FEW)]
    few = order[np.linspace(0, len(order) - 1, min(len(order), _FEW)).astype(np.int64)]
    return examples.transform(examples.batch(few), None)
