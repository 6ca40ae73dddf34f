"""results.json: what a sweep found, from the predictions of its runs; the page is made from this file alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textmix.errors import InputError
from textmix.files import write_text
from textmix.ood import msp
from textmix.options import SweepConfig
from textmix.predictions import Predictions
from textmix.sweep.grid import Run, fingerprint
from textmix.sweep.measure import Statistics, measure, measure_outside
from textmix.sweep.over_epochs import over_epochs
from textmix.sweep.trained import Trained

HOW = (
    "Means over the seeds. The 95 % intervals add the variance over the examples (of each example's mean over the "
    "seeds; for ECE, OE, over and under by a bootstrap of the examples, with what noise adds taken off) and, for each "
    "method, the variance between the seeds over their number; Student's t has Welch's degrees of freedom. Those of a "
    "single seed speak of the examples alone, and a method with one seed is not compared with one that has several. "
    "Differences are paired: both methods on the same examples. AUROC has DeLong's variance over the examples, and the "
    "seeds likewise."
)
"""How the intervals are made, in words that go with the numbers."""

_DIGITS = 6
"""Significant digits that are written."""


def collect(sweep: SweepConfig, name: str, runs: Sequence[Run], finished: Sequence[Run]) -> dict[str, Any]:
    """Return what results.json holds of the `finished` among the `runs` of a sweep.

    A row is a method on a data set with a model and a size, and names the seeds that are still to come.
    """
    statistics = Statistics(sweep.bins, sweep.resamples)
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    done = {run.folder for run in finished}
    rows, versions, revisions = [], set(), set()
    for group in groups.values():
        for row, trained in _rows(list(sweep.methods), group, done, statistics):
            rows.append(row)
            versions |= {item for summary in trained.summaries for item in summary["versions"].items()}
            revisions |= {summary["git_revision"] for summary in trained.summaries} - {None}
    return {
        "sweep": name,
        "config_hash": fingerprint(sweep),
        "versions": {package: sorted(v for p, v in versions if p == package) for package in sorted(dict(versions))},
        "git_revisions": sorted(revisions),
        "bins": sweep.bins,
        "resamples": sweep.resamples,
        "level": 0.95,
        "how": HOW,
        "first": str(next(iter(sweep.methods))),
        "runs": {"planned": len(runs), "finished": len(finished)},
        "rows": rows,
    }


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Write results as JSON, a row a line; the file replaces an old one whole."""
    head, rows = _rounded({**results, "rows": []}), _rounded(results["rows"])
    lines = ",\n".join(f"  {json.dumps(row, allow_nan=False)}" for row in rows)
    text = json.dumps(head, indent=1, allow_nan=False).replace('"rows": []', f'"rows": [\n{lines}\n ]')
    write_text(path, f"{text}\n")


def read_results(path: Path) -> dict[str, Any]:
    """Read what :func:`write_results` wrote.

    :raises InputError: the file can't be read, or holds something else.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: expected the results of a sweep, got: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: expected the results of a sweep as JSON, got: {error}.") from error
    if not isinstance(results, dict) or not {"rows", "config_hash"} <= results.keys():
        raise InputError(f"{path}: expected the results of a sweep, got JSON without rows and config_hash.")
    if any(missing := {"part", "alpha"} - row.keys() for row in results["rows"]):
        raise InputError(
            f"{path}: expected rows with {' and '.join(sorted(missing))}, got those of an older version; run the same "
            "sweep again, which measures its finished runs anew and trains none."
        )
    return results


def _rows(
    methods: Sequence[str], group: Sequence[Run], done: set[Path], statistics: Statistics
) -> Iterator[tuple[dict[str, Any], Trained]]:
    """Yield a row for each method of one data set, model and size that has a finished run, and its runs.

    They come in the order of `methods`, whichever seeds each has: the first is what others are compared with.
    """
    first: Trained | None = None
    for method in methods:
        planned = [run for run in group if run.method == method]
        finished = [run for run in planned if run.folder in done]
        if finished:
            trained = Trained(finished)
            first = trained if method == methods[0] else first
            try:
                row = _row(planned, trained, first, statistics)
            except InputError as error:  # a run from before the data changed
                place = finished[0].folder.parent
                raise InputError(f"{place}: {method!r}, its seeds or beside the first: {error}") from error
            yield row, trained


def _row(planned: Sequence[Run], trained: Trained, first: Trained | None, statistics: Statistics) -> dict[str, Any]:
    run, summaries = planned[0], trained.summaries
    against = first if first is not None and first is not trained and trained.comparable(first) else None
    raw, validation = (None, None) if against is None else (against.raw, against.validation)

    def measured(own: Sequence[Predictions], others: Sequence[Predictions] | None) -> dict[str, Any]:
        entry = measure(own, others, statistics)
        if trained.temperatures:
            scaled = against.calibrated(others) if against is not None and others and against.temperatures else None
            entry["calibrated"] = measure(trained.calibrated(own), scaled, statistics)
        return entry

    return {
        "method": run.method,
        "data": run.data,
        "model": run.model,
        "size": run.size,
        "seeds": trained.seeds,
        "missing_seeds": [other.seed for other in planned if other.seed not in trained.seeds],
        "changes": run.changes,
        "alpha": run.config.mixup.alpha if run.config.mixup.active else 0.0,
        "part": trained.part,
        "n": len(trained.raw[0]),
        "sizes": summaries[0]["sizes"],
        "temperatures": trained.temperatures,
        "best_epochs": [summary["best_epoch"] for summary in summaries],
        "seconds": [summary["seconds"] for summary in summaries],
        "class_shares": _class_shares(trained),
        **measured(trained.raw, raw),
        "validation": {"n": len(trained.validation[0]), **measured(trained.validation, validation)},
        "ood": _outside(trained, against),
        "epochs": over_epochs([other.folder for other in trained.runs]),
    }


def _class_shares(trained: Trained) -> list[float]:
    """Return the shares of the classes among the validation examples."""
    validation = trained.validation[0]
    counts = np.bincount(validation.labels, minlength=len(validation.label_names))
    return [float(share) for share in counts / counts.sum()]


def _outside(trained: Trained, against: Trained | None) -> dict[str, Any]:
    inside = [msp(run.logits) for run in trained.raw]
    of_first = [] if against is None else [msp(run.logits) for run in against.raw]
    return {
        name: measure_outside(
            (inside, trained.confidences_outside(name)),
            None if against is None or name not in against.outside else (of_first, against.confidences_outside(name)),
        )
        for name in trained.outside
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
