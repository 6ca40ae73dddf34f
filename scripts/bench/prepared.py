"""What the measurements of training share: a model, its data and its mixing, ready for the first step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from accelerate import Accelerator
from corpora import MAX_LENGTH
from torch import Tensor
from transformers import PreTrainedModel

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import Splits, epoch_batches, load_splits
from textmix.engine import seed_generators, start
from textmix.engine.learner import batches_of_epoch, make_learner
from textmix.engine.rows import trained_rows
from textmix.engine.steps import Learner, Window, windows
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

    def batches(self, number: int, length_buckets: bool = True) -> Iterator[dict[str, Tensor]]:
        """Yield the first `number` batches of an endless training, each the model's inputs and `labels`."""
        examples, size = self.splits.train, self.config.train.batch_size
        assert examples.lengths is not None
        epoch = 0
        while number > 0:
            rows = epoch_batches(examples.lengths, size, seed=0, epoch=epoch, length_buckets=length_buckets)[:number]
            yield from map(examples.batch, rows)
            number, epoch = number - len(rows), epoch + 1

    @contextmanager
    def learner(self) -> Iterator[Learner]:
        """Yield what takes optimizer steps, as `fit` makes it."""
        with trained_rows(self.model, self.splits):
            learner = make_learner(self.accelerator, self.model, self.mixup, self.splits, self.config)
            learner.forward.train()
            yield learner

    def windows(self, learner: Learner, mixup: MixupConfig) -> Iterator[Window]:
        """Yield what the steps of an endless training are taken on, as `fit` makes it."""
        for epoch in count():
            plan = batches_of_epoch(self.accelerator, self.splits, self.config, epoch)
            yield from windows(learner, self.splits.train, plan, mixup, epoch, first=0)


def on_trec(folder: Path, model: str, alpha: float = 0.0, **train: object) -> Config:
    """Return the configuration that trains `model`, minilm or the name of a network, on TREC's texts in `folder`."""
    return minilm(folder, "trec", alpha, **train) if model == "minilm" else words(folder, model, alpha, **train)


def minilm(folder: Path, corpus: str, alpha: float = 0.0, *, seed: int = 0, **train: object) -> Config:
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
