"""The hooks: they read an immutable plan, draw nothing, and do nothing while no plan is armed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.hooks import RemovableHandle

from textmix.errors import InputError
from textmix.mixup.lengths import Plan
from textmix.mixup.sites import Own, Point, Site, Swap

# Keyed by mixer, and not on an object of the hook: torch.compile would compile again for every length of batch.
_plans: dict[int, Plan] = {}
_fired: dict[int, list[str]] = {}


def register(site: Site, key: int) -> list[RemovableHandle]:
    """Put the hooks of `site` on its modules, for mixer `key`."""
    swaps = [
        s.module.register_forward_pre_hook(partial(_swap, key, site.name, s), with_kwargs=True) for s in site.swaps
    ]
    return swaps + [p.module.register_forward_hook(partial(_mix, key, site.name, p)) for p in site.points]


@contextmanager
def armed(key: int, plan: Plan, site: Site) -> Iterator[None]:
    """Let the hooks of `site` mix as `plan` says until the body ends.

    :raises InputError: a module of the site ran more or less often than once.
    """
    assert key not in _plans, "a mixer mixes one batch at a time"
    _plans[key], _fired[key] = plan, []
    try:
        yield
        fired = _fired[key]
    finally:
        del _plans[key], _fired[key]
    for point in site.points:
        times = fired.count(point.path)
        if times != 1:
            raise InputError(
                f"mixup.site {site.name}: {point.path or 'the model'} ran {times} times where one forward was planned; "
                "call the model once for each batch, and make the Mixup before torch.compile."
            )


def _swap(key: int, site: str, swap: Swap, _module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
    """Pre-hook: give a module the rows' own inputs, or the carriers' masks and positions."""
    plan = _plans.get(key)
    if plan is None or plan.site != site:
        return None
    leaves, spec = tree_flatten((args, kwargs))
    if len(leaves) != swap.leaves:
        raise InputError(
            f"mixup.site {site}: {swap.path or 'the model'} gets {len(leaves)} arguments instead of the {swap.leaves} "
            "it was proven with; make the Mixup with an example= batch like this one."
        )
    for argument in swap.arguments:
        seen = leaves[argument.leaf]
        if isinstance(argument, Own):
            if argument.name in plan.own:
                _expect_rows(site, swap.path, seen.shape[argument.dim], plan)
                leaves[argument.leaf] = _placed(seen, plan.own[argument.name], argument)
        elif isinstance(seen, Tensor):  # None is a mask of a batch without padding
            grouped = seen.unflatten(argument.dim, (-1, argument.repeat)).index_select(argument.dim, plan.carrier)
            leaves[argument.leaf] = grouped.flatten(argument.dim, argument.dim + 1)
    swapped: tuple[Any, Any] = tree_unflatten(leaves, spec)
    return swapped


def _placed(seen: Tensor, own: Tensor, argument: Own) -> Tensor:
    """Overwrite the text in `seen` by `own` (B, L); what the model itself put around it stays."""
    rows = own if argument.dim == 0 else own.T
    if rows.shape == seen.shape and argument.shift == 0:
        return rows
    columns = 1 - argument.dim
    width = min(own.shape[1], seen.shape[columns] - argument.shift)
    text = rows.narrow(columns, 0, width)
    return torch.slice_scatter(seen, text, columns, argument.shift, argument.shift + width)


def _mix(key: int, site: str, point: Point, _module: nn.Module, _args: Any, output: Any) -> Any:
    """Forward hook: mix the rows of the output."""
    plan = _plans.get(key)
    if plan is None or plan.site != site:
        return None
    leaves, spec = tree_flatten(output)
    rows: Tensor = leaves[0]
    _expect_rows(site, point.path, rows.shape[point.dim], plan)
    _fired[key].append(point.path)
    leaves[0] = blend(rows, plan.permutation, plan.weight, point.dim)
    return tree_unflatten(leaves, spec)


def _expect_rows(site: str, path: str, rows: int, plan: Plan) -> None:
    if rows != len(plan.permutation):
        raise InputError(
            f"mixup.site {site}: {path or 'the model'} got {rows} rows instead of the mix's {len(plan.permutation)}; "
            "nn.DataParallel splits batches, so start several GPUs with accelerate launch."
        )


def blend(rows: Tensor, permutation: Tensor, weight: Tensor, dim: int = 0) -> Tensor:
    """Return ``weight * row + (1 - weight) * partner`` along dimension `dim`, exact at the weights 0 and 1."""
    weight = weight.to(rows.dtype)
    if weight.ndim:
        weight = weight.view([-1 if d == dim else 1 for d in range(rows.ndim)])
    if rows.is_contiguous():
        return torch.lerp(rows.index_select(dim, permutation), rows, weight)
    # The slower way to the same rows, but it remembers how images lie in memory: with their colours last.
    return torch.lerp(rows.movedim(dim, 0)[permutation].movedim(0, dim), rows, weight)
