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

    *power*: other tokens change the logits. *blind*: they do not while the hooks give the rows' own inputs back, so
    nothing reads tokens behind the hooks' back. *ends*: at weights 1 and 0 a row has the longer row's clean logits.

    :raises InputError: one of them fails.
    """
    clean = logits(model, batch)
    if not clean.isfinite().all():
        raise _refusal(site, "its logits on a batch with padding are not finite")
    power = (logits(model, other) - clean).abs().max()
    noise = 16 * torch.finfo(next(model.parameters()).dtype).eps * clean.abs().max()
    if not power > noise:
        raise _refusal(site, "its logits do not depend on the tokens of the batch it is proven on")
    allowed = torch.maximum(_SHARE * power, noise)
    rows = torch.arange(len(clean), device=clean.device)
    carried = bool(site.swaps)
    if carried:
        plan, _ = pair(batch, Mix(rows, clean.new_ones(())), site.name, carried)
        with armed(key, plan, site):
            blind = logits(model, other)
        if not (blind - clean).abs().max() <= allowed:
            raise _refusal(site, "it reads tokens elsewhere, too")
    for weight, heavy in ((1.0, rows), (0.0, rows.roll(-1))):
        plan, inputs = pair(batch, Mix(rows.roll(-1), clean.new_tensor(weight)), site.name, carried)
        with armed(key, plan, site):
            mixed = logits(model, inputs)
        longer = plan.carrier == heavy
        if not (mixed - clean[heavy]).abs()[longer].max() <= allowed:
            raise _refusal(site, f"a row of weight {weight:.0f} does not get the logits of the row that it then equals")


def _refusal(site: Site, reason: str) -> InputError:
    instead = "none" if site.name == "head" else "head"
    return InputError(f"mixup.site {site.name} can't be used with this model: {reason}; use mixup.site {instead}.")
