"""Looking into a model without leaving a trace: what every module is called with, and what it gives."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from textmix.errors import InputError
from textmix.mixup.example import scrambled, special_ids


@dataclass
class Call:
    """One call of a module: the leaves of its arguments and of its output, and the calls it was made by and made.

    `number` counts the calls of the module at `path`, `started` and `ended` are ticks of one clock.
    """

    path: str
    number: int
    module: nn.Module
    parent: "Call | None"
    inputs: list[Any]
    started: int
    ended: int = 0
    outputs: list[Any] = field(default_factory=list)
    children: list["Call"] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, int]:
        """What the call is found by in another run of the model."""
        return self.path, self.number


Trace = dict[tuple[str, int], Call]
"""The calls of one forward by their keys, in the order they began."""


@dataclass(frozen=True)
class Probes:
    """A model's calls on `batch`, on the same batch of `other` tokens, and without its last row (`fewer`)."""

    batch: Mapping[str, Tensor]
    other_batch: Mapping[str, Tensor]
    clean: Trace
    other: Trace
    fewer: Trace

    def follows(self, call: Call) -> bool:
        """Whether the call's first output is a float tensor that changes with the tokens."""
        if call.key not in self.other:
            return False
        a, b = call.outputs[0], self.other[call.key].outputs[0]
        return isinstance(a, Tensor) and a.is_floating_point() and a.shape == b.shape and not torch.equal(a, b)


def probe(model: nn.Module, batch: Mapping[str, Tensor]) -> Probes:
    """Run the model on `batch` and on two variations of it.

    :raises InputError: the batch has nothing to vary, or the model fails on it.
    """
    other = scrambled(batch, special_ids(model))
    fewer = {name: rows[:-1] for name, rows in batch.items()}
    return Probes(batch, other, trace(model, batch), trace(model, other), trace(model, fewer))


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Run the body in eval mode, without gradients, and put every training flag and random state back."""
    training = {module: module.training for module in model.modules()}
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    try:
        with torch.no_grad(), torch.random.fork_rng(sorted(devices, key=str)):
            model.eval()
            yield
    finally:
        for module, flag in training.items():
            module.training = flag


def logits(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the model's logits (B, C) in float32 at least, the same at every call even where the model draws.

    :raises InputError: its forward fails on the batch.
    """
    torch.manual_seed(0)
    try:
        output = model(**inputs)
        raw: Tensor = output if isinstance(output, Tensor) else output.logits
    except InputError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{type(model).__name__} fails on a batch of {', '.join(inputs)}: {reason}") from error
    return raw if raw.dtype == torch.float64 else raw.float()


def trace(model: nn.Module, inputs: Mapping[str, Tensor]) -> Trace:
    """Run the model and return every call of every module."""
    calls: Trace = {}
    running: list[Call] = []
    numbers: dict[str, int] = {}
    clock = count()

    def begin(path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        numbers[path] = numbers.get(path, -1) + 1
        parent = running[-1] if running else None
        call = Call(path, numbers[path], module, parent, tree_leaves((args, kwargs)), next(clock))
        calls[call.key] = call
        running.append(call)
        if parent is not None:
            parent.children.append(call)

    def end(output: Any) -> None:
        call = running.pop()
        call.outputs, call.ended = tree_leaves(output), next(clock)

    handles = []
    for path, module in model.named_modules():
        begins = module.register_forward_pre_hook(
            lambda module, args, kwargs, path=path: begin(path, module, args, kwargs), with_kwargs=True
        )
        handles += [begins, module.register_forward_hook(lambda _module, _args, output: end(output))]
    try:
        logits(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return calls
