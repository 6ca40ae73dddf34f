"""What a finished run leaves behind: predictions, the model, the report, and last of all the summary."""

import copy
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix import predictions as predictions_files
from textmix.config import Config
from textmix.data import Splits
from textmix.engine import FitResult, speaks
from textmix.errors import InputError
from textmix.export import Saveable, bake, base_license, push_to_hub, save_model
from textmix.models.adapters import merge_adapters
from textmix.models.example import proof_example
from textmix.predictions import OOD_PREFIX, Predictions
from textmix.predictions.thumbnails import THUMBNAILS
from textmix.report import make_report, metric_rows, summarise, text_table
from textmix.report.details import worst_mistakes
from textmix.run_files import as_written, read_summary, write_summary
from textmix.temperature import Temperature

logger = logging.getLogger(__name__)

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
        (:func:`textmix.held_out.ood_name`).
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


def _save_thumbnails(folder: Path, splits: Splits, predictions: Mapping[str, Predictions]) -> None:
    """Keep what there is to see of the mistakes that the report shows."""
    name, examples = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    rows, _, _ = worst_mistakes(predictions[name])
    pictures = examples.thumbnails(rows)
    if pictures:
        ids = [predictions[name].ids[row] for row in rows]
        path = folder / "predictions" / THUMBNAILS
        predictions_files.save_thumbnails(dict(zip(ids, pictures, strict=True)), path)


def tell(folder: Path, state: str) -> None:
    """Show the metrics of the run in `folder` and where its files are; one of several processes does."""
    if not speaks():
        return
    with as_written(folder):
        table = text_table(metric_rows({folder.name: read_summary(folder)}))
    sys.stdout.write(f"{table}\n{folder}: {state}; see {folder / 'report.html'}.\n")


def _bake(model: PreTrainedModel, temperature: Temperature, splits: Splits) -> bool:
    """Bake the temperature into `model` and tell whether that could be done."""
    if temperature.at_bound:
        logger.warning("calibration.bake: the model is saved as it was trained, for %s.", temperature.reason)
        return False
    try:
        bake(model, temperature.value, proof_example(splits.validation))
    except InputError as error:
        logger.warning("%s", error)  # hours of training are not lost for it
        return False
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
    here = Path(__file__)
    # Of an installed package, a repository around it is somebody else's: this file is not in it.
    tracked = _git(git, here.parent, "ls-files", "--error-unmatch", here.name)
    revision = _git(git, here.parent, "rev-parse", "HEAD")
    return revision.strip() if tracked and re.fullmatch(r"[0-9a-f]{40,64}\n", revision) else None


def _git(git: str, folder: Path, *words: str) -> str:
    command = [git, "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - none is input
