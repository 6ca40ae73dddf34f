"""Set runs and files of predictions side by side: one table, paired differences, and what they establish."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textmix.errors import InputError
from textmix.evaluate.methods import Method, common_part, differences, read_methods
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
    """Several methods, the first and how each of the others differs from it, and `text` that says so.

    `comparisons` are of raw predictions, `scaled` of those at each run's own temperature, which are those of the models
    where it is baked in; empty where no run has one.
    """

    methods: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    scaled: tuple[Comparison, ...]
    text: str


def compare_runs(config: CompareConfig) -> Contest:
    """Compare the runs and files of ``config.paths`` with the first of them, on the same examples.

    :raises InputError: a path can't be read, holds other examples than the first, or all are one method's.
    """
    paths = [local_path(path) for path in config.paths]
    part = common_part(paths)
    methods = read_methods(paths, part)
    first, *others = methods
    if not others:
        raise InputError(
            f"paths: expected two methods or more, got runs that differ in the seed alone: {config.paths}."
        )
    raw = _with_the_first(methods, config)
    scales = any(method.has_temperature for method in methods)
    scaled = _with_the_first([method.scaled() for method in methods], config) if scales else []
    fitted = " (fitted on these very examples, which flatters it)" if part == "validation" else ""
    told = [text_table(metric_rows({method.name: _mean_summary(method, part, config) for method in methods}))]
    for other, comparison in zip(others, raw, strict=True):
        told.append(_told("Raw, " if scaled else "", first, other, comparison, differences(first, other)))
    for other, comparison in zip(others, scaled, strict=False):  # of none where no run has a temperature
        told.append(_told(f"At each run's own temperature{fitted}, ", first, other, comparison))
    return Contest(tuple(method.name for method in methods), tuple(raw), tuple(scaled), "\n\n".join(told))


def _with_the_first(methods: Sequence[Method], config: CompareConfig) -> list[Comparison]:
    first, *others = methods
    options: dict[str, Any] = {"num_bins": config.bins, "resamples": config.resamples, "seed": config.seed}
    return [compare(first.runs, other.runs, metrics=list(METRICS), **options) for other in others]


def _told(how: str, first: Method, other: Method, comparison: Comparison, changed: Sequence[str] = ()) -> str:
    """Say what is established, in which settings the methods differ, and the numbers behind it."""
    lines = [how + comparison.sentence(first.name, other.name)]
    lines += [f"Its settings: {', '.join(changed)}."] if changed else []
    rows = [_difference_row(METRICS[metric], difference) for metric, difference in comparison.differences.items()]
    return "\n".join([*lines, text_table(rows)])


def _mean_summary(method: Method, part: str, config: CompareConfig) -> dict[str, Any]:
    """Return what a table needs of a summary, averaged over the runs of a method."""
    sets = {part: method.runs} | ({f"{part}_calibrated": method.scaled().runs} if method.has_temperature else {})
    measured = {name: _mean_metrics(runs, config) for name, runs in sets.items()}
    metrics = {name: found for name, (found, _) in measured.items()}
    bands = {name: {"ece": band} for name, (_, band) in measured.items()}
    return {**metrics, "null_band": bands, "temperature": float(np.mean(method.temperatures))}


def _mean_metrics(runs: Sequence[Predictions], config: CompareConfig) -> tuple[dict[str, float], dict[str, float]]:
    """Return the metrics, and the null band of ECE."""
    metrics, bands = [], []
    for run in runs:
        state = CalibrationState(config.bins)
        state.update(run.logits, run.labels)
        metrics.append(state.compute())
        bands.append(
            null_band(run.logits, run.labels, num_bins=config.bins, resamples=config.resamples, seed=config.seed)["ece"]
        )
    return _mean(metrics), _mean([vars(band) for band in bands])


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
