"""A few examples of a data set, on which it is seen at once whether a model does what it should."""

import numpy as np
from torch import Tensor

from textmix.data import Examples

_FEW, _SHORT = 5, 32
"""Rows that mixing is proven on, and tokens of the longest of them where there are enough as short."""


def proof_example(examples: Examples) -> dict[str, Tensor]:
    """Return a batch to prove mixing on: a few examples, and of texts short ones, for a quick proof."""
    order = np.arange(len(examples))
    if examples.lengths is not None:
        short = int((examples.lengths <= _SHORT).sum())
        order = np.argsort(examples.lengths, kind="stable")[: max(short, _FEW)]
    few = order[np.linspace(0, len(order) - 1, min(len(order), _FEW)).astype(np.int64)]
    return examples.transform(examples.batch(few), None)
