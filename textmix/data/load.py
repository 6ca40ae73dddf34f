"""The splits of a run and the examples outside its classes, whatever kind they are of."""

from collections.abc import Callable
from typing import Any

from textmix.config import NOISE, NOISE_EMBEDDINGS, Config
from textmix.data.batching import Examples
from textmix.data.images import load_image_splits, load_images
from textmix.data.noise import gaussian_images, lengths_alone, random_texts
from textmix.data.splits import Splits, load_text_splits, load_texts

NOISE_EXAMPLES = 1_000
"""Examples of noise that a run is probed with."""

_SPLITS: dict[str, Callable[[Config], Splits]] = {"texts": load_text_splits, "images": load_image_splits}
_OUTSIDE: dict[str, Callable[[str, Config, Any], Examples]] = {"texts": load_texts, "images": load_images}
_NOISE: dict[tuple[str, str], Callable[[Any, Any, int, int], Examples]] = {
    (NOISE, "texts"): random_texts,
    (NOISE, "images"): gaussian_images,
    (NOISE_EMBEDDINGS, "texts"): lengths_alone,
}


def load_splits(config: Config) -> Splits:
    """Read the source of a run and divide it; giving `data.image_column` makes it a source of images.

    :raises InputError: the source is missing or holds what can't be trained on.
    """
    return _SPLITS[config.data.kind](config)


def load_outside(path: str, config: Config, splits: Splits) -> Examples:
    """Read examples outside the classes of `splits` (every label is -1) from any source that `data.path` could name.

    :param path: :data:`textmix.config.NOISE` makes noise like the training examples instead, and
        :data:`textmix.config.NOISE_EMBEDDINGS` texts of which only the lengths count.
    :raises InputError: the source is missing or has no such examples.
    """
    make = _NOISE.get((path, config.data.kind))
    if make is not None:
        return make(splits.train, splits.processor, NOISE_EXAMPLES, config.data.split_seed)
    return _OUTSIDE[config.data.kind](path, config, splits.processor)
