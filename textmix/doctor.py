"""What an hour of training would find out, in seconds: the data, the model, the mixing, and what a step costs."""

import resource
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.config import Config, TrainConfig
from textmix.data import Examples, Splits, epoch_batches, load_splits
from textmix.engine import seed_generators, start
from textmix.engine.optimization import make_optimizer, make_schedule
from textmix.engine.steps import Forward, Learner, optimizer_step, windows
from textmix.errors import InputError
from textmix.losses import resolve_class_weights
from textmix.mixup import Mixup
from textmix.models.build import build_model
from textmix.models.pretrained import fit_padding, max_positions, proof_example
from textmix.report import text_table

_STEPS = 6
"""Optimizer steps that are measured; the first, which is slower, is not counted."""


_NOTES = {
    "truncated": "cut", "blank": "empty", "corrupt": "left out", "shared": "also in a split above",
    "absent_classes": "classes missing",
}  # fmt: skip
"""The counts in ``Splits.notes``, by split, and their headings."""


def examine(config: Config) -> Iterator[str]:
    """Yield, part by part, what is to be known before a training run with this configuration.

    :raises InputError: the run could not start; the message says why.
    """
    accelerator = start(config.train)
    splits = load_splits(config)
    yield f"Data: {config.data.path}\n{_describe_splits(splits)}"
    yield f"Labels\n{_describe_labels(splits)}"
    seed_generators(config.seed)
    model = build_model(config, splits)
    splits = fit_padding(model, splits)
    yield _describe_model(model, splits, config)
    mixup, told = _prove(model, splits, config)
    yield told
    yield _measure(accelerator, model, mixup, splits, config)


def _sets(splits: Splits) -> dict[str, Examples]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: part for name, part in parts.items() if part is not None}


def _describe_splits(splits: Splits) -> str:
    rows = []
    kinds = {note.rsplit("_", 1)[0] for note in splits.notes}
    headings = {note: heading for note, heading in _NOTES.items() if note in kinds}
    for name, part in _sets(splits).items():
        row = {"split": name, "examples": f"{len(part):,}"}
        if part.lengths is not None:
            row |= {"mean tokens": f"{part.lengths.mean():.1f}", "longest": f"{part.lengths.max():,}"}
        for note, heading in headings.items():
            count = splits.notes.get(f"{note}_{name}", 0)
            of_examples = "" if note == "absent_classes" else f" ({count / len(part):.1%})"
            row[heading] = f"{count:,}{of_examples}"
        rows.append(row)
    return text_table(rows)


def _describe_labels(splits: Splits) -> str:
    counts = {name: np.bincount(part.labels, minlength=len(splits.label_names)) for name, part in _sets(splits).items()}
    return text_table(
        [
            {"label": label, **{name: f"{count[k]:,} ({count[k] / count.sum():.1%})" for name, count in counts.items()}}
            for k, label in enumerate(splits.label_names)
        ]
    )


def _describe_model(model: PreTrainedModel, splits: Splits, config: Config) -> str:
    everything, trained = model.num_parameters(), model.num_parameters(only_trainable=True)
    lines = [f"Model: {type(model).__name__}, {everything:,} weights, {trained:,} of them trained."]
    positions = max_positions(model)
    if positions is not None:
        lines.append(f"It has positions for {positions:,} tokens; texts are cut at {config.data.max_length:,}.")
    if isinstance(splits.processor, PreTrainedTokenizerBase):
        lines.append(f"Padding: {splits.processor.pad_token!r} (id {splits.processor.pad_token_id}).")
    return "\n".join(lines)


def _prove(model: PreTrainedModel, splits: Splits, config: Config) -> tuple[Mixup, str]:
    """Attach the mixing and tell where it is; where nothing is to be mixed, only whether it could be."""
    site, example = config.mixup.site, proof_example(splits.train)
    if config.mixup.active:
        begin = time.perf_counter()
        mixup = Mixup(model, site, example=example)
        return mixup, f"Mixup: {site}{_at(mixup)}, proven in {time.perf_counter() - begin:.1f} s."
    try:
        mixup = Mixup(model, site, example=example)
        told = f"could be used{_at(mixup)}"
        mixup.remove()
    except InputError as error:
        told = f"could not be used ({str(error).rstrip('.')})"
    return Mixup(model, "none"), f"Mixup: off, for mixup.alpha is {config.mixup.alpha:g}; site {site} {told}."


def _at(mixup: Mixup) -> str:
    """Name the modules that are mixed; the input and the head of a model are none."""
    paths = [path for path in mixup.paths if path]
    return f" at {', '.join(paths)}" if paths else ""


def _measure(accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config) -> str:
    """Take a few steps and predict a batch, and tell how long the run will take."""
    train, epochs = config.train, config.train.epochs
    training, evaluation = (
        _training_rate(accelerator, model, mixup, splits, config),
        _evaluation_rate(model, splits, train),
    )
    examples = epochs * len(splits.train)
    if train.max_steps is not None:
        step = train.batch_size * train.gradient_accumulation_steps * accelerator.num_processes
        examples = min(examples, train.max_steps * step)
    evaluated = (epochs + 2) * len(splits.validation) + (0 if splits.test is None else len(splits.test))
    told = timedelta(seconds=round(examples / training + evaluated / evaluation))
    return (
        f"Speed: {training:,.0f} examples/s in training, {evaluation:,.0f} in evaluation.\n"
        f"Time: about {told} (h:mm:ss) for {epochs} epochs.\n"
        f"Memory: {_peak_memory(accelerator.device) / 2**30:.1f} GiB so far, of one process on {accelerator.device}."
    )


def _training_rate(
    accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config
) -> float:
    """Return examples per second, over all processes, in a few optimizer steps."""
    train = config.train
    weights = resolve_class_weights(config.loss, torch.from_numpy(splits.class_counts))
    forward = accelerator.prepare_model(Forward(model.to(accelerator.device), mixup))
    optimizer = make_optimizer(model, train)
    learner = Learner(
        accelerator=accelerator,
        forward=forward,
        optimizer=accelerator.prepare_optimizer(optimizer),
        schedule=make_schedule(optimizer, train, steps_per_epoch=_STEPS),
        config=config,
        class_weights=None if weights is None else weights.to(accelerator.device),
        num_classes=len(splits.label_names),
    )
    lengths = len(splits.train) if splits.train.lengths is None else splits.train.lengths
    size = train.batch_size * accelerator.num_processes
    batches = epoch_batches(lengths, size, seed=config.seed, epoch=0, length_buckets=train.length_buckets)
    forward.train()
    seconds: list[float] = []
    examples: list[int] = []
    begin = time.perf_counter()
    for window in islice(windows(learner, splits.train, batches, config.mixup, epoch=0, first=0), _STEPS):
        float(optimizer_step(learner, window, config.mixup.clean_weight).loss)  # waits for the device
        seconds.append(time.perf_counter() - begin)
        examples.append(sum(micro.global_rows for micro in window))
        begin = time.perf_counter()
    counted = slice(1, None) if len(seconds) > 1 else slice(None)
    return sum(examples[counted]) / sum(seconds[counted])


@torch.inference_mode()
def _evaluation_rate(model: PreTrainedModel, splits: Splits, config: TrainConfig) -> float:
    rows = np.arange(min(config.eval_batch_size, len(splits.validation)))
    batch = {
        name: values.to(model.device) for name, values in splits.validation.batch(rows).items() if name != "labels"
    }
    batch = splits.validation.transform(batch, None)
    model.eval()
    begin = time.perf_counter()
    model(**batch).logits.cpu()
    return len(rows) / (time.perf_counter() - begin)


def _peak_memory(device: torch.device) -> int:
    """Return the most bytes that were in use at once: of the device, or of the process where it is the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
