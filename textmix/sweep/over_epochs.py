"""How accuracy and confidence on validation grow over the epochs, over the seeds of a method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textmix.inference.repeated import between_runs, half_width
from textmix.run_files import read_history

METRICS = ("accuracy", "mean_confidence", "nll", "gap")
"""The last is mean confidence less accuracy: above zero the network is overconfident."""
MOST = 40
"""Epochs that are told: more can't be seen in a figure."""


def over_epochs(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return for the epochs that all runs came to the mean of each metric, with its interval over the seeds.

    Of more than :data:`MOST` epochs as many are told, evenly chosen, the first and the last among them.

    :param folders: of the runs of a method.
    """
    told = [
        {
            record["epochs"]: record | {"gap": record["mean_confidence"] - record["accuracy"]}
            for record in read_history(folder / "metrics.jsonl")
        }
        for folder in folders
    ]
    common = sorted(set.intersection(*(set(records) for records in told)))
    kept = np.unique(np.linspace(0, len(common) - 1, min(MOST, len(common))).round().astype(int))
    return [
        {"epochs": epoch} | {name: _over_seeds([run[epoch][name] for run in told]) for name in METRICS}
        for epoch in (common[k] for k in kept)
    ]


def _over_seeds(values: Sequence[float]) -> list[float]:
    runs = np.array(values)
    half = half_width(between_runs(runs), 0.95)
    return [float(runs.mean()), float(runs.mean() - half), float(runs.mean() + half)]
