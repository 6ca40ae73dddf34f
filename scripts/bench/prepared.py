"""What the measurements of training share: a model, its data and its mixing, ready for the first step."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from corpora import MAX_LENGTH
from torch import Tensor
from transformers import PreTrainedModel

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import Splits, epoch_batches, load_splits
from textmix.engine import seed_generators, start
from textmix.mixup import Mixup
from textmix.models.build import build_model
from textmix.models.example import proof_example
from textmix.models.padding import fit_padding

MINILM = "packaged:minilm"
BATCH_SIZE = 32
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Prepared:
    """A training before its first step."""

    accelerator: Accelerator
    model: PreTrainedModel
    mixup: Mixup
    splits: Splits
    config: Config

    def batches(self, count: int, length_buckets: bool = True) -> Iterator[dict[str, Tensor]]:
        """Yield the first `count` batches of an endless training, each the model's inputs and `labels`."""
        examples, size = self.splits.train, self.config.train.batch_size
        assert examples.lengths is not None
        epoch = 0
        while count > 0:
            rows = epoch_batches(examples.lengths, size, seed=0, epoch=epoch, length_buckets=length_buckets)[:count]
            yield from map(examples.batch, rows)
            count, epoch = count - len(rows), epoch + 1


def minilm(folder: Path, corpus: str, alpha: float = 0.0, seed: int = 0, **train: object) -> Config:
    """Return the configuration that fine-tunes MiniLM on the texts of `folder`, cut as those of `corpus` are."""
    settings = {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "schedule": "linear", "select": "last"}
    return Config(
        data=DataConfig(path=str(folder), max_length=MAX_LENGTH[corpus]),
        model=ModelConfig(name="pretrained", path=MINILM),
        mixup=MixupConfig(alpha=alpha),
        train=TrainConfig(**settings | train),
        seed=seed,
    )


def words(folder: Path, name: str, alpha: float = 0.0, **train: object) -> Config:
    """Return the configuration that trains a network over random word vectors, 300 wide, as Kim does."""
    return Config(
        data=DataConfig(path=str(folder)),
        model=ModelConfig(name=name),
        mixup=MixupConfig(alpha=alpha),
        train=TrainConfig(**{"batch_size": 50, "select": "last"} | train),
    )


def prepare(config: Config) -> Prepared:
    """Load the texts and build the model, as a training does."""
    accelerator = start(config.train)
    splits = load_splits(config)
    seed_generators(config.seed)
    model = build_model(config, splits)
    splits = fit_padding(model, splits)
    site = config.mixup_site if config.mixup.active else "none"
    mixup = Mixup(model, site, example=proof_example(splits.train))
    return Prepared(accelerator, model, mixup, splits, config)


def optimizer_of(model: PreTrainedModel, **options: object) -> torch.optim.Optimizer:
    """Return the AdamW of a loop that somebody writes by hand."""
    return torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, **options)
