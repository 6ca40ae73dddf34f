"""The training loop: epochs of optimizer steps, a look at the validation split after each, the best one kept."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from textmix.config import Config, MixupConfig, TrainConfig
from textmix.data import Splits, epoch_batches
from textmix.engine.launch import seed_torch
from textmix.engine.optimization import make_optimizer, make_schedule, total_steps
from textmix.engine.predict import predict_logits
from textmix.engine.record import Recorder
from textmix.engine.steps import Forward, Learner, StepResult, optimizer_step, windows
from textmix.errors import RunError
from textmix.losses import resolve_class_weights
from textmix.metrics import CalibrationState
from textmix.mixup import Mixup


@dataclass(frozen=True)
class FitResult:
    """How the training went."""

    epochs: int
    """Epochs trained."""
    best_epoch: int
    """Epochs after which the model was as it is now."""
    steps: int
    """Optimizer steps taken."""
    seconds: float
    """Wall-clock seconds of training, without evaluations."""
    examples_per_second: float
    """Training examples over these seconds."""


@dataclass(frozen=True)
class _Choice:
    """The best epoch so far."""

    score: float
    epoch: int
    weights: dict[str, Tensor]


def fit(
    accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config, run_dir: Path
) -> FitResult:
    """Train `model` in place and leave in it the weights of the epoch that validation chose.

    :raises RunError: the loss became NaN or infinite.
    """
    train = config.train
    seed_torch(config.seed, accelerator.process_index)  # dropout differs between the processes, the weights do not
    learner = _prepare(accelerator, model, mixup, splits, config)
    steps_per_epoch = _steps_per_epoch(accelerator, splits, train)
    record = Recorder(run_dir, total_steps(train, steps_per_epoch), accelerator.is_main_process)
    _validate(learner, model, splits, record, epochs=0, step=0)
    choice, step = _Choice(-math.inf, 0, {}), 0
    for epoch in range(train.epochs):
        step = _train_epoch(learner, splits, record, epoch, step)
        metrics = _validate(learner, model, splits, record, epochs=epoch + 1, step=step)
        score = _score(metrics, train.select, epoch)
        if score > choice.score:
            choice = _Choice(score, epoch + 1, {k: v.detach().cpu().clone() for k, v in model.state_dict().items()})
        out_of_patience = train.patience is not None and epoch + 1 - choice.epoch >= train.patience
        if step == train.max_steps or out_of_patience:
            break
    record.close()
    model.load_state_dict(choice.weights)
    return FitResult(epoch + 1, choice.epoch, step, record.seconds, record.examples_per_second)


def mixup_of_epoch(config: Config, epoch: int) -> MixupConfig:
    """Return how to mix in `epoch`, counted from 0: not at all before start_epoch and in the last off_last_epochs."""
    clean = epoch < config.mixup.start_epoch or epoch >= config.train.epochs - config.mixup.off_last_epochs
    return replace(config.mixup, alpha=0.0) if clean else config.mixup


def _prepare(accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config) -> Learner:
    counts = torch.from_numpy(np.bincount(splits.train.labels, minlength=len(splits.label_names)))
    weights = resolve_class_weights(config.loss, counts)
    # Moved first: an optimizer made before would hold the parameters of another device.
    forward = accelerator.prepare_model(Forward(model.to(accelerator.device), mixup))
    optimizer = make_optimizer(model, config.train)
    schedule = make_schedule(optimizer, config.train, _steps_per_epoch(accelerator, splits, config.train))
    return Learner(
        accelerator=accelerator,
        forward=forward,
        optimizer=accelerator.prepare_optimizer(optimizer),
        schedule=schedule,
        config=config,
        class_weights=None if weights is None else weights.to(accelerator.device),
        num_classes=len(splits.label_names),
    )


def _global_batch(accelerator: Accelerator, config: TrainConfig) -> int:
    return config.batch_size * accelerator.num_processes


def _steps_per_epoch(accelerator: Accelerator, splits: Splits, config: TrainConfig) -> int:
    batches = math.ceil(len(splits.train) / _global_batch(accelerator, config))
    return math.ceil(batches / config.gradient_accumulation_steps)


def _train_epoch(learner: Learner, splits: Splits, record: Recorder, epoch: int, step: int) -> int:
    config, train = learner.config, learner.config.train
    learner.forward.train()
    batches = epoch_batches(
        len(splits.train) if splits.train.lengths is None else splits.train.lengths,
        _global_batch(learner.accelerator, train),
        seed=config.seed,
        epoch=epoch,
        length_buckets=train.length_buckets,
    )
    mixup = mixup_of_epoch(config, epoch)
    pending: list[StepResult] = []
    for window in windows(learner, splits.train, batches, mixup, epoch, first=0):
        pending.append(optimizer_step(learner, window, config.mixup.clean_weight))
        step += 1
        record.step(sum(micro.global_rows for micro in window))
        if step % train.log_every == 0 or step == train.max_steps:
            _log(learner, record, pending, epoch, step)
            pending = []
        if step == train.max_steps:
            break
    _log(learner, record, pending, epoch, step)
    return step


def _log(learner: Learner, record: Recorder, pending: list[StepResult], epoch: int, step: int) -> None:
    """Read the results of the steps since the last log, all at once, and make sure that they are numbers."""
    if not pending:
        return
    losses = learner.accelerator.reduce(torch.stack([result.loss for result in pending]), "mean").cpu()
    rate = learner.schedule.get_last_lr()[0]
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        where = int(bad[0])
        weight = pending[where].weight.flatten()[0].item()
        raise RunError(
            f"the loss is {losses[where].item()} at step {step - len(pending) + 1 + where} (epoch {epoch + 1}, lambda "
            f"{weight:.4g}, learning rate {rate:.4g}): lower train.learning_rate or train.max_grad_norm, or use fp32."
        )
    record.train(
        epoch=epoch,
        step=step,
        loss=losses.mean().item(),
        gradient_norm=torch.stack([result.gradient_norm for result in pending]).mean().item(),
        learning_rate=rate,
    )


def _validate(
    learner: Learner, model: PreTrainedModel, splits: Splits, record: Recorder, *, epochs: int, step: int
) -> dict[str, float]:
    with record.evaluation():
        config = learner.config
        logits = predict_logits(learner.accelerator, model, splits.validation, config.train.eval_batch_size)
        state = CalibrationState(config.eval.bins)
        state.update(logits, splits.validation.labels)
        confidence, predicted = logits.softmax(dim=-1).max(dim=-1)
        record.confidences(epochs, confidence.numpy(), predicted.numpy() == splits.validation.labels)
        metrics = state.compute()
        record.validation(epochs=epochs, step=step, metrics=metrics)
    return metrics


def _score(metrics: dict[str, float], select: str, epoch: int) -> float:
    """Return a number that is larger for the better epoch."""
    return {"nll": -metrics["nll"], "accuracy": metrics["accuracy"], "last": float(epoch)}[select]
