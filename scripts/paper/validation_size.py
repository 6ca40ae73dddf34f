"""How many validation examples a temperature needs: python scripts/paper/validation_size.py [SWEEP_FOLDER].

Takes the runs without mixup of a sweep (runs/sweeps/text_cnn), fits temperatures on parts of their validation sets,
drawn at random, and writes to docs/results/validation_size.md what these cost in test NLL against that of all examples.
"""

import sys
from collections import defaultdict
from pathlib import Path

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


def page(folder: Path) -> str:
    """Return the page: a line for each data set."""
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
    table: list[Row] = [
        {"data": name, "runs": str(len(gains[name])), "scaling gains": f"{np.mean(gains[name]):+.4f}"}
        | {f"{n} examples": _summary(sizes.get(n, [])) for n in SIZES}
        for name, sizes in found.items()
    ]
    told = (
        "Written by `scripts/paper/validation_size.py` from the runs without mixup of `configs/sweeps/text_cnn.yaml`. "
        "*Scaling gains* is test NLL as it is less test NLL at the temperature of all validation examples. The other "
        f"columns: what a temperature fitted on so few of them, drawn {DRAWS} times from each run's, costs in test NLL "
        "against that of all; the mean, and in brackets what nine draws in ten stay below."
    )
    return f"# How many validation examples a temperature needs\n\n{told}\n\n{markdown_table(table)}\n"


def _summary(values: list[float]) -> str:
    return f"{np.mean(values):+.4f} ({np.quantile(values, 0.9):+.4f})" if values else ""


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "sweeps" / "text_cnn"
    write_text(ROOT / "docs" / "results" / "validation_size.md", page(source))
