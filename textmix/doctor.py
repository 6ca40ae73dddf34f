"""What an hour of training would find out, in seconds: folder, data, model, mixing, and what a step costs."""

import math
import resource
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.config import NOISE_EMBEDDINGS, Config
from textmix.data import Examples, Splits, load_outside, load_splits
from textmix.engine import seed_generators, start, total_epochs
from textmix.engine.learner import batches_of_epoch, make_learner, steps_per_epoch
from textmix.engine.optimization import total_steps
from textmix.engine.steps import optimizer_step, windows
from textmix.errors import InputError
from textmix.held_out import check_sizes, ood_names
from textmix.losses import check_loss
from textmix.mixup import EmbeddingNoise, Mixup
from textmix.models.build import build_model
from textmix.models.example import proof_example
from textmix.models.limits import check_tokens, max_positions
from textmix.models.padding import fit_padding
from textmix.report import text_table
from textmix.run_folder import check_writable, is_finished

_STEPS = 6
"""Optimizer steps that are measured; the first, which is slower, is not counted."""
_NOTES = {
    "truncated": "cut", "blank": "empty", "corrupt": "left out", "shared": "also in a split above",
    "absent_classes": "classes missing",
}  # fmt: skip
"""The counts in ``Splits.notes``, by split, and their headings."""


def examine(config: Config, folder: Path) -> Iterator[str]:
    """Yield, part by part, what is to be known before a training run with this configuration in `folder`.

    :raises InputError: the run could not start, or not be saved; the message says why.
    """
    finished = is_finished(folder, config)
    check_writable(folder)
    yield f"Folder: {folder}, {'where this run is finished already' if finished else 'which can be written to'}."
    ood = ood_names(config.eval.ood)
    accelerator = start(config.train)
    splits = load_splits(config)
    check_sizes(splits, config)
    check_loss(config.loss, splits.class_counts)
    yield f"Data: {config.data.path}\n{_describe_splits(splits)}"
    yield f"Labels\n{_describe_labels(splits)}"
    outside = {path: load_outside(path, config, splits) for path in ood.values()}
    if outside:
        yield f"Outside: {', '.join(f'{len(part):,} examples of {path}' for path, part in outside.items())}."
    config.mixup.check_epochs(total_epochs(accelerator, splits, config.train))
    seed_generators(config.seed)
    model = build_model(config, splits)
    check_tokens(model, splits.processor, *outside.values())
    splits = fit_padding(model, splits)
    yield _describe_model(model, splits, config)
    mixup, told = _prove(model, splits, config)
    yield told
    if NOISE_EMBEDDINGS in config.eval.ood:
        EmbeddingNoise(model, example=proof_example(splits.train))
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
    site, example = config.mixup_site, proof_example(splits.train)
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
    """Take a few steps and predict a few texts, and tell how long the run will take and what memory it needs."""
    train, steps = config.train, steps_per_epoch(accelerator, splits, config.train)
    training = _training_rate(accelerator, model, mixup, splits, config)
    evaluation = _evaluation_rate(model, splits.validation, train.eval_batch_size)
    epochs = total_steps(train, steps) / steps
    evaluated = (math.ceil(epochs) + 2) * len(splits.validation) + (0 if splits.test is None else len(splits.test))
    told = timedelta(seconds=round(epochs * len(splits.train) / training + evaluated / evaluation))
    return (
        f"Speed: {training:,.0f} examples/s in training, {evaluation:,.0f} in evaluation.\n"
        f"Time: about {told} (h:mm:ss) for {epochs:.3g} epochs.\n"
        f"Memory: {_peak_memory(accelerator.device) / 2**30:.1f} GiB of one process on {accelerator.device}, with its "
        "longest batches."
    )


def _training_rate(
    accelerator: Accelerator, model: PreTrainedModel, mixup: Mixup, splits: Splits, config: Config
) -> float:
    """Return examples per second, over all processes, in a few optimizer steps.

    A step with the longest texts comes after them, for the memory it takes.
    """
    learner = make_learner(accelerator, model, mixup, splits, config)
    batches = batches_of_epoch(accelerator, splits, config, epoch=0)
    lengths = splits.train.lengths
    some = batches[: _STEPS * config.train.gradient_accumulation_steps]
    longest = batches[-1] if lengths is None else max(batches, key=lambda rows: lengths[rows].max())
    learner.forward.train()
    times, examples = [time.perf_counter()], []
    for window in windows(learner, splits.train, [*some, longest], config.mixup, epoch=0, first=0):
        float(optimizer_step(learner, window).loss)  # waits for the device
        times.append(time.perf_counter())
        examples.append(window.rows)
    counted = slice(1, -1) if len(examples) > 2 else slice(None)
    return sum(examples[counted]) / sum(np.diff(times)[counted])


@torch.inference_mode()
def _evaluation_rate(model: PreTrainedModel, examples: Examples, batch_size: int) -> float:
    """Return examples per second in a batch of texts neither short nor long, after one of the longest."""
    order = np.arange(len(examples)) if examples.lengths is None else np.argsort(examples.lengths, kind="stable")
    middle = max(0, (len(order) - batch_size) // 2)
    model.eval()
    seconds = 0.0
    for rows in (order[-batch_size:], order[middle : middle + batch_size]):
        begin = time.perf_counter()
        batch = {name: values.to(model.device) for name, values in examples.batch(rows).items() if name != "labels"}
        model(**examples.transform(batch, None)).logits.cpu()
        seconds = time.perf_counter() - begin
    return min(batch_size, len(order)) / seconds


def _peak_memory(device: torch.device) -> int:
    """Return the most bytes that were in use at once: of the device, or of the process where it is the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
