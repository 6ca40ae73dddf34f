"""One optimizer step: a window of micro-batches, mixed, forwarded and averaged over all their examples."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from textmix.config import Config, MixupConfig
from textmix.data import Examples, share
from textmix.data.batching import Indices
from textmix.engine.optimization import clip_gradients
from textmix.engine.reading import Batch, read_batches
from textmix.losses import classification_loss, target_mass
from textmix.mixup import Mix, Mixup, draw

_TOGETHER = 2**20
"""Bytes of small batches that are made at a time: one by one, between steps that use the caches for themselves, they
take three times as long. Larger ones, as of images, are made when they are asked for."""


class Forward(nn.Module):
    """The model and its mixing as one module, called once for each micro-batch.

    Data parallelism and autocast wrap this module and leave `model` itself as it was, to predict with in float32.
    """

    def __init__(self, model: PreTrainedModel, mixup: Mixup) -> None:
        super().__init__()
        self.model = model
        self.mixup = mixup

    # Else torch.compile would build one graph for every mix there is.
    @torch.compiler.disable(recursive=False)  # type: ignore[untyped-decorator]
    def forward(self, batch: Batch, mix: Mix, clean: bool) -> tuple[Tensor, Tensor | None]:
        """Return the logits (B, C) of the mixed batch and, where `clean`, those of the batch as it is."""
        with self.mixup.applied(mix, batch) as inputs:
            logits = self.model(**inputs).logits
        return logits, self.model(**batch).logits if clean else None


@dataclass(frozen=True)
class Learner:
    """What a step needs and what it changes."""

    accelerator: Accelerator
    forward: nn.Module
    optimizer: AcceleratedOptimizer
    schedule: LRScheduler
    config: Config
    class_weights: Tensor | None
    num_classes: int
    dropout: AbstractContextManager[object]
    """Context that the forward passes run in: our dropout, or nothing."""


@dataclass(frozen=True)
class MicroBatch:
    """The part of a micro-batch that falls to one process, on its device."""

    inputs: Batch
    labels: Tensor
    mix: Mix
    seed: tuple[int, int, int, int]
    """(seed, epoch, step, rank), of which its mix was drawn."""
    counts: bool
    """False for the row a process computes where there are fewer rows than processes: it adds nothing."""


@dataclass(frozen=True)
class Window:
    """The micro-batches of one optimizer step, as far as they fall to one process."""

    micros: list[MicroBatch]
    rows: int
    """Rows of all micro-batches over all processes."""
    mixup: MixupConfig
    """How they are mixed."""


@dataclass(frozen=True)
class StepResult:
    """What a step reports, as tensors that were not waited for."""

    loss: Tensor
    """This process's part of the loss; the mean over the processes is the loss of the step."""
    gradient_norm: Tensor
    """Norm of the gradient before clipping."""
    weight: Tensor
    """Lambda of the first micro-batch, on the host."""
    learning_rate: float
    """What the step was taken with."""


def windows(
    learner: Learner, examples: Examples, batches: list[Indices], mixup: MixupConfig, epoch: int, first: int
) -> Iterator[Window]:
    """Yield the window of each optimizer step of an epoch, beginning with step `first`.

    What is mixed with what depends on the seed, the epoch, the micro-batch's place in it and the process alone.
    """
    train = learner.config.train
    done, size = first * train.gradient_accumulation_steps, train.gradient_accumulation_steps
    micros = _micro_batches(learner, examples, batches, mixup, epoch, done)
    if train.workers == 0:  # they read ahead by themselves
        micros = _together(micros)
    while window := list(islice(micros, size)):
        rows = sum(map(len, batches[done : done + size]))
        yield Window(window, rows, mixup)
        done += size


def _micro_batches(
    learner: Learner, examples: Examples, batches: list[Indices], mixup: MixupConfig, epoch: int, first: int
) -> Iterator[MicroBatch]:
    accelerator = learner.accelerator
    rank, processes = accelerator.process_index, accelerator.num_processes
    shares = [share(rows, rank, processes) for rows in batches]
    plan = [mine if len(mine) else rows[:1] for mine, rows in zip(shares, batches, strict=True)]
    batches_read = read_batches(examples, plan[first:], accelerator.device, learner.config.train.workers)
    for step, inputs in enumerate(batches_read, start=first):
        labels = inputs.pop("labels")
        seed = (learner.config.seed, epoch, step, rank)
        inputs = examples.transform(inputs, seed)
        yield MicroBatch(inputs, labels, draw(mixup, len(labels), seed), seed, len(shares[step]) > 0)


def _together(micros: Iterator[MicroBatch]) -> Iterator[MicroBatch]:
    """Yield `micros`, making as many at a time as have :data:`_TOGETHER` bytes."""
    made: list[MicroBatch] = []
    size = 0
    for micro in micros:
        made.append(micro)
        size += sum(values.nbytes for values in micro.inputs.values())
        if size >= _TOGETHER:
            yield from made
            made.clear()
            size = 0
    yield from made


def optimizer_step(learner: Learner, window: Window) -> StepResult:
    """Take one optimizer step on the mean loss over the rows of all its micro-batches and processes.

    Nothing here reads a number back from the device.
    """
    return update(learner, window, accumulate(learner, learner.forward, window, weigh(learner, window)))


def weigh(learner: Learner, window: Window) -> Tensor | None:
    """Return the weight mass of all targets over all processes, mixed and clean (2,); None without class weights."""
    if learner.class_weights is None:
        return None
    own = torch.zeros(2, device=learner.accelerator.device)
    for micro in window.micros:
        targets = micro.mix.targets(micro.labels, learner.num_classes), _clean_targets(learner, micro)
        own += torch.stack([target_mass(t, learner.class_weights) for t in targets]) * micro.counts
    masses: Tensor = learner.accelerator.reduce(own, "sum")
    return masses


def accumulate(learner: Learner, forward: nn.Module, window: Window, masses: Tensor | None) -> Tensor:
    """Add up the gradients of a window and return this process's part of its loss.

    :param forward: that of the learner, which averages the gradients over the processes after the last micro-batch, or
        the module inside, which leaves them as they are.
    :param masses: what :func:`weigh` returned.
    """
    losses = []
    weight = window.mixup.clean_weight
    of_mixed, of_clean = (None, None) if masses is None else masses
    for i, micro in enumerate(window.micros):
        target = micro.mix.targets(micro.labels, learner.num_classes)
        with learner.dropout, nullcontext() if i == len(window.micros) - 1 else learner.accelerator.no_sync(forward):
            mixed, clean = forward(micro.inputs, micro.mix, weight > 0 and not micro.mix.identity)
            loss = _loss(learner, mixed, target, window.rows, of_mixed)
            if clean is not None:
                loss = loss + weight * _loss(learner, clean, _clean_targets(learner, micro), window.rows, of_clean)
            learner.accelerator.backward(loss if micro.counts else loss * 0)
        losses.append(loss.detach() * micro.counts)
    return torch.stack(losses).sum()


def update(learner: Learner, window: Window, loss: Tensor) -> StepResult:
    """Change the weights as the gradients of a window say."""
    learner.accelerator.unscale_gradients(learner.optimizer)  # of float16
    norm = clip_gradients(learner.optimizer.optimizer, learner.config.train.max_grad_norm)
    rate = float(learner.schedule.get_last_lr()[0])
    learner.optimizer.step()
    learner.schedule.step()
    learner.optimizer.zero_grad()
    return StepResult(loss, norm, window.micros[0].mix.weight, rate)


def _clean_targets(learner: Learner, micro: MicroBatch) -> Tensor:
    return one_hot(micro.labels, learner.num_classes).float()


def _loss(learner: Learner, logits: Tensor, targets: Tensor, rows: int, mass: Tensor | None) -> Tensor:
    # Data parallelism takes the mean of the processes' gradients: a process's share of the rows makes that the sum.
    share_of_rows = rows / learner.accelerator.num_processes
    return classification_loss(
        logits,
        targets,
        learner.config.loss,
        learner.class_weights,
        rows=share_of_rows,
        mass=share_of_rows if mass is None else mass / learner.accelerator.num_processes,
    )
