"""Examples that mean nothing but look like the training data to a careless eye: what a model should not be sure of."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import BaseImageProcessor, PreTrainedTokenizerBase

from textmix.data.batching import Indices
from textmix.data.images.examples import ImageExamples
from textmix.data.images.processor import standard_of
from textmix.data.text import TextExamples, used_token_ids
from textmix.predictions.core import UNLABELLED

_IDS = "input_ids"


def random_texts(like: TextExamples, tokenizer: PreTrainedTokenizerBase, count: int, seed: int) -> TextExamples:
    """Make `count` texts of random tokens, with the lengths and special tokens of texts drawn from `like`.

    Every token but the special ones is replaced by one drawn uniformly from those that `like` holds. All labels are -1.

    :param like: the training texts.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    rows = rng.choice(len(like), count)
    lengths = like.lengths[rows]
    starts = np.cumsum(lengths) - lengths
    source = np.repeat(like.starts[rows] - starts, lengths) + np.arange(lengths.sum())
    tokens = {name: values[source] for name, values in like.tokens.items()}
    special = np.array(tokenizer.all_special_ids)
    ordinary = np.setdiff1d(used_token_ids(like, tokenizer), special)
    words = ~np.isin(tokens[_IDS], special)
    tokens[_IDS][words] = rng.choice(ordinary, int(words.sum()))
    return replace(
        like,
        ids=[f"noise-{i}" for i in range(count)],
        texts=[str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in np.split(tokens[_IDS], starts[1:])],
        labels=np.full(count, UNLABELLED),
        lengths=lengths,
        truncated=np.zeros(count, bool),
        starts=starts,
        tokens=tokens,
    )


def lengths_alone(like: TextExamples, tokenizer: PreTrainedTokenizerBase, count: int, seed: int) -> TextExamples:
    """Make `count` texts as :func:`random_texts` does, for a model that is kept from reading more than their lengths.

    There is nothing to read in them, so that their texts are empty.
    """
    return replace(random_texts(like, tokenizer, count, seed), texts=[""] * count)


def gaussian_images(like: ImageExamples, processor: BaseImageProcessor, count: int, seed: int) -> ImageExamples:
    """Make `count` images of independent Gaussian pixels with the training images' mean and deviation of each colour.

    They are not cut off at black and white, so that the two moments are right. All labels are -1.

    :param like: the training images.
    :param processor: what they are standardised by.
    """
    standard = standard_of(processor)
    pixels = _GaussianPixels(like.size, standard.mean, standard.std, seed)
    ids = [f"noise-{i}" for i in range(count)]
    return replace(like, ids=ids, labels=np.full(count, UNLABELLED), pixels=pixels)


class _GaussianPixels:
    """Images drawn when they are asked for; each depends on the seed and its row alone."""

    def __init__(self, size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...], seed: int) -> None:
        self._shape = (*size, len(mean))
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)
        self._seed = seed

    def __getitem__(self, indices: Indices) -> npt.NDArray[Any]:
        """Return the images of the rows `indices` as float32 (B, H, W, 3)."""
        return np.stack([self._draw(row) for row in indices.tolist()])

    def _draw(self, row: int) -> npt.NDArray[np.float32]:
        rng = np.random.Generator(np.random.Philox(key=self._seed, counter=[0, row, 0, 0]))
        return rng.standard_normal(self._shape, np.float32) * self._std + self._mean
