"""The examples that a model is not trained on: validation, test, and sets outside the classes."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from textmix.config import NOISE_EMBEDDINGS, PACKAGED, Config
from textmix.data import Examples, Splits, load_outside, load_splits
from textmix.engine import predict
from textmix.engine.reading import read_batches
from textmix.errors import InputError
from textmix.mixup import EmbeddingNoise
from textmix.predictions import OOD_PREFIX, Predictions

logger = logging.getLogger(__name__)

MOMENT_EXAMPLES = 1_000
"""Training examples on which the mean and deviation of the embeddings are measured."""
ENOUGH_TO_SCALE = 100
"""Validation examples below which a temperature may cost more than it gains (docs/guide.md)."""


def load(config: Config) -> tuple[Splits, dict[str, Examples]]:
    """Load the splits, and by name (:func:`ood_name`) the sets outside the classes.

    :raises InputError: they can't be used.
    """
    names = ood_names(config.eval.ood)
    splits = load_splits(config)
    check_sizes(splits, config)
    return splits, {name: load_outside(path, config, splits) for name, path in names.items()}


def check_sizes(splits: Splits, config: Config) -> None:
    """Refuse splits of which no summary could be made, before any time is spent on them, and warn of a validation split
    that is too small for the temperature that is to be baked in.

    :raises InputError: a split that is measured holds a single example.
    """
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        if part is not None and len(part) < 2:
            raise InputError(
                f"{config.data.path}: expected at least two examples for {name}, got {len(part)}, of which no interval "
                "can be given; add some, or raise data.validation_fraction."
            )
    bakes = config.calibration.temperature and config.calibration.bake
    if bakes and len(splits.validation) < ENOUGH_TO_SCALE:
        logger.warning(
            "calibration.bake: the saved model's temperature will come from %d validation examples, and from fewer "
            "than %d it can do harm; add some, or set calibration.bake: false.",
            len(splits.validation), ENOUGH_TO_SCALE,
        )  # fmt: skip


def ood_names(paths: Sequence[str]) -> dict[str, str]:
    """Return name -> source of the sets outside the classes.

    :raises InputError: two would have the same name.
    """
    names: dict[str, str] = {}
    for path in paths:
        other = names.setdefault(ood_name(path), path)
        if other is not path or paths.count(path) > 1:
            raise InputError(f"eval.ood: expected sources whose names differ, got {other!r} and {path!r}; rename one.")
    return names


def ood_name(path: str) -> str:
    """Name a set outside the classes after its source, as a file can be named.

    >>> ood_name("packaged:bbc"), ood_name("../data/imdb/"), ood_name("fancyzhx/ag_news")
    ('ood_bbc', 'ood_imdb', 'ood_ag_news')
    """
    return OOD_PREFIX + re.sub(r"[^\w.-]", "_", Path(path.removeprefix(PACKAGED)).name)


def predict_all(
    accelerator: Accelerator,
    model: PreTrainedModel,
    splits: Splits,
    outside: Mapping[str, Examples],
    noise: EmbeddingNoise | None,
    config: Config,
) -> dict[str, Predictions]:
    """Return the predictions on `validation`, on `test` where there is one, and on the sets outside the classes.

    :param outside: by name (:func:`ood_name`). :param noise: for the set whose embeddings are noise, where there is
        one.
    """

    def predicted(examples: Examples) -> Predictions:
        batch_size, workers = config.train.eval_batch_size, config.train.workers
        return predict(accelerator, model, examples, splits.label_names, batch_size, workers)

    sets = {"validation": splits.validation, **({} if splits.test is None else {"test": splits.test}), **outside}
    blank = sets.pop(ood_name(NOISE_EMBEDDINGS), None)
    predictions = {name: predicted(examples) for name, examples in sets.items()}
    if noise is not None and blank is not None:
        with noise.like(_some_batches(splits.train, config, accelerator.device), config.seed):
            predictions[ood_name(NOISE_EMBEDDINGS)] = predicted(blank)
    return predictions


def _some_batches(examples: Examples, config: Config, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Yield batches of examples drawn from all, enough to measure their embeddings."""
    drawn = np.random.default_rng(config.seed).permutation(len(examples))[:MOMENT_EXAMPLES]
    plan = np.array_split(drawn, -(-len(drawn) // config.train.eval_batch_size))
    for batch in read_batches(examples, plan, device, 0):
        yield {name: values for name, values in batch.items() if name != "labels"}
