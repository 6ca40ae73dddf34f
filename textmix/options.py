"""Options of the jobs that start from saved predictions and runs; :mod:`textmix.config` has those of a training run.

This module imports nothing heavy, so that ``--help`` answers at once.
"""

from dataclasses import dataclass
from typing import Literal

from textmix.errors import InputError


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure the predictions of any model."""

    file: str
    """Predictions: parquet, csv, tsv, jsonl or npz with `label` and one column a class (`logit_<label name>`)."""
    source: Literal["logits", "probabilities"] = "logits"
    """What the class columns hold; probabilities are read from `prob_<label name>`."""
    columns: tuple[str, ...] = ()
    """Class columns in the order of the classes, where they are not all that begin with logit_ (or prob_)."""
    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval, and label draws behind the null band."""
    ood: tuple[str, ...] = ()
    """Predictions of the same model on examples outside its classes: files of the same form, without labels."""
    calibrate_on: str | None = None
    """Predictions of the same model on a validation set: a temperature is fitted there and applied here."""
    output_dir: str | None = None
    """Folder for summary.json, report.html and README.md; null is <name of the file>-report here."""
    seed: int = 0
    """Seed of the bootstrap and of the null band."""

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise InputError(f"bins: expected an integer >= 1, got {self.bins!r}.")
        if self.resamples < 100:
            raise InputError(f"resamples: expected an integer >= 100, got {self.resamples!r}.")
        if self.seed < 0:
            raise InputError(f"seed: expected an integer >= 0, got {self.seed!r}.")


@dataclass(frozen=True)
class CompareConfig:
    """Set runs or files of predictions side by side."""

    paths: tuple[str, ...]
    """Run folders or files of predictions, two or more; the others are compared with the first. Runs whose settings
    differ in the seed alone count as repetitions of one method."""
    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval."""
    seed: int = 0
    """Seed of the bootstrap."""

    def __post_init__(self) -> None:
        if len(self.paths) < 2:
            raise InputError(f"paths: expected two or more runs or files to compare, got {list(self.paths)}.")
        if self.bins < 1:
            raise InputError(f"bins: expected an integer >= 1, got {self.bins!r}.")
        if self.resamples < 100:
            raise InputError(f"resamples: expected an integer >= 100, got {self.resamples!r}.")
        if self.seed < 0:
            raise InputError(f"seed: expected an integer >= 0, got {self.seed!r}.")


@dataclass(frozen=True)
class ReportConfig:
    """Write the report and the model card of a run again, from the files in its folder."""

    run: str
    """Folder of the run."""
