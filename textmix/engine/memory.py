"""Memory that is too small: which batch it was, and the same optimizer step again in smaller pieces."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from accelerate.utils.memory import find_executable_batch_size, should_reduce_batch_size
from torch import Tensor

from textmix.engine.randomness import random_state, set_random_state
from textmix.engine.reading import Batch
from textmix.engine.steps import Learner, MicroBatch, StepResult, Window, accumulate, update, weigh
from textmix.errors import RunError
from textmix.mixup import draw

logger = logging.getLogger(__name__)

_REMEDY = (
    "set --train.auto_batch true, or lower train.batch_size and raise train.gradient_accumulation_steps by as much, or "
    "lower data.max_length"
)


@contextmanager
def enough_memory(inputs: Batch, place: str, remedy: str) -> Iterator[None]:
    """Turn the failure to allocate into one sentence.

    :param inputs: the batch that the body works on.
    :param place: where that is, such as "at step 3".
    :param remedy: what to do, such as "lower train.batch_size".
    """
    try:
        yield
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        raise RunError(f"out of memory {place}, in a batch of {_shapes(inputs)}: {remedy}.") from error


def step_in_memory(learner: Learner, window: Window, size: int, place: str) -> tuple[StepResult, int]:
    """Take an optimizer step in micro-batches of `size` rows, or of fewer where ``train.auto_batch`` is on.

    What a step in smaller pieces results in depends on the pieces alone, not on where memory ran out before.

    :param size: rows of a micro-batch on each process.
    :param place: which step it is, for messages.
    :return: the step, and the rows of a micro-batch for which memory was enough.
    :raises RunError: memory is too small.
    """
    train = learner.config.train
    if train.auto_batch:
        loss, size = _accumulate_what_fits(learner, window, size, place)
        remedy = "no smaller batch helps, for the weights are being changed; use a smaller model or another optimizer"
        with enough_memory(window.micros[0].inputs, place, remedy):
            return update(learner, window, loss), size
    pieces = divided(window, train.batch_size, size)
    with enough_memory(pieces.micros[0].inputs, place, _REMEDY):
        loss = accumulate(learner, learner.forward, pieces, weigh(learner, pieces))
        return update(learner, pieces, loss), size


def divided(window: Window, whole: int, size: int) -> Window:
    """Return a window with the same rows in more micro-batches, as equal as can be.

    Partners are drawn anew, for a row's is always one of its own micro-batch.

    :param whole: rows of a micro-batch on each process as configured.
    :param size: rows that it may have.
    """
    if size == whole:
        return window
    parts = math.ceil(whole / size)
    return replace(window, micros=[piece for micro in window.micros for piece in _pieces(micro, window, size, parts)])


def _pieces(micro: MicroBatch, window: Window, size: int, parts: int) -> Iterator[MicroBatch]:
    count = math.ceil(len(micro.labels) / size)
    inputs = {name: values.tensor_split(count) for name, values in micro.inputs.items()}
    seed, epoch, step, rank = micro.seed
    for i, labels in enumerate(micro.labels.tensor_split(count)):
        # The number that this micro-batch would have if train.batch_size had been `size` all the time.
        own = (seed, epoch, step * parts + i, rank)
        mix = draw(window.mixup, len(labels), own)
        yield MicroBatch({name: pieces[i] for name, pieces in inputs.items()}, labels, mix, own, micro.counts)


def _accumulate_what_fits(learner: Learner, window: Window, size: int, place: str) -> tuple[Tensor, int]:
    """Add up the gradients of a window in micro-batches that fit; return its loss and their rows."""
    train, device = learner.config.train, learner.accelerator.device
    random, buffers = random_state(device), [buffer.clone() for buffer in learner.forward.buffers()]

    def attempt(size: int) -> Tensor:
        return _accumulate_everywhere(learner, divided(window, train.batch_size, size))

    def smaller() -> int:
        nonlocal size
        shapes = _shapes(divided(window, train.batch_size, size).micros[0].inputs)
        if size <= (2 if window.mixup.active else 1):
            least = "two rows, for a row needs a partner" if window.mixup.active else "one row"
            raise RunError(
                f"out of memory {place}, in a batch of {shapes}, and train.auto_batch ends at {least}: lower "
                "data.max_length, or use a smaller model."
            )
        size = math.ceil(size / 2)
        steps = train.gradient_accumulation_steps * math.ceil(train.batch_size / size)
        logger.warning(
            "out of memory %s, in a batch of %s: goes on with train.batch_size %d and "
            "train.gradient_accumulation_steps %d, which leaves the rows of a step as they were.",
            place, shapes, size, steps,
        )  # fmt: skip
        learner.optimizer.zero_grad()
        set_random_state(random, device)
        with torch.no_grad():
            for buffer, before in zip(learner.forward.buffers(), buffers, strict=True):
                buffer.copy_(before)
        return size

    try:
        return attempt(size), size
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
    # Not from the start: it collects garbage before the first attempt, which at every step would take its time.
    return find_executable_batch_size(attempt, smaller(), smaller)(), size


def _accumulate_everywhere(learner: Learner, window: Window) -> Tensor:
    """Add up the gradients of a window on all processes; where one of them has too little memory, all raise."""
    accelerator, masses = learner.accelerator, weigh(learner, window)
    if accelerator.num_processes == 1:
        return accumulate(learner, learner.forward, window, masses)
    # Each alone at first: one that runs out of memory would leave the others waiting for its gradients.
    forward, loss = accelerator.unwrap_model(learner.forward), None
    try:
        loss = accumulate(learner, forward, window, masses)
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
    if int(accelerator.reduce(torch.tensor(int(loss is None), device=accelerator.device), "sum")):
        raise torch.OutOfMemoryError("a process is out of memory.")
    for parameter in forward.parameters():
        if parameter.grad is not None:
            parameter.grad = accelerator.reduce(parameter.grad, "mean")
    assert loss is not None
    return loss


def _shapes(inputs: Batch) -> str:
    return ", ".join(f"{name} {tuple(values.shape)}" for name, values in inputs.items())
