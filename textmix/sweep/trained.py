"""The finished runs of a method, as their measurement needs them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from textmix.metrics.examples import FloatArray
from textmix.ood import msp
from textmix.predictions import OOD_PREFIX, Predictions, load
from textmix.run_files import read_summary, used_temperature
from textmix.sweep.grid import Run
from textmix.temperature import apply_temperature


class Trained:
    """The finished runs of a method: seeds, summaries, and predictions as they are and at each run's temperature.

    `raw` are those on `part`, the test set or, where there is none, the validation set; texts are left out.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.seeds = [run.seed for run in runs]
        self.summaries = [read_summary(run.folder) for run in runs]
        self.validation = [_load(run.folder, "validation") for run in runs]
        tested = all("test" in summary for summary in self.summaries)
        self.part = "test" if tested else "validation"
        self.raw = [_load(run.folder, "test") for run in runs] if tested else self.validation

    @property
    def temperatures(self) -> list[float]:
        """The temperature that each run's validation split asked for; empty where the runs did not ask."""
        found = [used_temperature(summary) for summary in self.summaries if "temperature" in summary]
        return found if len(found) == len(self.runs) else []

    def calibrated(self, sets: Sequence[Predictions]) -> list[Predictions]:
        """Return `raw` or `validation` at the temperatures; empty where there are none."""
        return [
            replace(predictions, logits=apply_temperature(predictions.logits, temperature))
            for predictions, temperature in zip(sets, self.temperatures, strict=False)
        ]

    def comparable(self, other: "Trained") -> bool:
        """Whether something can be said of the difference: both have several runs, or both have one.

        One run against the mean of several would stand beside means that it does not belong to.
        """
        return (len(self.runs) == 1) == (len(other.runs) == 1)

    def confidences_outside(self, name: str) -> list[FloatArray]:
        """Return each run's confidences on a set outside the classes."""
        return [msp(_load(run.folder, OOD_PREFIX + name, labelled=False).logits) for run in self.runs]

    @property
    def outside(self) -> list[str]:
        """The sets outside the classes that every run was tried on."""
        return sorted(set.intersection(*(set(summary["ood"]) for summary in self.summaries)))


def _load(folder: Path, name: str, *, labelled: bool = True) -> Predictions:
    return replace(load(folder / "predictions" / f"{name}.parquet", labelled=labelled), texts=None)
