"""Convolutional image classifiers, saved and loaded like any Hugging Face model.

Both read ``pixel_values`` (B, channels, H, W), standardised, and return logits (B, C). Neither knows of mixup.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from textmix.errors import InputError


class VGGConfig(PreTrainedConfig):
    """Configuration of :class:`VGGForImageClassification`; the defaults are VGG-16."""

    model_type = "textmix-vgg"
    num_channels: int = 3
    """Colours of a pixel."""
    widths: list[int] | tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels of each stage."""
    depths: list[int] | tuple[int, ...] = (2, 2, 3, 3, 3)
    """Convolutions of each stage."""


class ResNetConfig(PreTrainedConfig):
    """Configuration of :class:`ResNetForImageClassification`; the defaults are ResNet-18 for images of 32 x 32 pixels.

    `width` and `width_per_group` are named as in the papers: a stage s of bottlenecks reads and writes 4 * width * 2^s
    channels, and its inner convolution has width * 2^s * groups * width_per_group / 64.
    """

    model_type = "textmix-resnet"
    num_channels: int = 3
    """Colours of a pixel."""
    stem: Literal["small", "large"] = "small"
    """small: one 3 x 3 convolution, for images of about 32 x 32; large: 7 x 7 and a pooling, a quarter of the size."""
    block: Literal["basic", "bottleneck"] = "basic"
    """Two 3 x 3 convolutions, or a 3 x 3 between two 1 x 1."""
    depths: list[int] | tuple[int, ...] = (2, 2, 2, 2)
    """Blocks of each stage."""
    width: int = 64
    """Channels of the first stage; each further stage has twice as many and half the size."""
    groups: int = 1
    """Groups of the bottleneck's 3 x 3 convolution (ResNeXt's cardinality)."""
    width_per_group: int = 64
    """Channels of such a group in the first stage at width 64."""


class _ImageClassifier(PreTrainedModel):
    """What both share: average pooling and one linear layer at the top."""

    main_input_name = "pixel_values"
    input_modalities = "image"
    supports_gradient_checkpointing = True
    stages: nn.ModuleList

    def _build_head(self, features: int) -> None:
        assert self.config.num_labels is not None
        self.classifier = nn.Linear(features, self.config.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """He's normal convolutions (arXiv 1502.01852); every other layer as torch initialises it."""
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()

    def _classify(self, features: Tensor) -> ImageClassifierOutputWithNoAttention:
        return ImageClassifierOutputWithNoAttention(logits=self.classifier(features.mean(dim=(2, 3))))


class _Stage(GradientCheckpointingLayer):
    """Convolutions with batch norm and ReLU, then half the size."""

    def __init__(self, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in [inputs] + [width] * (depth - 1):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.MaxPool2d(2))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, width, H // 2, W // 2)."""
        result: Tensor = self.layers(features)
        return result


class VGGForImageClassification(_ImageClassifier):
    """VGG with batch norm and one linear layer (Simonyan and Zisserman 2015, arXiv 1409.1556, as used on CIFAR).

    Images need 2^stages pixels on each side, 32 with the default five.
    """

    config: VGGConfig
    config_class = VGGConfig

    def __init__(self, config: VGGConfig) -> None:
        super().__init__(config)
        inputs = [config.num_channels, *config.widths[:-1]]
        self.stages = nn.ModuleList(map(_Stage, inputs, config.widths, config.depths))
        self._build_head(config.widths[-1])

    def forward(self, pixel_values: Tensor, **_: Any) -> ImageClassifierOutputWithNoAttention:
        """Return logits (B, C) for images (B, channels, H, W)."""
        features = pixel_values
        for stage in self.stages:
            features = stage(features)
        return self._classify(features)


class _ConvNorm(nn.Sequential):
    """A convolution that keeps the size up to its stride, and batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        )


class _Block(GradientCheckpointingLayer):
    """A residual block; where the shape changes, the shortcut is a projection."""

    def __init__(self, inputs: int, width: int, stride: int, config: ResNetConfig) -> None:
        super().__init__()
        if config.block == "basic":
            outputs = width
            layers = [_ConvNorm(inputs, width, 3, stride), _ConvNorm(width, width, 3)]
        else:
            outputs, inner = 4 * width, width * config.width_per_group // 64 * config.groups
            layers = [
                _ConvNorm(inputs, inner, 1),
                _ConvNorm(inner, inner, 3, stride, config.groups),
                _ConvNorm(inner, outputs, 1),
            ]
        self.layers = nn.ModuleList(layers)
        self.activation = nn.ReLU(inplace=True)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _ConvNorm(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        residual = features
        for layer in self.layers[:-1]:
            residual = self.activation(layer(residual))
        result: Tensor = self.activation(self.layers[-1](residual) + self.shortcut(features))
        return result


class ResNetForImageClassification(_ImageClassifier):
    """Residual networks (He et al. 2016, arXiv 1512.03385) and ResNeXt (Xie et al. 2017, arXiv 1611.05431).

    Strides are on the 3 x 3 convolutions, as everywhere by now.
    """

    config: ResNetConfig
    config_class = ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        if config.block == "bottleneck" and config.width * config.width_per_group % 64:
            raise InputError(
                f"width: expected a multiple of {64 // config.width_per_group} with width_per_group "
                f"{config.width_per_group}, got {config.width}."
            )
        large = config.stem == "large"
        self.stem = nn.Sequential(
            _ConvNorm(config.num_channels, config.width, 7 if large else 3, 2 if large else 1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1) if large else nn.Identity(),
        )
        expansion = 1 if config.block == "basic" else 4
        stages, inputs = [], config.width
        for s, depth in enumerate(config.depths):
            width, blocks = config.width * 2**s, []
            for i in range(depth):
                blocks.append(_Block(inputs, width, 2 if s > 0 and i == 0 else 1, config))
                inputs = width * expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self._build_head(inputs)

    def forward(self, pixel_values: Tensor, **_: Any) -> ImageClassifierOutputWithNoAttention:
        """Return logits (B, C) for images (B, channels, H, W)."""
        features = self.stem(pixel_values)
        for stage in self.stages:
            features = stage(features)
        return self._classify(features)


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Let the backward pass compute the activations of every block again instead of keeping them.

    The second computation leaves the running statistics of batch norm alone, so that training gives the same model
    with checkpointing as without.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    model.activation_checkpointing_enable({
        "use_reentrant": False, "context_fn": lambda: (nullcontext(), _frozen_statistics(norms))
    })  # fmt: skip


@contextmanager
def _frozen_statistics(norms: list[nn.BatchNorm2d]) -> Iterator[None]:
    """Normalise by the batch, as in training, but don't remember its statistics."""
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
