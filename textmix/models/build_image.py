"""From a configuration to an image model with its first weights."""

from typing import Any

import torch
from transformers import AutoModelForImageClassification, PreTrainedModel

from textmix.config import ModelConfig
from textmix.errors import InputError
from textmix.models.image import (
    ResNetConfig,
    ResNetForImageClassification,
    VGGConfig,
    VGGForImageClassification,
    checkpoint_activations,
)
from textmix.models.pretrained import load_weights

RESNETS: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2]},
    "resnet20": {"depths": [3, 3, 3], "width": 16},
    "resnet34": {"depths": [3, 4, 6, 3]},
    "resnet50": {"stem": "large", "block": "bottleneck", "depths": [3, 4, 6, 3]},
    "resnext101": {
        "stem": "large", "block": "bottleneck", "depths": [3, 4, 23, 3], "groups": 32, "width_per_group": 4,
    },
}  # fmt: skip
"""What sets the networks of the family apart, by `model.name`."""


def build_resnet(config: ModelConfig, labels: dict[str, Any]) -> PreTrainedModel:
    """Build a network of :data:`RESNETS` with new weights.

    :param labels: the entries of a configuration that name the classes.
    :raises InputError: `model.width` does not suit the network.
    """
    options = RESNETS[config.name] | labels | ({} if config.width is None else {"width": config.width})
    return _finished(ResNetForImageClassification(ResNetConfig(**options)), config)


def build_vgg16(config: ModelConfig, labels: dict[str, Any]) -> PreTrainedModel:
    """Build VGG-16 with batch norm and new weights."""
    first = 64 if config.width is None else config.width
    widths = [first, 2 * first, 4 * first, 8 * first, 8 * first]
    return _finished(VGGForImageClassification(VGGConfig(widths=widths, **labels)), config)


def load_image_classifier(config: ModelConfig, labels: dict[str, Any]) -> PreTrainedModel:
    """Load any Hugging Face image classifier, with a new last layer where it has none or `model.new_head` asks for it.

    :raises InputError: as :func:`textmix.models.pretrained.load_weights` does, or the model can't compute its
        activations again where `model.gradient_checkpointing` asks for it.
    """
    return _finished(load_weights(AutoModelForImageClassification, "image classifier", config, labels).model, config)


def _finished(model: PreTrainedModel, config: ModelConfig) -> PreTrainedModel:
    if config.gradient_checkpointing:
        if not model.supports_gradient_checkpointing:
            raise InputError(f"model.gradient_checkpointing: {type(model).__name__} has none; set it to false.")
        checkpoint_activations(model)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
    return model
