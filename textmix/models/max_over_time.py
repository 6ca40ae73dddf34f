"""Max over time of convolutions, with a backward pass as sparse as the maximum is.

A filter's value comes from one window of a text, and gradients reach that window alone. Computed densely, as autograd
would do, they cost two matrix products as large as the forward pass's, of zeros nearly throughout.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CACHED = 8 * 2**20
"""Bytes that the taps may make of the texts computed together on a CPU, outside whose caches it takes longer."""


def max_over_time(embedded: Tensor, mask: Tensor, filters: Sequence[Tensor]) -> Tensor:
    """Return the largest value that each filter has over a text with zeros around it: (B, number of filters).

    Windows that see padding alone do not take part; in a text without tokens every filter has -inf. Of equal values the
    first gets the gradient, as in :func:`torch.nn.functional.max_pool1d`.

    :param embedded: (B, L, D).
    :param mask: (B, L), true where there is a token.
    :param filters: the filters of each width w: (F, D, w).
    """
    taps = torch.cat([weight.permute(2, 0, 1).flatten(0, 1) for weight in filters])
    shapes = [(len(weight), weight.shape[2]) for weight in filters]
    best: Tensor = _MaxOverTime.apply(embedded, mask, taps, shapes)  # type: ignore[no-untyped-call]
    return best


class _MaxOverTime(torch.autograd.Function):
    """`taps` (T, D) hold for each pair (F, w) of `shapes` the first tap of F filters, then the second, up to tap w."""

    @staticmethod
    def forward(ctx: Any, embedded: Tensor, mask: Tensor, taps: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        texts = _texts_at_a_time(embedded, len(taps))
        parts = [
            _best_of_texts(*part, taps, shapes) for part in zip(embedded.split(texts), mask.split(texts), strict=True)
        ]
        ctx.shapes = shapes
        ctx.save_for_backward(embedded, taps, torch.cat([tokens for _, tokens in parts], dim=1))
        return torch.cat([best for best, _ in parts])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        embedded, taps, tokens = ctx.saved_tensors  # tokens (T, B): the one that each tap met, outside a text for zeros
        batch, length, _ = embedded.shape
        shares = [
            share.repeat(width, 1)
            for share, (_, width) in zip(gradient.T.split([count for count, _ in ctx.shapes]), ctx.shapes, strict=True)
        ]
        weights = torch.cat(shares).masked_fill((tokens < 0) | (tokens >= length), 0)  # (T, B)
        rows = tokens.clamp(0, length - 1) + length * torch.arange(batch, device=tokens.device)
        of_embedded = of_taps = None
        if ctx.needs_input_grad[0]:
            order = rows.flatten().int().argsort(stable=True)  # as 32 bits in a third of the time
            starts = torch.searchsorted(rows.flatten()[order], torch.arange(batch * length, device=rows.device))
            of_embedded = _weighted_sums(taps, order // batch, weights.flatten()[order], starts).view_as(embedded)
        if ctx.needs_input_grad[2]:
            of_taps = _weighted_sums(embedded.flatten(0, 1), rows, weights)
        return None if of_embedded is None else of_embedded.to(embedded.dtype), None, of_taps, None


def _texts_at_a_time(embedded: Tensor, taps: int) -> int:
    batch, length, _ = embedded.shape
    if not embedded.is_cpu or torch.compiler.is_compiling():  # which would compile again for every number of parts
        return max(1, batch)
    return max(1, CACHED // (max(1, length) * taps * embedded.element_size()))


def _best_of_texts(
    embedded: Tensor, mask: Tensor, taps: Tensor, shapes: list[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Return each filter's largest value (B, number of filters), and the token (T, B) that each tap met for it."""
    # One matrix product serves all widths, in three quarters of the time that as many convolutions take on a CPU.
    products = F.linear(embedded, taps).split([count * width for count, width in shapes], dim=-1)
    best, tokens = [], []
    for product, (_, width) in zip(products, shapes, strict=True):
        values, starts = _best_windows(product, mask, width)
        best.append(values)
        tokens.append((starts.T + torch.arange(width, device=starts.device)[:, None, None]).flatten(0, 1))
    return torch.cat(best, dim=-1), torch.cat(tokens)


def _best_windows(product: Tensor, mask: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the largest sum (B, F) of `width` taps, and the token (B, F) that its window starts at.

    :param product: (B, L, width * F): what each tap makes of each token.
    """
    before = width - 1  # windows start up to so many tokens before the text
    batch, length = mask.shape
    sums = product.new_zeros(batch, before + length, product.shape[-1] // width)
    for tap, part in enumerate(product.chunk(width, dim=-1)):
        sums[:, before - tap :][:, :length] += part.contiguous()  # of a slice, bfloat16 takes four times as long
    reach = F.max_pool1d(F.pad(mask.float(), (before, before)), width, stride=1) > 0
    best, windows = sums.masked_fill_(~reach.unsqueeze(-1), -torch.inf).max(dim=1)
    return best, windows - before


def _weighted_sums(vectors: Tensor, rows: Tensor, weights: Tensor, starts: Tensor | None = None) -> Tensor:
    """Sum rows of `vectors` with weights: those of each row of `rows`, or from each start to the next."""
    return F.embedding_bag(rows, vectors, starts, mode="sum", per_sample_weights=weights.to(vectors.dtype))
