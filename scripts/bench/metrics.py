"""Time and memory of the metrics, side by side with torchmetrics' ECE alone: python scripts/bench/metrics.py.

One thread, logits in, the best of several rounds taken in turns. Run it while nothing else runs.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torchmetrics.classification import MulticlassCalibrationError
from torchmetrics.functional.classification import multiclass_calibration_error

from textmix.inference import compare, confidence_intervals, null_band
from textmix.metrics import CalibrationState, equal_mass_ece, smooth_ece, static_ece
from textmix.predictions import Predictions
from textmix.temperature import fit_temperature

SHAPES = ((1_000_000, 10), (50_000, 1_000))
MIB = 2**20


def ours(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """ECE, OE, NLL, Brier and accuracy in one pass."""
    state = CalibrationState()
    state.update(logits, labels)
    return state.compute()


def their_function(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """ECE alone, torchmetrics' function."""
    return float(multiclass_calibration_error(logits, labels, logits.shape[1], n_bins=15))


def their_class(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """ECE alone, torchmetrics' class with one update."""
    metric = MulticlassCalibrationError(logits.shape[1], n_bins=15)
    metric.update(logits, labels)
    return float(metric.compute())


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def extra_memory(call: Callable[[], object]) -> float:
    """Return by how many MiB a call raises the peak of resident memory (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is resident now
    before = _status("VmRSS")
    call()
    return max(_status("VmHWM") - before, 0) / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def one_pass(rounds: int) -> None:
    """Compare the one pass over logits with torchmetrics."""
    print("| logits | ours | torchmetrics, function | class | ours / function | ours / class | ours, extra memory |")
    print("|---|---|---|---|---|---|---|")
    for n, classes in SHAPES:
        generator = torch.Generator().manual_seed(0)
        logits = 3 * torch.randn(n, classes, generator=generator)
        labels = torch.randint(classes, (n,), generator=generator)
        calls = [partial(f, logits, labels) for f in (ours, their_function, their_class)]
        ours(logits[:100], labels[:100])
        memory = extra_memory(calls[0])  # first, before others leave memory behind that could be used again
        best = np.min([[seconds(call) for call in calls] for _ in range(rounds)], axis=0)
        print(
            f"| {n:,} x {classes:,} | {best[0] * 1e3:.0f} ms | {best[1] * 1e3:.0f} ms | {best[2] * 1e3:.0f} ms | "
            f"{best[0] / best[1]:.2f} | {best[0] / best[2]:.2f} | {memory:.1f} MiB |"
        )


def everything_else(n: int) -> None:
    """Time what a report of n predictions computes besides."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, 10, generator=generator)
    labels = (logits / 1.2 - torch.empty_like(logits).exponential_(generator=generator).log()).argmax(1)  # Gumbel
    x, y = logits.numpy(), labels.numpy()
    names, ids = tuple("abcdefghij"), [str(i) for i in range(n)]
    a, b = Predictions(x, y, names, ids), Predictions(x / 1.2, y, names, ids)
    print(f"\n| {n:,} x 10 | seconds |\n|---|---|")
    for name, call in {
        "confidence_intervals, 1,000 resamples": lambda: confidence_intervals(x, y),
        "null_band, 1,000 draws": lambda: null_band(x, y),
        "compare, 1,000 resamples": lambda: compare(a, b),
        "fit_temperature": lambda: fit_temperature(x, y),
        "equal_mass_ece": lambda: equal_mass_ece(x, y),
        "smooth_ece": lambda: smooth_ece(x, y),
        "static_ece": lambda: static_ece(x, y),
    }.items():
        print(f"| {name} | {seconds(call):.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the best counts")
    parser.add_argument("--examples", type=int, default=1_000_000, help="examples of the second table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    one_pass(arguments.rounds)
    everything_else(arguments.examples)
