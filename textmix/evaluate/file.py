"""Measure one file of predictions, whatever made them."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from textmix.config import EvalConfig
from textmix.errors import InputError, naming
from textmix.files import local_path
from textmix.options import EvaluateConfig
from textmix.predictions import OOD_PREFIX, Predictions, aligned, load
from textmix.report import Material, metric_rows, summarise, text_table, write_report
from textmix.run_files import read_summary, write_summary
from textmix.temperature import fit_temperature

LOST = "The energy score is missing: probabilities do not tell the size of the logits."


@dataclass(frozen=True)
class Evaluation:
    """What was measured: the summary, the folder with summary.json, report.html and README.md, and a table of it."""

    summary: dict[str, Any]
    folder: Path
    table: str


def evaluate_file(config: EvaluateConfig) -> Evaluation:
    """Measure the predictions of ``config.file`` and write the summary, the report and the card.

    :raises InputError: a file can't be used, or the folder holds a run or files of somebody else.
    """
    path = local_path(config.file)
    folder = local_path(config.output_dir) if config.output_dir is not None else Path(f"{path.stem}-report")
    check_folder(folder)
    test = _read(config, path)
    sets = Material(path.stem, {}, test, _validation(config, test), _outside(config, test))
    sources = (config.file, config.calibrate_on)
    facts = {
        "file": config.file,
        "calibrate_on": config.calibrate_on,
        "source": config.source,
        "notes": [LOST] if config.source == "probabilities" else [],
    }
    options = EvalConfig(bins=config.bins, resamples=config.resamples)
    return measure(sets, sources, facts, options, folder, seed=config.seed, energy=config.source == "logits")


def check_folder(folder: Path, *more: str) -> None:
    """Refuse the folder of a run, and one with files of the names that are written, unless an evaluation wrote them.

    :param more: names beside those of the summary, the report and the card.
    :raises InputError: it is such a folder.
    """
    if (folder / "config.yaml").exists():
        raise InputError(f"{folder}: expected a folder without a run, whose summary would be lost; give another.")
    there = [name for name in ("summary.json", "report.html", "README.md", *more) if (folder / name).exists()]
    if there and not _is_evaluation(folder):
        raise InputError(
            f"{folder}: expected a folder without {there[0]}, or that of an earlier evaluation, got one of that name, "
            "which would be lost; give another --output_dir."
        )


def _is_evaluation(folder: Path) -> bool:
    try:
        summary = read_summary(folder)
    except InputError:
        return False
    return {"intervals", "null_band", "versions"} <= summary.keys()


def measure(
    sets: Material,
    sources: tuple[str, str | None],
    facts: dict[str, Any],
    options: EvalConfig,
    folder: Path,
    *,
    seed: int,
    energy: bool = True,
) -> Evaluation:
    """Measure the predictions in `sets` and write the summary, with the `facts` about them, the report and the card.

    :param sources: what the predictions on test and on validation were made of.
    :param energy: false where the logits were made from probabilities.
    :raises InputError: test and validation are the same, or the folder can't be written to.
    """
    test, validation = sets.test, sets.validation
    if test is not None and validation is not None and np.array_equal(validation.logits, test.logits):
        raise InputError(
            f"{sources[1]}: expected other examples than in {sources[0]}, got the same, so that a temperature would be "
            "told the answers; give a validation set, for of a single file every split is the whole."
        )
    fitted = None if validation is None else fit_temperature(validation.logits, validation.labels)
    measured = summarise(test, validation, fitted, options, ood=sets.ood, seed=seed, energy=energy)
    versions = {name: version(name) for name in ("textmix", "torch", "numpy", "scipy")}
    summary = {**measured, **facts, "seed": seed, "versions": versions}
    try:
        write_summary(summary, folder)
        write_report(replace(sets, summary=summary), folder)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be written to, got: {error.strerror}.") from error
    return Evaluation(summary, folder, text_table(metric_rows({sets.name: summary})))


def _read(config: EvaluateConfig, path: Path) -> Predictions:
    predictions = load(path, source=config.source, columns=config.columns)
    if len(predictions) < 2:
        raise InputError(f"{path}: expected at least two examples, got one; nothing can be said of it.")
    return predictions


def _validation(config: EvaluateConfig, test: Predictions) -> Predictions | None:
    if config.calibrate_on is None:
        return None
    path = local_path(config.calibrate_on)
    return _same_classes(_read(config, path), test, path)


def _outside(config: EvaluateConfig, test: Predictions) -> dict[str, Predictions]:
    paths = [local_path(name) for name in config.ood]
    sets = {}
    for path in paths:
        name = path.stem.removeprefix(OOD_PREFIX)
        if name in sets:
            raise InputError(f"{path}: expected names that differ, got a second {name!r}; rename the file.")
        outside = load(path, source=config.source, columns=config.columns, labelled=False)
        sets[name] = _same_classes(outside, test, path)
    return sets


def _same_classes(predictions: Predictions, test: Predictions, path: Path) -> Predictions:
    with naming(path):
        return aligned(predictions, test.label_names)
