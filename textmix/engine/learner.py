"""From a model to what an optimizer step needs, on this process's device: the same for a run and for a look ahead."""

import math
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from accelerate.utils import is_compiled_module
from transformers import PreTrainedModel

from textmix.config import Config, TrainConfig
from textmix.data import Splits, epoch_batches
from textmix.data.batching import Indices
from textmix.engine.dropout import fast_dropout
from textmix.engine.optimization import make_optimizer, make_schedule, total_steps
from textmix.engine.steps import Forward, Learner
from textmix.losses import resolve_class_weights
from textmix.mixup import Mixup


def make_learner(
    accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config
) -> Learner:
    """Put `model` on the device, wrap it for all processes, and make its optimizer, schedule and class weights."""
    weights = resolve_class_weights(config.loss, torch.from_numpy(splits.class_counts))
    # Moved first: an optimizer made before would hold the parameters of another device.
    forward = accelerator.prepare_model(Forward(model.to(accelerator.device), mixup))
    optimizer = make_optimizer(model, config.train, config.learning_rate)
    schedule = make_schedule(optimizer, config.train, steps_per_epoch(accelerator, splits, config.train))
    dropout = nullcontext() if is_compiled_module(forward) else fast_dropout(model)  # a compiler draws in its own way
    return Learner(
        accelerator=accelerator,
        forward=forward,
        optimizer=accelerator.prepare_optimizer(optimizer),
        schedule=schedule,
        config=config,
        class_weights=None if weights is None else weights.to(accelerator.device),
        num_classes=len(splits.label_names),
        dropout=dropout,
    )


def batches_of_epoch(accelerator: Accelerator, splits: Splits, config: Config, epoch: int) -> list[Indices]:
    """Return the rows of every micro-batch of an epoch, those of all processes together."""
    train, examples = config.train, splits.train
    return epoch_batches(
        len(examples) if examples.lengths is None else examples.lengths,
        _global_batch(accelerator, train),
        seed=config.seed,
        epoch=epoch,
        length_buckets=train.length_buckets,
    )


def total_epochs(accelerator: Accelerator, splits: Splits, config: TrainConfig) -> int:
    """Return how many epochs the run has, the last of which may be cut short."""
    per_epoch = steps_per_epoch(accelerator, splits, config)
    return math.ceil(total_steps(config, per_epoch) / per_epoch)


def steps_per_epoch(accelerator: Accelerator, splits: Splits, config: TrainConfig) -> int:
    """Return the optimizer steps of an epoch."""
    batches = math.ceil(len(splits.train) / _global_batch(accelerator, config))
    return math.ceil(batches / config.gradient_accumulation_steps)


def _global_batch(accelerator: Accelerator, config: TrainConfig) -> int:
    return config.batch_size * int(accelerator.num_processes)
