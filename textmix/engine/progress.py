"""Where a run stands between two optimizer steps: everything that decides how it goes on, saved and put back."""

import hashlib
import json
import logging
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch.utils.serialization import config as serialization
from transformers import PreTrainedModel

from textmix.data import Examples, Splits
from textmix.engine import checkpoint
from textmix.engine.randomness import random_state, set_random_state
from textmix.engine.steps import Learner, StepResult
from textmix.errors import InputError

logger = logging.getLogger(__name__)

CHECKPOINTS, METRICS = "checkpoints", "metrics.jsonl"
_MODEL, _OPTIMIZER, _PROCESSES, _PROGRESS = "model.safetensors", "optimizer.pt", "processes.pt", "progress.json"
_PROBE = 256
"""Rows that stand for all when training data are compared."""


@dataclass
class Progress:
    """How far a run has come."""

    processes: int
    precision: str
    data: str
    """Of the examples; a run goes on only with the processes, the precision and the data it began with."""
    batch_size: int
    """Rows of a micro-batch on each process: train.batch_size, or fewer since memory was too small for that."""
    epoch: int = 0
    """Epochs finished, their validation included."""
    step: int = 0
    """Optimizer steps taken."""
    step_in_epoch: int = 0
    """Those of the epoch under way."""
    best_score: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    """The best validation so far: after how many epochs and steps; that step has a checkpoint."""
    examples: int = 0
    seconds: float = 0.0
    """Training examples seen, and the time that took."""
    pending: list[StepResult] = field(default_factory=list)
    """Steps since the last line of the record, with this process's part of their losses."""


def at_start(learner: Learner, splits: Splits) -> Progress:
    """Return the progress of a run that has not begun."""
    data = f"{_digest(splits.train)} {_digest(splits.validation)}"
    accelerator, size = learner.accelerator, learner.config.train.batch_size
    return Progress(accelerator.num_processes, accelerator.mixed_precision, data, size)


def save(learner: Learner, model: PreTrainedModel, progress: Progress, run_dir: Path) -> None:
    """Write a checkpoint, and delete those that are no longer needed; every process takes part, the main one writes."""
    accelerator = learner.accelerator
    own = {"random": random_state(accelerator.device), "pending": [_row(result) for result in progress.pending]}
    processes = gather_object([own])
    if accelerator.is_main_process:
        folder = run_dir / CHECKPOINTS
        optimizer = {"optimizer": learner.optimizer.state_dict(), "schedule": learner.schedule.state_dict()}
        if accelerator.scaler is not None:
            optimizer["scaler"] = accelerator.scaler.state_dict()
        with checkpoint.writing(checkpoint.place(folder, progress.step)) as part:
            with ThreadPoolExecutor() as pool:  # the two large files side by side
                written = pool.submit(_write, optimizer, part / _OPTIMIZER)
                save_model(model, str(part / _MODEL))
            written.result()
            _write(processes, part / _PROCESSES)
            (part / _PROGRESS).write_text(json.dumps(_plain(progress)), encoding="utf-8")
            shutil.copyfile(run_dir / METRICS, part / METRICS)
        _prune(folder, learner.config.train.keep_checkpoints)


def restore(learner: Learner, model: PreTrainedModel, start: Progress, run_dir: Path) -> Progress:
    """Put everything back as the newest checkpoint that can be relied on holds it; return `start` where there is none.

    :raises InputError: the checkpoint is of a run on other data, processes or precision.
    """
    main = learner.accelerator.is_main_process
    step = broadcast_object_list([_newest(run_dir / CHECKPOINTS) if main else None])[0]
    if step is None:
        return start
    source = checkpoint.place(run_dir / CHECKPOINTS, step)
    try:
        progress = replace(start, **json.loads((source / _PROGRESS).read_bytes()))
        _check_same(start, progress, run_dir)
        _put_back(learner, model, progress, source)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        raise InputError(
            f"{source}: can't go on from it ({error}); let every machine see the folder, start again with --resume "
            "never, or give another --output_dir."
        ) from error
    if main:
        shutil.copyfile(source / METRICS, run_dir / METRICS)
    return progress


def load_best(accelerator: Accelerator, model: PreTrainedModel, progress: Progress, run_dir: Path) -> None:
    """Put the best weights into `model`, on every process those that the main one reads."""
    if progress.best_step == progress.step:
        return  # it has them
    if accelerator.is_main_process:
        source = checkpoint.place(run_dir / CHECKPOINTS, progress.best_step)
        load_model(model, source / _MODEL)
    broadcast(list(model.state_dict().values()))


def _write(values: object, path: Path) -> None:
    no_sums = serialization.patch({"save.compute_crc32": False})  # type: ignore[attr-defined]  # the manifest has them
    with path.open("wb") as file, no_sums:
        try:
            torch.save(values, file)
        except RuntimeError as error:  # torch's own words hide what the disk said
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def _newest(folder: Path) -> int | None:
    """Return the step of the newest checkpoint that can be relied on, and set aside those that can't."""
    for step in checkpoint.steps(folder):
        source = checkpoint.place(folder, step)
        reason = checkpoint.problem(source)
        best = 0 if reason else _best_step(source)
        if best not in {0, step} and (damage := checkpoint.problem(checkpoint.place(folder, best))):
            reason = f"the best weights, {checkpoint.place(folder, best).name}, are damaged: {damage}"
        if reason is None:
            return step
        logger.warning("%s: skipped and set aside, for %s.", source, reason)
        checkpoint.set_aside(folder, step)
    return None


def _best_step(source: Path) -> int:
    """Return after which step the weights were best as of a checkpoint; 0 where it can't tell."""
    try:
        return int(json.loads((source / _PROGRESS).read_bytes())["best_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _prune(folder: Path, keep: int) -> None:
    newest = checkpoint.steps(folder)[:keep]
    checkpoint.prune(folder, {*newest, *(_best_step(checkpoint.place(folder, step)) for step in newest)})


def _check_same(here: Progress, there: Progress, run_dir: Path) -> None:
    if there.data != here.data:
        raise InputError(
            f"{run_dir}: began with other training or validation examples than the source holds now; put the old ones "
            "back, or give another --output_dir."
        )
    if there.processes != here.processes:
        raise InputError(
            f"{run_dir}: began on {there.processes} process(es), got {here.processes}; start it with --num_processes "
            f"{there.processes}, or give another --output_dir."
        )
    if there.precision != here.precision:
        raise InputError(
            f"{run_dir}: began in precision {there.precision}, got {here.precision}; start it with --mixed_precision "
            f"{there.precision}, or give another --output_dir."
        )


def _put_back(learner: Learner, model: PreTrainedModel, progress: Progress, source: Path) -> None:
    accelerator = learner.accelerator
    load_model(model, source / _MODEL)
    optimizer = torch.load(source / _OPTIMIZER, map_location="cpu", weights_only=True)
    learner.optimizer.load_state_dict(optimizer["optimizer"])
    learner.schedule.load_state_dict(optimizer["schedule"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(optimizer["scaler"])
    own = torch.load(source / _PROCESSES, map_location="cpu", weights_only=True)[accelerator.process_index]
    progress.pending = [_result(row, accelerator.device) for row in own["pending"]]
    set_random_state(own["random"], accelerator.device)


def _digest(examples: Examples) -> str:
    data = hashlib.sha256(examples.labels.tobytes())
    if examples.lengths is not None:
        data.update(examples.lengths.tobytes())
    rows = np.unique(np.linspace(0, len(examples) - 1, _PROBE).astype(np.int64))
    for name, values in sorted(examples.batch(rows).items()):
        data.update(name.encode() + values.numpy().tobytes())
    return data.hexdigest()


def _plain(progress: Progress) -> dict[str, object]:
    return {f.name: vars(progress)[f.name] for f in fields(progress) if f.name != "pending"}


def _row(result: StepResult) -> list[float]:
    weight = result.weight.flatten()[0].item()
    return [result.loss.item(), result.gradient_norm.item(), weight, result.learning_rate]


def _result(row: list[float], device: torch.device) -> StepResult:
    loss, norm = (torch.tensor(value, device=device) for value in row[:2])
    return StepResult(loss, norm, torch.tensor(row[2]), row[3])
