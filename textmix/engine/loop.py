"""The training loop: epochs of optimizer steps, a look at the validation split after each, the best one kept."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from transformers import PreTrainedModel

from textmix.config import Config, TrainConfig
from textmix.data import Splits
from textmix.engine.launch import precision_of, together
from textmix.engine.learner import batches_of_epoch, make_learner, steps_per_epoch, total_epochs
from textmix.engine.memory import step_in_memory
from textmix.engine.optimization import total_steps
from textmix.engine.predict import predict_logits
from textmix.engine.progress import Progress, at_start, load_best, restore, save
from textmix.engine.randomness import seed_generators
from textmix.engine.record import Recorder
from textmix.engine.rows import WholeTable, trained_rows
from textmix.engine.steps import Learner, Window, windows
from textmix.engine.stop import StopRequest, agreed, leave, others_alive, stop_requests
from textmix.errors import RunError
from textmix.metrics import CalibrationState
from textmix.mixup import Mixup
from textmix.temperature import fit_temperature

_ASK_EVERY = 10
"""Optimizer steps after which several processes ask each other whether to stop: asking more often would cost time."""


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
    """Wall-clock seconds of training, checkpoints included, evaluations not."""
    examples_per_second: float
    """Training examples over these seconds."""
    precision: str
    """Precision of training: fp32, bf16 or fp16."""
    batch_size: int
    """Rows of a micro-batch on each process at the end: fewer than configured where memory was too small for them."""
    gradient_accumulation_steps: int
    """Micro-batches of an optimizer step at the end."""


@dataclass(frozen=True)
class _Run:
    """A training under way."""

    learner: Learner
    model: PreTrainedModel
    splits: Splits
    whole_table: WholeTable
    record: Recorder
    progress: Progress
    request: StopRequest
    folder: Path
    epochs: int
    """How many there will be."""


def fit(
    accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config, run_dir: Path
) -> FitResult:
    """Train `model` in place and leave in it the weights of the epoch that validation chose.

    A training that `run_dir` has checkpoints of goes on from the newest of them, and ends as if it had never stopped.

    :raises InputError: these checkpoints are of a run on other data, or on another number of processes.
    :raises RunError: the loss became NaN or infinite, the memory was too small, or another process died.
    :raises SystemExit: a signal asked to stop; a checkpoint was saved, and the exit code is 128 + its number.
    """
    train = config.train
    seed_generators(config.seed, accelerator.process_index)  # dropout differs between the processes, the weights do not
    with trained_rows(model.to(accelerator.device), splits) as whole_table:
        learner = make_learner(accelerator, model, mixup, splits, config)
        with together():
            progress = restore(learner, model, at_start(learner, splits), run_dir)
        steps = total_steps(train, steps_per_epoch(accelerator, splits, train))
        epochs = total_epochs(accelerator, splits, train)
        record = Recorder(run_dir, steps, progress, accelerator.is_main_process)
        with stop_requests() as request, others_alive(accelerator, progress):
            _train(_Run(learner, model, splits, whole_table, record, progress, request, run_dir, epochs))
            load_best(accelerator, model, progress, run_dir)
    record.close()
    return _result(accelerator, progress, record.seconds, train)


def _train(run: _Run) -> None:
    if run.progress.step == 0:
        _validate(run)
    while not _over(run.progress, run.learner.config.train):
        _train_epoch(run)
        _end_epoch(run)
        _stop_if_asked(run, agreed(run.learner.accelerator, run.request))


def _result(accelerator: Accelerator, progress: Progress, seconds: float, train: TrainConfig) -> FitResult:
    parts = math.ceil(train.batch_size / progress.batch_size)
    return FitResult(
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        steps=progress.step,
        seconds=seconds,
        examples_per_second=progress.examples / seconds,
        precision=precision_of(accelerator),
        batch_size=progress.batch_size,
        gradient_accumulation_steps=train.gradient_accumulation_steps * parts,
    )


def _over(progress: Progress, train: TrainConfig) -> bool:
    out_of_patience = train.patience is not None and progress.epoch - progress.best_epoch >= train.patience
    return progress.epoch == train.epochs or progress.step == train.max_steps or out_of_patience


def _train_epoch(run: _Run) -> None:
    """Take the steps of the epoch under way that are not taken yet."""
    learner, progress, examples = run.learner, run.progress, run.splits.train
    config, train = learner.config, learner.config.train
    learner.forward.train()
    batches = batches_of_epoch(learner.accelerator, run.splits, config, progress.epoch)
    last = math.ceil(len(batches) / train.gradient_accumulation_steps)
    mixup = config.mixup.of_epoch(progress.epoch, run.epochs)
    for window in windows(learner, examples, batches, mixup, progress.epoch, first=progress.step_in_epoch):
        _step(run, window)
        progress.step += 1
        progress.step_in_epoch += 1
        run.record.step(window.rows)
        if progress.step % train.log_every == 0:
            _log(run)
        if progress.step == train.max_steps or progress.step_in_epoch == last:
            break  # the epoch's own checkpoint comes after its validation
        _between_steps(run)
    _log(run)


def _step(run: _Run, window: Window) -> None:
    progress = run.progress
    place = f"at step {progress.step + 1} (epoch {progress.epoch + 1})"
    result, size = step_in_memory(run.learner, window, progress.batch_size, place)
    progress.pending.append(result)
    if size != progress.batch_size:
        run.record.smaller_batch(progress.step + 1, size)
        progress.batch_size = size


def _between_steps(run: _Run) -> None:
    """Save a checkpoint if one is due, and stop if somebody asked for it."""
    accelerator, train, step = run.learner.accelerator, run.learner.config.train, run.progress.step
    ask = accelerator.num_processes == 1 or step % _ASK_EVERY == 0
    signal = agreed(accelerator, run.request) if ask else 0
    if signal or (train.checkpoint_every is not None and step % train.checkpoint_every == 0):
        _save(run)
    _stop_if_asked(run, signal)


def _end_epoch(run: _Run) -> None:
    """Look at the validation split, remember the epoch if it is the best, and save."""
    progress = run.progress
    progress.epoch += 1
    progress.step_in_epoch = 0
    score = _score(_validate(run), run.learner.config.select, progress.epoch)
    if progress.best_score is None or score > progress.best_score:
        progress.best_score, progress.best_epoch, progress.best_step = score, progress.epoch, progress.step
    _save(run)


def _save(run: _Run) -> None:
    if run.progress.pending:
        _losses(run)  # what is no number has no business on the disk
    run.progress.seconds = run.record.seconds
    save(run.learner, run.model, run.progress, run.folder)


def _stop_if_asked(run: _Run, signal: int) -> None:
    if signal:
        run.record.close()
        leave(run.learner.accelerator, signal, run.progress.step, run.folder)


def _losses(run: _Run) -> torch.Tensor:
    """Return the losses of the steps since the last line of the record, all read at once.

    :raises RunError: one of them is no number.
    """
    accelerator, progress = run.learner.accelerator, run.progress
    own = torch.stack([result.loss for result in progress.pending])
    losses: torch.Tensor = accelerator.reduce(own, "mean").cpu()
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        where = int(bad[0])
        step = progress.pending[where]
        drawn = f"lambda {step.weight.flatten()[0].item():.4g}, learning rate {step.learning_rate:.4g}"
        raise RunError(
            f"the loss is {losses[where].item()} at step {progress.step - len(losses) + 1 + where} (epoch "
            f"{progress.epoch + 1}, {drawn}): lower train.learning_rate or train.max_grad_norm, or use fp32."
        )
    return losses


def _log(run: _Run) -> None:
    progress = run.progress
    if not progress.pending:
        return
    run.record.train(
        epoch=progress.epoch,
        step=progress.step,
        loss=_losses(run).mean().item(),
        gradient_norm=torch.stack([result.gradient_norm for result in progress.pending]).mean().item(),
        learning_rate=progress.pending[-1].learning_rate,
    )
    progress.pending.clear()


def _validate(run: _Run) -> dict[str, float]:
    learner, examples, progress = run.learner, run.splits.validation, run.progress
    train = learner.config.train
    with run.record.evaluation(), run.whole_table():
        broadcast(list(run.model.buffers()))  # batch statistics: those of the process whose weights are saved
        logits = predict_logits(learner.accelerator, run.model, examples, train.eval_batch_size, train.workers)
        state = CalibrationState(learner.config.eval.bins)
        state.update(logits, examples.labels)
        confidence, predicted = logits.softmax(dim=-1).max(dim=-1)
        run.record.confidences(progress.epoch, confidence.numpy(), predicted.numpy() == examples.labels)
        metrics = state.compute()
        if learner.config.select == "scaled_nll":
            metrics["scaled_nll"] = fit_temperature(logits, examples.labels).nll_used
        run.record.validation(epochs=progress.epoch, step=progress.step, metrics=metrics)
    return metrics


def _score(metrics: dict[str, float], select: str, epochs: int) -> float:
    """Return a number that is larger for the better epoch."""
    if select == "last":
        return float(epochs)
    return metrics[select] if select == "accuracy" else -metrics[select]
