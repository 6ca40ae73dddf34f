"""Any Hugging Face classifier as a starting point."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from textmix.config import Config, ModelConfig
from textmix.data import Splits, resolve_packaged_model
from textmix.data.loading import loading
from textmix.errors import InputError
from textmix.models.limits import check_length, check_tokens
from textmix.models.padding import pad_with

logger = logging.getLogger(__name__)

BAKED = "calibration_temperature"
"""The key of a model's configuration that holds the temperature its last layer was divided by."""

Mismatch = tuple[str, torch.Size, torch.Size]
"""A weight's name, its shape in the checkpoint, and in the model."""


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


def recompute_activations(model: PreTrainedModel) -> None:
    """Let the backward pass compute the activations of every layer again instead of keeping them.

    :raises InputError: the model has no layers that can.
    """
    if not model.supports_gradient_checkpointing:
        raise InputError(f"model.gradient_checkpointing: {type(model).__name__} has none; set it to false.")
    model.activation_checkpointing_enable({"use_reentrant": False})  # which works with frozen weights, too
