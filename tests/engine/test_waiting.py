"""A training step reads nothing back from the device: on a GPU each such read would wait for all work before it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertForSequenceClassification

from textmix.config import Config, DataConfig, LossConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.engine.dropout import fast_dropout
from textmix.engine.optimization import make_optimizer, make_schedule
from textmix.engine.steps import Forward, Learner, optimizer_step, windows
from textmix.losses import resolve_class_weights
from textmix.mixup import Mixup
from textmix.models.build import build_model

# Its tensors have no numbers: whatever asks for one, item(), bool(), cpu(), nonzero(), is an error.
NUMBERLESS = torch.device("meta")
CPU = torch.device("cpu")
CONFIG = Config(
    model=ModelConfig(embedding_dim=12, num_filters=6, hidden_size=6),
    mixup=MixupConfig(alpha=0.4),
    # Fused optimizers, the others, have kernels for real devices only.
    train=TrainConfig(optimizer="adadelta", gradient_accumulation_steps=2),
)


class Reads(TorchDispatchMode):
    """Counts the numbers that Python asks for."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def splits(topics):
    return load_splits(replace(CONFIG, data=DataConfig(path=str(topics))))


def bert():
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(vocab_size=200, max_position_embeddings=64, num_labels=3, **shape))


def two_steps(model, splits, config, device):
    """Take two optimizer steps of two micro-batches each on `device`; return how many numbers Python asked for."""
    mixup = Mixup(model, config.mixup_site if config.mixup.active else "none")
    model.train().to(device)
    optimizer = make_optimizer(model, config.train, config.learning_rate)
    weights = resolve_class_weights(config.loss, torch.from_numpy(splits.class_counts))
    accelerator = Accelerator()
    learner = Learner(
        accelerator=accelerator,
        forward=Forward(model, mixup),
        optimizer=accelerator.prepare_optimizer(optimizer),
        schedule=make_schedule(optimizer, config.train, 10),
        config=config,
        class_weights=None if weights is None else weights.to(device),
        num_classes=len(splits.label_names),
        dropout=fast_dropout(model),
    )
    there = SimpleNamespace(device=device, process_index=0, num_processes=1)
    batches = list(np.arange(32).reshape(4, 8))
    with Reads() as reads:
        steps = windows(replace(learner, accelerator=there), splits.train, batches, config.mixup, epoch=0, first=0)
        results = [optimizer_step(learner, window) for window in steps]
    assert {result.loss.device for result in results} == {device}
    assert len(results) == 2
    return reads.count


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"mixup": MixupConfig(alpha=0)},
        {"mixup": MixupConfig(alpha=0.4, weight_per="sample", labels="dominant", clean_weight=1.0)},
        {"mixup": MixupConfig(alpha=0.4, site="head")},
        {"loss": LossConfig(class_weights="balanced", label_smoothing=0.1, entropy_penalty=0.1)},
        {"train": replace(CONFIG.train, max_grad_norm=None)},
    ],
    ids=str,
)
def test_a_step_needs_no_number_from_the_device(splits, changed):
    config = replace(CONFIG, **changed)
    two_steps(build_model(config, splits), splits, config, NUMBERLESS)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_fused_optimizers_read_nothing(splits, optimizer):
    """On the CPU one_hot checks its input and the loader draws a seed: both are there with any optimizer."""
    config = replace(CONFIG, train=replace(CONFIG.train, optimizer=optimizer))
    proven = two_steps(build_model(CONFIG, splits), splits, CONFIG, CPU)
    assert two_steps(build_model(config, splits), splits, config, CPU) == proven


@pytest.mark.parametrize(("mixup", "forwards"), [(CONFIG.mixup, 4), (replace(CONFIG.mixup, clean_weight=1.0), 8)])
def test_transformers_asks_once_in_each_forward(splits, mixup, forwards):
    """Whether there is any padding, to leave out the mask if not; we add nothing to that."""
    config = replace(CONFIG, mixup=mixup)
    proven = two_steps(build_model(config, splits), splits, config, CPU)
    assert two_steps(bert(), splits, config, CPU) == proven + forwards


def test_an_lstm_reads_lengths(splits):
    """Packing takes them on the host: the one place in our models that waits."""
    config = replace(CONFIG, model=replace(CONFIG.model, name="lstm"))
    with pytest.raises(NotImplementedError, match="meta") as caught:
        two_steps(build_model(config, splits), splits, config, NUMBERLESS)
    ours = [entry for entry in caught.traceback if "textmix" in entry.path.parts]
    assert "lengths" in str(ours[-1].statement)
