"""From logits and labels to what each example contributes: input checks, and the softmax in chunks that fit the cache.

Everything the metrics need of an example is its confidence, whether that was borne out, its NLL and its Brier score.
They are computed chunk by chunk: the N x C matrix of probabilities never exists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import e, log2
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textmix.errors import InputError

Mode: TypeAlias = Literal["top", "positive"]
"""What confidence means: `top`, the probability of the predicted class, borne out where the prediction is right (also
for two classes); `positive`, the probability of class 1 of two, borne out where the label is 1."""

Array: TypeAlias = Tensor | npt.ArrayLike

FloatArray: TypeAlias = npt.NDArray[np.float64]

_CHUNK = 2**19  # logits of a chunk: few enough for the cache, many enough that the calls cost nothing beside the work
_CHUNK_ROWS = 2**16  # and rows, for the same two reasons
_NARROW = 32  # classes below which reducing over columns of the transpose is faster than over short rows
_LOG2_E = log2(e)
_SHOWN = 5  # row numbers an error message lists


@dataclass(frozen=True)
class Scores:
    """What n examples contribute to the metrics, each a tensor (n,) on the CPU.

    `confidence` (float64) and `outcome` (bool: whether what confidence speaks of came true) follow the mode; `correct`
    (bool) is whether the first argmax is the label; `nll` (float64, nats) and `brier` (float64, 0 to 2).
    """

    confidence: Tensor
    outcome: Tensor
    correct: Tensor
    nll: Tensor
    brier: Tensor


def chunks(logits: Array, labels: Array) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (logits (n, C), labels (n,)) in pieces that fit the cache, checked, in float32 or float64.

    Half precision becomes float32, float64 stays, integers become float64; labels are int64 on the logits' device.

    :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.
    """
    scores, truth = _as_array(logits), _as_array(labels)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise InputError(f"logits: expected shape (N, C) with C >= 1, got {tuple(scores.shape)}.")
    if truth.shape != scores.shape[:1]:
        raise InputError(f"labels: expected shape ({len(scores)},), one a row of logits, got {tuple(truth.shape)}.")
    classes = scores.shape[1]
    rows = min(max(_CHUNK // classes, 1), _CHUNK_ROWS)
    for start in range(0, len(scores), rows):
        x = _finite(_float_tensor(scores[start : start + rows]), start)
        yield x, _class_indices(truth[start : start + rows], classes, start).to(x.device)


def score_chunk(logits: Tensor, labels: Tensor, mode: Mode) -> Scores:
    """Return what the examples of one chunk contribute.

    :raises InputError: mode `positive` with other than two classes.
    """
    if mode == "positive" and logits.shape[1] != 2:
        raise InputError(f"logits: expected 2 classes for mode 'positive', got {logits.shape[1]}; use mode 'top'.")
    narrow = logits.shape[1] < _NARROW
    dim, x = (0, _by_class(logits)) if narrow else (1, logits)
    top = x.amax(dim, keepdim=True)
    exponents = x.sub_(top) if narrow else x - top
    own = exponents.gather(dim, labels.unsqueeze(dim)).squeeze(dim)
    exponentials = _exp_(exponents)
    total = exponentials.sum(dim)
    squares = torch.linalg.vecdot(exponentials, exponentials, dim=dim)
    correct = _first_argmax_is(logits, labels, own == 0, squares)
    share = total.reciprocal()
    own_probability = own.exp().mul_(share)
    brier = squares.mul_(share).mul_(share).sub_(own_probability, alpha=2).add_(1).clamp_(min=0)
    nll = total.log_().sub_(own)
    confidence, outcome = share, correct
    if mode == "positive":
        confidence, outcome = (logits[:, 1] - top.squeeze(dim)).exp_().mul_(share), (labels == 1).cpu()
    return Scores(confidence.cpu().double(), outcome, correct, nll.cpu().double(), brier.cpu().double())


def score_examples(logits: Array, labels: Array, mode: Mode = "top") -> Scores:
    """Return what all N examples contribute, for metrics that need them sorted or resampled.

    :param logits: (N, C), any float type. :param labels: (N,) class indices.
    :raises InputError: as :func:`chunks`, and for no examples at all.
    """
    parts = [score_chunk(x, y, mode) for x, y in chunks(logits, labels)]
    if not parts:
        raise InputError("logits: expected at least one example, got none.")
    return Scores(*(torch.cat([vars(part)[name] for part in parts]) for name in Scores.__dataclass_fields__))


def probabilities(logits: Tensor) -> Tensor:
    """Return the softmax (n, C) of one chunk (n, C)."""
    narrow = logits.shape[1] < _NARROW
    return torch.softmax(_by_class(logits), dim=0).t() if narrow else torch.softmax(logits, dim=1)


def _by_class(logits: Tensor) -> Tensor:
    """Copy to (C, n): column by column, for a transposed copy takes several times as long."""
    return torch.stack(logits.unbind(1))


def _exp_(x: Tensor) -> Tensor:
    """Take exp in place: of float32 by way of exp2, which takes half the time and errs by |x| units in the last place.

    Float64 keeps its last digit, which decides the bin of a confidence on an edge.
    """
    return x.exp_() if x.dtype == torch.float64 else x.mul_(_LOG2_E).exp2_()


def _first_argmax_is(logits: Tensor, labels: Tensor, at_top: Tensor, squares: Tensor) -> Tensor:
    """Whether the first argmax is the label, where `at_top` says that the label's logit is the largest.

    Only a tie can make the two differ, and a tie means at least two exponentials of 1: the few rows whose sum of
    squares reaches 2 are the only ones for which the argmax itself, the slowest of all reductions, is computed.
    """
    tied = (at_top & (squares >= 2)).nonzero()[:, 0]
    if len(tied):
        at_top[tied] = logits[tied].argmax(1) == labels[tied]
    return at_top.cpu()


def _as_array(values: Array) -> Tensor | npt.NDArray[np.generic]:
    return values.detach() if isinstance(values, Tensor) else np.asarray(values)


def _float_tensor(values: Tensor | npt.NDArray[np.generic]) -> Tensor:
    if isinstance(values, Tensor):
        if not values.is_floating_point():
            return values.double()
        return values if values.dtype in {torch.float32, torch.float64} else values.float()
    if values.dtype not in {np.dtype(np.float16), np.dtype(np.float32)}:
        return torch.from_numpy(values.astype(np.float64))
    return torch.from_numpy(values.astype(np.float32))  # astype copies: torch can't share read-only memory


def _finite(x: Tensor, start: int) -> Tensor:
    # The sum is finite unless something in it is not (or it overflows, which the exact look settles): one cheap pass.
    if not x.sum().isfinite():
        bad = (~x.isfinite().all(1)).nonzero()[:, 0] + start
        if len(bad):
            raise InputError(
                f"logits: expected finite numbers, got NaN or infinity in {_rows(bad)}; leave such rows out or predict "
                "them again in float32."
            )
    return x


def _class_indices(values: Tensor | npt.NDArray[np.generic], classes: int, start: int) -> Tensor:
    labels = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    if labels.is_floating_point() or labels.is_complex():
        raise InputError(f"labels: expected integers, the index of each row's class, got {labels.dtype}.")
    labels = labels.long()
    least, most = labels.aminmax()
    if least < 0 or most >= classes:
        bad = ((labels < 0) | (labels >= classes)).nonzero()[:, 0]
        raise InputError(
            f"labels: expected class indices from 0 to {classes - 1}, got {labels[bad[0]].item()} in "
            f"{_rows(bad + start)}."
        )
    return labels


def _rows(bad: Tensor) -> str:
    shown = ", ".join(str(row) for row in bad[:_SHOWN].tolist())
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"row{'s' if len(bad) > 1 else ''} {shown}{more} (counted from 0)"
