"""Which network, and what of it is trained."""

from dataclasses import dataclass
from typing import Literal

from textmix.config.bounds import check, check_choices

NETWORKS = {
    "texts": ("cnn", "lstm", "pretrained"),
    "images": ("vgg16", "resnet18", "resnet20", "resnet34", "resnet50", "resnext101", "pretrained"),
}
"""What `model.name` may be, for each kind of data."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network."""

    name: Literal[
        "cnn", "lstm", "vgg16", "resnet18", "resnet20", "resnet34", "resnet50", "resnext101", "pretrained"
    ] = "cnn"
    """For texts: cnn (Kim 2014) or lstm (bidirectional). For images: vgg16 (with batch norm), resnet18, resnet20 or
    resnet34 (for images of about 32 x 32 pixels), resnet50 or resnext101 (32x4d; for 224 x 224). For both: pretrained
    (any Hugging Face classifier)."""
    path: str | None = None
    """For pretrained: Hub id, folder, or packaged:minilm."""
    vectors: str = "random"
    """Word vectors to start from, for cnn and lstm: random, a GloVe or word2vec text file, or a Hugging Face model (Hub
    id, folder, packaged:minilm) whose input embeddings are taken; only the rows the training texts use are kept."""
    freeze_vectors: bool = False
    """Keep the word vectors as they are."""
    embedding_dim: int = 300
    """Width of random word vectors; other vectors bring their own."""
    filter_widths: tuple[int, ...] = (3, 4, 5)
    """Widths of the CNN's filters, in tokens."""
    num_filters: int = 100
    """CNN filters of each width."""
    hidden_size: int = 256
    """LSTM units in each direction."""
    num_layers: int = 1
    """LSTM layers."""
    new_head: bool = False
    """Start with a new classifier where that of the pretrained model was trained for another number of labels."""
    dropout: float = 0.5
    """Dropout before the classifier of cnn and lstm."""
    width: int | None = None
    """Channels of the first stage of an image network; null is the published number."""
    gradient_checkpointing: bool = False
    """Image networks and pretrained ones: compute activations again in the backward pass instead of keeping them;
    slower, less memory."""

    def __post_init__(self) -> None:
        check_choices(self, "model.")
        check(
            self.name != "pretrained" or self.path is not None,
            "model.path", "a Hub id, folder or packaged:minilm for model.name pretrained", self.path,
        )  # fmt: skip
        check(not self.gradient_checkpointing or self.name not in {"cnn", "lstm"}, "model.gradient_checkpointing",
               f"false for model.name {self.name}", self.gradient_checkpointing)  # fmt: skip
        check(self.embedding_dim >= 1, "model.embedding_dim", "an integer >= 1", self.embedding_dim)
        widths_ok = len(self.filter_widths) > 0 and min(self.filter_widths) >= 1
        check(widths_ok, "model.filter_widths", "one or more widths >= 1", self.filter_widths)
        check(self.num_filters >= 1, "model.num_filters", "an integer >= 1", self.num_filters)
        check(self.hidden_size >= 1, "model.hidden_size", "an integer >= 1", self.hidden_size)
        check(1 <= self.num_layers <= 1000, "model.num_layers", "an integer in [1, 1000]", self.num_layers)
        check(0 <= self.dropout < 1, "model.dropout", "a probability in [0, 1)", self.dropout)
        check(self.width is None or self.width >= 1, "model.width", "an integer >= 1, or null", self.width)


@dataclass(frozen=True)
class PeftConfig:
    """Adapters beside the frozen weights of a pretrained model (package peft); the saved model has them merged in."""

    kind: Literal["none", "lora"] = "none"
    """none trains all weights; lora adds matrices of low rank (Hu et al. 2021, arXiv 2106.09685)."""
    r: int = 8
    """Their rank."""
    alpha: int = 16
    """Their scale is alpha / r."""
    dropout: float = 0.0
    """Dropout before them."""
    target_modules: tuple[str, ...] = ()
    """Modules that get them, by the ends of their paths; () is every linear layer but the classifier."""

    def __post_init__(self) -> None:
        check_choices(self, "peft.")
        check(self.r >= 1, "peft.r", "an integer >= 1", self.r)
        check(self.alpha >= 1, "peft.alpha", "an integer >= 1", self.alpha)
        check(0 <= self.dropout < 1, "peft.dropout", "a probability in [0, 1)", self.dropout)
