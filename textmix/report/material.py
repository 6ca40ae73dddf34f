"""What a report is made of: a summary, and whatever else the folder of a run holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from textmix.errors import InputError
from textmix.figures.density import Epoch
from textmix.predictions import OOD_PREFIX, Predictions, load, load_thumbnails
from textmix.predictions.thumbnails import THUMBNAILS
from textmix.run_files import read_config, read_history, read_summary


@dataclass(frozen=True)
class Material:
    """The parts of a report; what is empty or None is left out of it.

    `name` is the run's or the file's; `summary` as :func:`textmix.report.summarise` makes it; `config` the resolved
    configuration of a run; `test` and `validation` the raw predictions and `ood` those outside the classes; `epochs`
    confidence and correctness on validation after so many epochs and `history` the metrics then; `thumbnails` PNG files
    by id of examples of the main predictions; `has_model` whether there is a folder `model` to load.
    """

    name: str
    summary: Mapping[str, Any]
    test: Predictions | None = None
    validation: Predictions | None = None
    ood: Mapping[str, Predictions] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    epochs: Mapping[int, Epoch] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    has_model: bool = False

    @property
    def main(self) -> Predictions | None:
        """The predictions the report is about: those on test, or on validation where there is no test."""
        return self.test if self.test is not None else self.validation


def read_run(folder: Path, summary: Mapping[str, Any] | None = None) -> Material:
    """Read the folder of a run; only summary.json must be there, or the summary given.

    :raises InputError: there is no summary, or a file can't be read.
    """
    predictions = folder / "predictions"
    ood = sorted(predictions.glob(f"{OOD_PREFIX}*.parquet"))
    return Material(
        name=folder.resolve().name,
        summary=read_summary(folder) if summary is None else summary,
        test=_load_if_there(predictions / "test.parquet"),
        validation=_load_if_there(predictions / "validation.parquet"),
        ood={path.stem.removeprefix(OOD_PREFIX): load(path, labelled=False) for path in ood},
        config=read_config(folder / "config.yaml"),
        epochs={
            int(path.stem): _read_epoch(path) for path in (folder / "epochs").glob("*.parquet") if path.stem.isdecimal()
        },
        history=read_history(folder / "metrics.jsonl"),
        thumbnails=load_thumbnails(predictions / THUMBNAILS),
        has_model=(folder / "model").is_dir(),
    )


def _load_if_there(path: Path) -> Predictions | None:
    return load(path) if path.exists() else None


def _read_epoch(path: Path) -> Epoch:
    try:
        table = pq.read_table(path, columns=["confidence", "correct"])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: expected columns confidence and correct, got: {str(error).splitlines()[0]}"
        ) from error
    return table["confidence"].to_numpy(), table["correct"].to_numpy()
