"""One optimizer step: a window of micro-batches, mixed, forwarded and averaged over all their examples."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel

from textmix.config import Config, MixupConfig
from textmix.data import Examples, share
from textmix.losses import classification_loss, target_mass
from textmix.mixup import Mix, Mixup, draw

Rows = npt.NDArray[np.int64]
Batch = dict[str, Tensor]


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
    optimizer: Optimizer
    schedule: LRScheduler
    config: Config
    class_weights: Tensor | None
    num_classes: int


@dataclass(frozen=True)
class MicroBatch:
    """The part of a micro-batch that falls to one process, on its device."""

    inputs: Batch
    labels: Tensor
    mix: Mix
    global_rows: int
    """Rows of the micro-batch over all processes."""
    counts: bool
    """False for the row a process computes where there are fewer rows than processes: it adds nothing."""


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


class _Batches(Dataset[Batch]):
    """Examples that are read a batch at a time."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __getitem__(self, rows: Rows) -> Batch:
        return self.examples.batch(rows)


def windows(
    learner: Learner, examples: Examples, batches: list[Rows], mixup: MixupConfig, epoch: int, first: int
) -> Iterator[list[MicroBatch]]:
    """Yield the micro-batches of each optimizer step of an epoch, beginning with step `first`.

    What is mixed with what depends on the seed, the epoch, the micro-batch's place in it and the process alone.
    """
    accelerator, size = learner.accelerator, learner.config.train.gradient_accumulation_steps
    rank, processes = accelerator.process_index, accelerator.num_processes
    shares = [share(rows, rank, processes) for rows in batches]
    plan = [mine if len(mine) else rows[:1] for mine, rows in zip(shares, batches, strict=True)]
    loader = DataLoader(
        _Batches(examples),
        sampler=plan[first * size :],
        batch_size=None,
        num_workers=learner.config.train.workers,
        pin_memory=accelerator.device.type == "cuda",
        generator=torch.Generator(),  # its own, or opening the loader would move the global one
    )
    window: list[MicroBatch] = []
    for step, batch in enumerate(loader, start=first * size):
        inputs = {name: values.to(accelerator.device, non_blocking=True) for name, values in batch.items()}
        labels = inputs.pop("labels")
        seed = (learner.config.seed, epoch, step, rank)
        inputs = examples.transform(inputs, seed)
        mix = draw(mixup, len(labels), seed=seed)
        window.append(MicroBatch(inputs, labels, mix, len(batches[step]), counts=len(shares[step]) > 0))
        if len(window) == size or step == len(batches) - 1:
            yield window
            window = []


def optimizer_step(learner: Learner, window: list[MicroBatch], clean_weight: float) -> StepResult:
    """Take one optimizer step on the mean loss over the rows of all its micro-batches and processes.

    Nothing here reads a number back from the device.
    """
    accelerator = learner.accelerator
    targets = [micro.mix.targets(micro.labels, learner.num_classes) for micro in window]
    rows = sum(micro.global_rows for micro in window)
    mass = _window_mass(learner, window, targets)
    losses = []
    for i, (micro, target) in enumerate(zip(window, targets, strict=True)):
        # Gradients are averaged over the processes once, after the last micro-batch.
        with nullcontext() if i == len(window) - 1 else accelerator.no_sync(learner.forward):
            mixed, clean = learner.forward(micro.inputs, micro.mix, clean_weight > 0 and not micro.mix.identity)
            loss = _loss(learner, mixed, target, rows, mass)
            if clean is not None:
                labels = one_hot(micro.labels, learner.num_classes).float()
                loss = loss + clean_weight * _loss(learner, clean, labels, rows, mass)
            accelerator.backward(loss if micro.counts else loss * 0)
        losses.append(loss.detach() * micro.counts)
    limit = learner.config.train.max_grad_norm
    norm = accelerator.clip_grad_norm_(learner.forward.parameters(), float("inf") if limit is None else limit)
    rate = float(learner.schedule.get_last_lr()[0])
    learner.optimizer.step()
    learner.schedule.step()
    learner.optimizer.zero_grad()
    return StepResult(torch.stack(losses).sum(), torch.as_tensor(norm), window[0].mix.weight, rate)


def _window_mass(learner: Learner, window: list[MicroBatch], targets: list[Tensor]) -> Tensor | None:
    if learner.class_weights is None:
        return None
    own = [target_mass(t, learner.class_weights) * m.counts for t, m in zip(targets, window, strict=True)]
    mass: Tensor = learner.accelerator.reduce(torch.stack(own).sum(), "sum")
    return mass


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
