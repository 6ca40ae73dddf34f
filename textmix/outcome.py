"""What a finished run leaves behind: predictions, the model, the report, and last of all the summary."""

import copy
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix import predictions as predictions_files
from textmix.config import NOISE_EMBEDDINGS, PACKAGED, Config
from textmix.data import Examples, Splits
from textmix.engine import FitResult, predict
from textmix.engine.reading import read_batches
from textmix.errors import InputError
from textmix.export import Saveable, bake, base_license, push_to_hub, save_model
from textmix.mixup import EmbeddingNoise
from textmix.models.adapters import merge_adapters
from textmix.predictions import Predictions
from textmix.predictions.thumbnails import THUMBNAILS
from textmix.report import make_report, metric_rows, read_summary, summarise, text_table
from textmix.report.details import worst_mistakes
from textmix.report.material import OOD_PREFIX, as_written, write_summary
from textmix.temperature import Temperature

logger = logging.getLogger(__name__)

MOMENT_EXAMPLES = 1_000
"""Training examples on which the mean and deviation of the embeddings are measured."""

PACKAGES = ("textmix", "torch", "transformers", "datasets", "tokenizers", "accelerate", "numpy", "scipy")


def save(
    folder: Path,
    config: Config,
    splits: Splits,
    model: PreTrainedModel,
    fitted: FitResult,
    predictions: Mapping[str, Predictions],
    temperature: Temperature | None,
) -> None:
    """Write everything a run leaves into `folder`.

    The summary comes last, for it says that the run is finished. In `model`, adapters become part of the weights, and
    the temperature part of the last layer where the configuration asks for it.

    :param predictions: on `validation`, on `test` where there is one, and on sets outside the classes
        (:func:`ood_name`).
    :raises InputError: the temperature can't be baked into this model.
    :raises RunError: the upload failed; everything is written then.
    """
    for name, part in predictions.items():
        predictions_files.save(part, folder / "predictions" / f"{name}.parquet")
    _save_thumbnails(folder, splits, predictions)
    ood = {name.removeprefix(OOD_PREFIX): p for name, p in predictions.items() if name.startswith(OOD_PREFIX)}
    merge_adapters(model)
    baked = config.calibration.bake and temperature is not None and _bake(model, temperature, splits)
    save_model(model, _cutting(splits.processor, config), folder / "model")
    measured = summarise(
        predictions.get("test"), predictions["validation"], temperature, config.eval, ood=ood, seed=config.seed
    )
    summary = {**measured, "baked": baked, **_facts(config, splits, model, fitted)}
    make_report(folder, summary)
    write_summary(summary, folder)
    if config.export.push_to_hub is not None:
        logger.info("Uploaded: %s", push_to_hub(folder, config.export))


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


def _save_thumbnails(folder: Path, splits: Splits, predictions: Mapping[str, Predictions]) -> None:
    """Keep what there is to see of the mistakes that the report shows."""
    name, examples = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    rows, _, _ = worst_mistakes(predictions[name])
    pictures = examples.thumbnails(rows)
    if pictures:
        ids = [predictions[name].ids[row] for row in rows]
        path = folder / "predictions" / THUMBNAILS
        predictions_files.save_thumbnails(dict(zip(ids, pictures, strict=True)), path)


def check_sizes(splits: Splits, source: str) -> None:
    """Refuse splits of which no summary could be made, before any time is spent on them.

    :raises InputError: a split that is measured holds a single example.
    """
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        if part is not None and len(part) < 2:
            raise InputError(
                f"{source}: expected at least two examples for {name}, got {len(part)}, of which no interval can be "
                "given; add some, or raise data.validation_fraction."
            )


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


def tell(folder: Path, state: str) -> None:
    """Show the metrics of the run in `folder` and where its files are."""
    with as_written(folder):
        table = text_table(metric_rows({folder.name: read_summary(folder)}))
    sys.stdout.write(f"{table}\n{folder}: {state}; see {folder / 'report.html'}.\n")


def _bake(model: PreTrainedModel, temperature: Temperature, splits: Splits) -> bool:
    """Bake the temperature into `model` and tell whether there was one worth it."""
    if temperature.at_bound:
        logger.warning("calibration.bake: the model is saved as it was trained, for %s.", temperature.reason)
        return False
    bake(model, temperature.value, splits.validation.batch(np.arange(min(8, len(splits.validation)))))
    return True


def _cutting(processor: Saveable, config: Config) -> Saveable:
    """Return a tokenizer with the length at which texts were cut here, for ``truncation=True`` to cut them there."""
    if not isinstance(processor, PreTrainedTokenizerBase):
        return processor
    processor = copy.deepcopy(processor)
    processor.model_max_length = config.data.max_length
    return processor


def _facts(config: Config, splits: Splits, model: PreTrainedModel, fitted: FitResult) -> dict[str, Any]:
    sizes = {"train": len(splits.train), "validation": len(splits.validation)}
    return {
        "seed": config.seed,
        "sizes": sizes | ({} if splits.test is None else {"test": len(splits.test)}),
        "notes": dict(splits.notes),
        "parameters": model.num_parameters(),
        "license": _license(config),
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "steps": fitted.steps,
        "seconds": round(fitted.seconds, 3),
        "examples_per_second": round(fitted.examples_per_second, 2),
        "precision": fitted.precision,
        "batch_size": fitted.batch_size,
        "gradient_accumulation_steps": fitted.gradient_accumulation_steps,
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
        "git_revision": _git_revision(),
    }


def _license(config: Config) -> str | None:
    if config.export.license is None and config.model.name == "pretrained":
        return base_license(str(config.model.path))
    return config.export.license


def _git_revision() -> str | None:
    """Return the commit of the checkout that textmix runs from; None where it runs from no checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing of it is input
    return done.stdout.strip() if re.fullmatch(r"[0-9a-f]{40,64}\n", done.stdout) else None
