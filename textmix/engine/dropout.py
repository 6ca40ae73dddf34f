"""Dropout on a CPU, several times as fast as PyTorch's own.

PyTorch draws a number in double precision for each element there, one after the other unless the processor is Intel's:
a tenth of a step of fine-tuning, and more than a quarter once texts are long, for attention has a weight for every pair
of tokens. Here 64 random bits decide on four elements.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

_LEVELS = 2**16
"""Numbers that an element's 16 bits can be."""
_REGISTER = 16
"""Scores below which PyTorch's softmax on a CPU takes ten times as long as over so many."""
_WORTHWHILE = 3
"""Modules of dropout below which looking at every call costs more than drawing by ourselves gains."""


def fast_dropout(model: PreTrainedModel) -> AbstractContextManager[object]:
    """Return within what to train `model`: :class:`FastDropout` where there is dropout in its layers, else nothing.

    One dropout before the last layer, as the CNN has it, is not worth looking for at each of a step's hundred calls.
    Where the backward pass computes activations again it has to stay PyTorch's, for there PyTorch knows of no modes.
    """
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    wanted = model.device.type == "cpu" and len(drops) >= _WORTHWHILE and not model.is_activation_checkpointing
    return FastDropout() if wanted else nullcontext()


class FastDropout(TorchFunctionMode):
    """Within it :func:`dropout` and :func:`attention` stand in for PyTorch's, whichever module calls them.

    Masks come from PyTorch's generator, as they would without it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, or what stands in for it."""
        return _INSTEAD.get(func, func)(*args, **kwargs or {})


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: A002
    """Drop elements with probability `p`, and divide the others by 1 - `p`: :func:`torch.nn.functional.dropout`.

    :param p: rounded to a multiple of 2 ** -16.
    """
    dropped = round(p * _LEVELS)
    if not training or inplace or input.device.type != "cpu" or not 0 < dropped < _LEVELS:
        return F.dropout(input, p, training, inplace)
    draws = torch.empty(math.ceil(input.numel() / 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: input.numel()].view(input.shape)
    keep = torch.ge(bits, dropped - _LEVELS // 2, out=torch.empty_like(input))  # in no type that must be converted
    return input * keep.mul_(_LEVELS / (_LEVELS - dropped))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **options: bool,
) -> Tensor:
    """Attend with `query` (..., L, D) to `key` and `value` (..., S, D), as PyTorch's scaled_dot_product_attention does.

    With dropout that has no fused kernel for a CPU, and computes bfloat16 in float32 throughout. A query that may
    attend to no key, as only padding is, gets the mean of all values here, where PyTorch gives zeros.
    """
    if dropout_p == 0 or is_causal or any(options.values()) or query.device.type != "cpu":
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **options
        )
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
    lowest = torch.finfo(scores.dtype).min  # infinite ones throughout a row would make it NaN
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, lowest)
    elif attn_mask is not None:
        scores = scores + attn_mask.clamp(min=lowest)
    return dropout(_softmax(scores).to(value.dtype), dropout_p) @ value


def _softmax(scores: Tensor) -> Tensor:
    """Return the softmax over the last dimension in float32."""
    keys = scores.shape[-1]
    if keys < _REGISTER:
        scores = F.pad(scores, (0, _REGISTER - keys), value=-torch.inf)
    return scores.softmax(dim=-1, dtype=torch.float32)[..., :keys]


_INSTEAD: Mapping[Any, Callable[..., Any]] = {F.dropout: dropout, F.scaled_dot_product_attention: attention}
