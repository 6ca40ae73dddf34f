"""Set runs and files of predictions side by side: one table, paired differences, and what they establish."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textmix.errors import InputError
from textmix.evaluate.methods import Method, differences, read_methods
from textmix.files import local_path
from textmix.inference import Comparison, Difference, compare, null_band
from textmix.metrics import CalibrationState
from textmix.options import CompareConfig
from textmix.predictions import Predictions
from textmix.report import metric_rows, text_table
from textmix.report.page import p_value
from textmix.report.table import Row

METRICS = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier", "ece": "ECE", "oe": "OE"}
"""Metrics that are compared, and their headings."""


@dataclass(frozen=True)
class Contest:
    """Several methods, the first and how each of the others differs from it, and `text` that says so."""

    methods: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    text: str


def compare_runs(config: CompareConfig) -> Contest:
    """Compare the runs and files of ``config.paths`` with the first of them, on the same examples.

    :raises InputError: a path can't be read, holds other examples than the first, or all are one method's.
    """
    methods = read_methods([local_path(path) for path in config.paths])
    first, *others = methods
    if not others:
        raise InputError(
            f"paths: expected two methods or more, got runs that differ in the seed alone: {config.paths}."
        )
    comparisons = [
        compare(
            first.runs,
            other.runs,
            metrics=list(METRICS),
            num_bins=config.bins,
            resamples=config.resamples,
            seed=config.seed,
        )
        for other in others
    ]
    table = text_table(metric_rows({method.name: _mean_summary(method.runs, config) for method in methods}))
    told = [_told(first, other, comparison) for other, comparison in zip(others, comparisons, strict=True)]
    return Contest(tuple(method.name for method in methods), tuple(comparisons), "\n\n".join([table, *told]))


def _told(first: Method, other: Method, comparison: Comparison) -> str:
    """Say what is established, in which settings the methods differ, and the numbers behind it."""
    changed = differences(first, other)
    lines = [comparison.sentence(first.name, other.name)]
    lines += [f"Its settings: {', '.join(changed)}."] if changed else []
    rows = [_difference_row(METRICS[metric], difference) for metric, difference in comparison.differences.items()]
    return "\n".join([*lines, text_table(rows)])


def _mean_summary(runs: Sequence[Predictions], config: CompareConfig) -> dict[str, Any]:
    """Return what a table needs of a summary, averaged over the runs of a method."""
    metrics, bands = [], []
    for run in runs:
        state = CalibrationState(config.bins)
        state.update(run.logits, run.labels)
        metrics.append(state.compute())
        bands.append(
            null_band(run.logits, run.labels, num_bins=config.bins, resamples=config.resamples, seed=config.seed)["ece"]
        )
    return {"test": _mean(metrics), "null_band": {"test": {"ece": _mean([vars(band) for band in bands])}}}


def _mean(entries: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([entry[key] for entry in entries])) for key in entries[0]}


def _difference_row(metric: str, difference: Difference) -> Row:
    return {
        "metric": metric,
        "first": f"{difference.a:.4f}",
        "this": f"{difference.b:.4f}",
        "difference": f"{difference.difference:+.4f}",
        "95 % interval": f"[{difference.low:+.4f}, {difference.high:+.4f}]",
        "p": p_value(difference.p_value),
    }
