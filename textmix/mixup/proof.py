"""The proof that mixing at a site does what it says, on this very model; what fails is refused with the reason."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from textmix.errors import InputError
from textmix.mixup.draw import Mix
from textmix.mixup.hook import armed
from textmix.mixup.lengths import pair
from textmix.mixup.probe import logits
from textmix.mixup.sites import Site

_SHARE = 1e-3
"""Largest deviation that passes, as a share of what other tokens change."""


def prove(model: nn.Module, site: Site, key: int, batch: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """Prove the hooked `site` on `batch`; `other` is the same batch with other tokens.

    *Power*: other tokens change the logits. *Blind*: they do not while the hooks give the rows' own inputs back, so
    nothing reads tokens behind the hooks' back. *Ends*: at weights 1 and 0 a row has the longer row's clean logits.

    :raises InputError: one of them fails.
    """
    clean = logits(model, batch)
    if not clean.isfinite().all():
        raise _refusal(site, "its logits on a batch with padding are not finite")
    power = (logits(model, other) - clean).abs().max()
    precision = max(torch.finfo(p.dtype).eps for p in model.parameters() if p.is_floating_point())
    noise = 8 * precision * clean.abs().max()
    if not power > noise:
        raise _refusal(site, "its logits do not depend on the tokens of the batch it is proven on")
    allowed = torch.maximum(_SHARE * power, noise)
    if site.swaps and not _blind(model, site, key, batch, other, clean) <= allowed:
        raise _refusal(site, "it reads tokens elsewhere, too")
    for weight in (1.0, 0.0):
        if not _end(model, site, key, batch, clean, weight) <= allowed:
            raise _refusal(site, f"a row of weight {weight:.0f} does not get the logits of the row that it then equals")


def _blind(
    model: nn.Module, site: Site, key: int, batch: Mapping[str, Tensor], other: Mapping[str, Tensor], clean: Tensor
) -> Tensor:
    """Return by how much other tokens change the logits while every row is mixed with itself."""
    rows = torch.arange(len(clean), device=clean.device)
    plan, _ = pair(batch, Mix(rows, clean.new_ones(())), site.name, carried=True)
    with armed(key, plan, site):
        return (logits(model, other) - clean).abs().max()


def _end(model: nn.Module, site: Site, key: int, batch: Mapping[str, Tensor], clean: Tensor, weight: float) -> Tensor:
    """Return the distance of the logits from the heavy row's, over the pairs that it carries."""
    rows = torch.arange(len(clean), device=clean.device)
    mix = Mix(rows.roll(-1), clean.new_tensor(weight))
    heavy = rows if weight == 1 else mix.permutation
    plan, inputs = pair(batch, mix, site.name, carried=bool(site.swaps))
    with armed(key, plan, site):
        mixed = logits(model, inputs)
    return (mixed - clean[heavy]).abs()[plan.carrier == heavy].max()


def _refusal(site: Site, reason: str) -> InputError:
    instead = "none" if site.name == "head" else "head"
    return InputError(f"mixup.site {site.name} can't be used with this model: {reason}; use mixup.site {instead}.")
