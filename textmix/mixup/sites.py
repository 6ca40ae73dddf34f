"""Where a model can be mixed: found by running it with other tokens and fewer rows, never listed by name."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textmix.errors import InputError
from textmix.mixup.lengths import CARRIED
from textmix.mixup.probe import Call, Probes


@dataclass(frozen=True)
class Own:
    """An argument that is given each row's own input again, where the model would read the carrier's.

    `leaf` numbers the arguments of the call, `name` is the batch's input. Rows run along dimension `dim`, and the text
    begins at column `shift` (a decoder reads it one to the right).
    """

    leaf: int
    name: str
    dim: int = 0
    shift: int = 0


@dataclass(frozen=True)
class Carried:
    """An argument that is taken from the carrier row, where the model would give each row's own (a mask, positions).

    Rows run along dimension `dim`, each with `repeat` entries (one for each head, say).
    """

    leaf: int
    dim: int
    repeat: int


@dataclass(frozen=True)
class Swap:
    """A module, called with `leaves` arguments, some of which are replaced."""

    path: str
    module: nn.Module
    leaves: int
    arguments: tuple[Own | Carried, ...]


@dataclass(frozen=True)
class Point:
    """A module whose output is mixed along dimension `dim`, once in every forward."""

    path: str
    module: nn.Module
    dim: int


@dataclass(frozen=True)
class Site:
    """Everything that is hooked to mix at one place.

    A site with `swaps` mixes texts, whose pairs are carried; a batch may then hold `inputs` and nothing else.
    """

    name: str
    points: tuple[Point, ...]
    swaps: tuple[Swap, ...] = ()
    inputs: tuple[str, ...] = ()


def embedding(probes: Probes) -> Site:
    """Find every module that turns token ids into vectors.

    :raises InputError: there is none, or one runs several times.
    """
    found = readers(probes)
    if not found:
        others = "input, head" if "pixel_values" in probes.batch else "head"
        raise InputError(
            "mixup.site embedding: no module of this model turns the batch's token ids into one vector a token; use "
            f"mixup.site {others}, hidden:<k> or a module path instead."
        )
    return Site(
        "embedding",
        tuple(once("embedding", Point(call.path, call.module, own.dim), probes) for call, own in found),
        tuple(Swap(call.path, call.module, len(call.inputs), (own,)) for call, own in found),
        CARRIED,
    )


def readers(probes: Probes) -> list[tuple[Call, Own]]:
    """Return the calls that turn token ids into vectors, and which argument holds the ids.

    They run no other module, and give a vector a token that follows it. A wrapper that runs nothing else (an adapter
    around an embedding) stands for what it wraps.
    """
    if "input_ids" not in probes.batch:
        return []
    found = {}
    for call in probes.clean.values():
        own = reads(call, probes.batch["input_ids"])
        if own is not None and probes.follows(call) and call.outputs[0].shape[:2] == call.inputs[own.leaf].shape:
            found[call.key] = call, own
    return [_wrapper(call, found) for call, _ in found.values() if not call.children]


def reads(call: Call, ids: Tensor) -> Own | None:
    """Find the argument that holds the token ids, as they are, transposed, or moved one to the right."""
    batch, length = ids.shape
    for leaf, value in enumerate(call.inputs):
        if not isinstance(value, Tensor) or value.is_floating_point() or value.ndim != 2:
            continue
        for dim, shift in ((0, 0), (1, 0), (0, 1), (1, 1)):
            rows = value if dim == 0 else value.T
            width = min(length, rows.shape[1] - shift)
            same_size = len(rows) == batch and width >= length - shift
            if same_size and torch.equal(rows[:, shift : shift + width], ids[:, :width]):
                return Own(leaf, "input_ids", dim, shift)
    return None


def _wrapper(call: Call, found: Mapping[tuple[str, int], tuple[Call, Own]]) -> tuple[Call, Own]:
    while call.parent is not None and call.parent.key in found and len(call.parent.children) == 1:
        call = call.parent
    return found[call.key]


def once(site: str, point: Point, probes: Probes) -> Point:
    """Return `point` if its module runs once in a forward.

    :raises InputError: it runs several times.
    """
    if (point.path, 1) in probes.clean:
        raise InputError(
            f"mixup.site {site}: {point.path} runs several times in one forward, where mixing once is meant; use "
            "mixup.site head or another module path."
        )
    return point
