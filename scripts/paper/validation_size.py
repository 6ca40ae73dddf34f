"""How many validation examples a temperature needs: python scripts/paper/validation_size.py [SWEEP_FOLDER].

Takes the runs without mixup of a sweep (runs/sweeps/text_cnn), fits temperatures on parts of their validation sets,
drawn at random, and writes to docs/results/validation_size.json and .md what these cost in test NLL against that of all
examples.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from textmix.files import write_text
from textmix.metrics import nll
from textmix.predictions import Predictions, load
from textmix.report.table import Row, markdown_table
from textmix.temperature import apply_temperature, fit_temperature

ROOT = Path(__file__).parents[2]
SIZES = (25, 50, 100, 200, 400)
DRAWS = 50
"""Parts drawn of each run's validation set for each size."""


def costs(validation: Predictions, test: Predictions, rng: np.random.Generator) -> dict[int, list[float]]:
    """Return, for each size, how much test NLL each drawn part costs against the whole validation set."""

    def test_nll(rows: slice | np.ndarray) -> float:
        fitted = fit_temperature(validation.logits[rows], validation.labels[rows])
        # Where there is no best temperature, as with 25 right answers, a run keeps its logits.
        return nll(apply_temperature(test.logits, 1.0 if fitted.at_bound else fitted.value), test.labels)

    best = test_nll(slice(None))
    parts = {n: [rng.permutation(len(validation))[:n] for _ in range(DRAWS)] for n in SIZES if n < len(validation)}
    return {n: [test_nll(rows) - best for rows in drawn] for n, drawn in parts.items()}


def measure(folder: Path) -> dict[str, Any]:
    """Return for each data set the number of runs, what scaling gains, and the costs of each size in summary."""
    rng, found = np.random.default_rng(0), defaultdict(lambda: defaultdict(list))
    gains: dict[str, list[float]] = defaultdict(list)
    for summary in sorted(folder.glob("*/no-mixup-*/summary.json")):
        validation, test = (load(summary.parent / "predictions" / f"{part}.parquet") for part in ("validation", "test"))
        name = summary.parent.parent.name
        temperature = fit_temperature(validation.logits, validation.labels).value
        scaled = nll(apply_temperature(test.logits, temperature), test.labels)
        gains[name].append(nll(test.logits, test.labels) - scaled)
        for size, values in costs(validation, test, rng).items():
            found[name][size] += values
    return {
        name: {
            "runs": len(gains[name]),
            "gain": round(float(np.mean(gains[name])), 6),
            "costs": {str(size): _summary(values) for size, values in sizes.items()},
        }
        for name, sizes in found.items()
    }


def _summary(values: list[float]) -> dict[str, float]:
    told = {"median": np.median(values), "mean": np.mean(values), "nine_in_ten": np.quantile(values, 0.9)}
    return {name: round(float(value), 6) for name, value in told.items()}


def page(found: Mapping[str, Any]) -> str:
    """Return the page: a line for each data set."""
    table: list[Row] = [
        {"data": name, "runs": str(entry["runs"]), "scaling gains": f"{entry['gain']:+.4f}"}
        | {f"{n} examples": _cell(entry["costs"].get(str(n))) for n in SIZES}
        for name, entry in found.items()
    ]
    told = (
        "Written by `scripts/paper/validation_size.py` from the runs without mixup of `configs/sweeps/text_cnn.yaml`. "
        "*Scaling gains* is test NLL as it is less test NLL at the temperature of all validation examples. The other "
        f"columns: what a temperature fitted on so few of them, drawn {DRAWS} times from each run's, costs in test NLL "
        "against that of all; the median, and in brackets the mean, which a few bad draws make, and what nine draws in "
        "ten stay below."
    )
    return f"# How many validation examples a temperature needs\n\n{told}\n\n{markdown_table(table)}\n"


def _cell(cost: Mapping[str, float] | None) -> str:
    return "" if cost is None else f"{cost['median']:+.4f} ({cost['mean']:+.4f}, {cost['nine_in_ten']:+.4f})"


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "sweeps" / "text_cnn"
    results = ROOT / "docs" / "results" / "validation_size"
    numbers = measure(source)
    write_text(results.with_suffix(".json"), json.dumps(numbers, indent=1) + "\n")
    write_text(results.with_suffix(".md"), page(numbers))
