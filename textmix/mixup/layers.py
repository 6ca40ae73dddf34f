"""Sites beyond the embedding: layers, any module by its path, and the sentence vector before the classifier."""

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from textmix.errors import InputError
from textmix.mixup.probe import Call, Probes
from textmix.mixup.sites import Carried, Own, Point, Site, Swap, embedding, once, readers, reads


def find(model: nn.Module, site: str, probes: Probes) -> tuple[Site, ...]:
    """Find the site that a configuration names; ``hidden:random[a,b]`` names several.

    :raises InputError: the model has no such site; the message says which it has.
    """
    if site == "embedding":
        return (embedding(probes),)
    if site == "head":
        # The classifier is linear: mixing what it gives is mixing the sentence vector it is given.
        return (Site(site, (Point("", model, 0),)),)
    if not site.startswith("hidden:"):
        return (_inside(site, site, probes),)
    named = re.fullmatch(r"hidden:(?:(\d+)|random\[\s*(\d+(?:\s*,\s*\d+)*)\s*\])", site)
    paths = _layers(probes)
    if not paths:
        raise InputError(f"mixup.site: this model has no list of layers, got {site!r}; use head or a module path.")
    numbers = [int(n) for n in (named[1] or named[2]).split(",")] if named is not None else []
    if not numbers or not all(1 <= n <= len(paths) for n in numbers):
        raise InputError(
            f"mixup.site: expected hidden:<k> or hidden:random[a,b,c] with layers from 1 to {len(paths)}, got {site!r}."
        )
    return tuple(_inside(f"hidden:{n}", paths[n - 1], probes) for n in dict.fromkeys(numbers))


def _layers(probes: Probes) -> list[str]:
    """Return the paths of the model's layers: its longest list of modules with an output a token, outermost first.

    A list that holds single operations (a ResNet's stem) counts only where no list is of modules that run others.
    """
    lists: dict[str, list[Call]] = {}
    for call in probes.clean.values():
        parent, _, number = call.path.rpartition(".")
        if number.isdecimal() and call.number == 0 and probes.follows(call) and call.outputs[0].ndim > 2:
            lists.setdefault(parent, []).append(call)
    layers = min(
        lists.values(),
        key=lambda calls: (not all(call.children for call in calls), calls[0].path.count("."), -len(calls)),
        default=[],
    )
    return [call.path for call in layers]


def _inside(site: str, path: str, probes: Probes) -> Site:
    """Find what has to be hooked to mix the output of the module at `path`.

    The innermost module around it that reads token ids is given the rows' own inputs, so that nothing up to the site
    sees a partner. What runs after the site within that module gets its masks and positions from the carriers: they are
    the arguments that have rows but do not follow the tokens. As texts are padded on one side, the mask of the longer
    row is the union of both.

    :raises InputError: the module does not run exactly once, or its output has no rows.
    """
    call = probes.clean.get((path, 0))
    if call is None or not path:  # the empty path is the model, which is no module of its own
        known = ", ".join(["embedding", "head", *_layers(probes)[:2]])
        raise InputError(f"mixup.site: no module {path!r} runs in this model; expected a path as in {known}, ...")
    for reader, own in readers(probes):
        if reader is call:
            swap = Swap(path, call.module, len(call.inputs), (own,))
            return Site(site, (once(site, Point(path, call.module, own.dim), probes),), (swap,), tuple(probes.batch))
    same = probes.fewer.get(call.key)
    rows = _rows(call.outputs[0], same.outputs[0]) if same is not None and probes.follows(call) else None
    if rows is None or rows[1] != 1:
        raise InputError(f"mixup.site {site}: the output of {path} has not one entry a row; use another module.")
    point = once(site, Point(path, call.module, rows[0]), probes)
    return Site(site, (point,), _swaps(call, probes), tuple(probes.batch))


def _swaps(site: Call, probes: Probes) -> tuple[Swap, ...]:
    """Return what is swapped around and after the call of a site; nothing where there are no texts."""
    if "input_ids" not in probes.batch:
        return ()
    around = list(_around(site, probes.batch["input_ids"]))
    base = around[-1]
    own = tuple(
        Own(leaf, name)
        for leaf, value in enumerate(base.inputs)
        for name, given in probes.batch.items()
        if value is given
    )
    swaps = [Swap(base.path, base.module, len(base.inputs), own)]
    for later in (later for outer in around for later in outer.children if later.started > site.ended):
        carried = tuple(_carried(later, probes))
        if carried:
            swaps.append(Swap(later.path, later.module, len(later.inputs), carried))
    return tuple(swaps)


def _around(call: Call, ids: Tensor) -> Iterator[Call]:
    """Yield the calls that a call was made in, up to the first that is given the token ids."""
    while call.parent is not None:
        call = call.parent
        yield call
        if reads(call, ids) is not None:
            return


def _carried(call: Call, probes: Probes) -> Iterator[Carried]:
    if call.key not in probes.other or call.key not in probes.fewer:  # an expert that other tokens do not reach
        return
    others, fewer = probes.other[call.key].inputs, probes.fewer[call.key].inputs
    for leaf, (a, b, c) in enumerate(zip(call.inputs, others, fewer, strict=True)):
        rows = _rows(a, c)
        if rows is not None and torch.equal(a, b):
            yield Carried(leaf, *rows)


def _rows(value: object, fewer: object) -> tuple[int, int] | None:
    """Return the dimension that shrinks with the batch, which `fewer` has one row less of, and the entries of a row."""
    if not isinstance(value, Tensor) or not isinstance(fewer, Tensor) or value.ndim != fewer.ndim:
        return None
    shrunk = [dim for dim in range(value.ndim) if value.shape[dim] != fewer.shape[dim]]
    return (shrunk[0], value.shape[shrunk[0]] - fewer.shape[shrunk[0]]) if len(shrunk) == 1 else None
