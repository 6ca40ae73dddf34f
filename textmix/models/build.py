"""From a configuration and the training split to a model with its first weights."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedModel

from textmix.config import Config, ModelConfig
from textmix.data import Splits, TextExamples, used_token_ids
from textmix.data.vectors import load_vectors
from textmix.models.adapters import add_adapters
from textmix.models.build_image import RESNETS, build_resnet, build_vgg16, load_image_classifier
from textmix.models.example import proof_example
from textmix.models.pretrained import load_pretrained, recompute_activations
from textmix.models.text import (
    BiLSTMConfig,
    BiLSTMForSequenceClassification,
    KimCNNConfig,
    KimCNNForSequenceClassification,
)

logger = logging.getLogger(__name__)


def build_model(config: Config, splits: Splits) -> PreTrainedModel:
    """Build the network that ``config.model`` names, for the labels of `splits`.

    New weights are drawn from torch's global generator: seed it first.

    :raises InputError: word vectors or pretrained weights that can't be read or don't fit.
    """
    return BUILDERS[config.data.kind][config.model.name](config, splits)


def _build_cnn(config: Config, splits: Splits) -> PreTrainedModel:
    vectors, used = _vectors(config, splits)
    model = KimCNNForSequenceClassification(
        KimCNNConfig(
            filter_widths=list(config.model.filter_widths),
            num_filters=config.model.num_filters,
            **_common(config.model, splits, vectors, used),
        )
    )
    return _with_vectors(model, config.model, splits, vectors, used)


def _build_lstm(config: Config, splits: Splits) -> PreTrainedModel:
    vectors, used = _vectors(config, splits)
    model = BiLSTMForSequenceClassification(
        BiLSTMConfig(
            hidden_size=config.model.hidden_size,
            num_layers=config.model.num_layers,
            **_common(config.model, splits, vectors, used),
        )
    )
    return _with_vectors(model, config.model, splits, vectors, used)


def _build_pretrained_text(config: Config, splits: Splits) -> PreTrainedModel:
    loaded = load_pretrained(config, splits, _labels(splits))
    if config.model.gradient_checkpointing:
        recompute_activations(loaded.model)
    if config.peft.kind != "none":
        add_adapters(loaded.model, config.peft, loaded.new, proof_example(splits.train))
    return loaded.model


def _build_resnet(config: Config, splits: Splits) -> PreTrainedModel:
    return build_resnet(config.model, _labels(splits))


def _build_vgg16(config: Config, splits: Splits) -> PreTrainedModel:
    return build_vgg16(config.model, _labels(splits))


def _build_pretrained_image(config: Config, splits: Splits) -> PreTrainedModel:
    return load_image_classifier(config.model, _labels(splits))


Builder = Callable[[Config, Splits], PreTrainedModel]

_TEXT_BUILDERS: dict[str, Builder] = {"cnn": _build_cnn, "lstm": _build_lstm, "pretrained": _build_pretrained_text}
_IMAGE_BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(RESNETS, _build_resnet),
    "vgg16": _build_vgg16,
    "pretrained": _build_pretrained_image,
}
BUILDERS = {"texts": _TEXT_BUILDERS, "images": _IMAGE_BUILDERS}
"""The builder of each ``model.name``, for each kind of data."""


def _labels(splits: Splits) -> dict[str, Any]:
    names = dict(enumerate(splits.label_names))
    return {
        "num_labels": len(names),
        "id2label": names,
        "label2id": {name: i for i, name in names.items()},
        # Without it, transformers would guess from the type of the labels it is given.
        "problem_type": "single_label_classification",
    }


def _vectors(config: Config, splits: Splits) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return a vector for each token id (V, D), and the ids that get a row of their own."""
    assert isinstance(splits.train, TextExamples)
    used = used_token_ids(splits.train, splits.processor)
    vectors = load_vectors(config.model.vectors, splits.processor, config.model.embedding_dim, config.seed)
    logger.info(
        "Word vectors: %s, %d x %d of %d kept.", config.model.vectors, len(used), vectors.shape[1], len(vectors)
    )
    return vectors, used


def _common(
    config: ModelConfig, splits: Splits, vectors: npt.NDArray[np.float32], used: npt.NDArray[np.int64]
) -> dict[str, Any]:
    return {
        "vocab_size": len(vectors),
        "num_rows": len(used),
        "embedding_dim": vectors.shape[1],
        "dropout": config.dropout,
        "pad_token_id": splits.processor.pad_token_id,
        **_labels(splits),
    }


def _with_vectors(
    model: KimCNNForSequenceClassification | BiLSTMForSequenceClassification,
    config: ModelConfig,
    splits: Splits,
    vectors: npt.NDArray[np.float32],
    used: npt.NDArray[np.int64],
) -> PreTrainedModel:
    pad, unknown = splits.processor.pad_token_id, splits.processor.unk_token_id
    # Byte-level tokenizers have no unknown token: an id outside the training texts then reads as padding.
    model.embedding.keep(vectors, used, pad_id=pad, unk_id=pad if unknown is None else unknown)
    model.embedding.weight.requires_grad_(not config.freeze_vectors)
    return model
