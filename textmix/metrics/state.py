"""The core of the binned metrics: sums that merge by addition, over batches, files, machines and processes."""

from pathlib import Path
from typing import Self, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textmix.errors import InputError
from textmix.metrics.bins import BinTable, bin_index, bin_table, binned_statistics, check_bins
from textmix.metrics.examples import Array, Mode, Scores, chunks, score_chunk


class CalibrationState:
    """Accuracy, NLL, Brier score and the binned calibration errors of predictions that arrive in pieces.

    Keeps float64 sums and int64 counts only: three of length `num_bins`, a few scalars. In `sums` they are plain
    tensors under their names, to be added up by whatever adds up tensors:
    `state.load_sums(accelerator.reduce(state.sums, "sum"))`.

    The binned metrics are those of Guo et al. 2017 (arXiv 1706.04599, eq. 3) and, for OE, of Thulasidasan et al. 2019
    (arXiv 1905.11001, section 3.2); the formulas are at :func:`textmix.metrics.bins.binned_statistics`.

    >>> state = CalibrationState(num_bins=10)
    >>> state.update([[2.0, 0.0], [0.0, 1.0]], [0, 0])
    >>> other = CalibrationState(num_bins=10)
    >>> other.update([[0.5, 0.0]], [0])
    >>> metrics = state.merge(other).compute()
    >>> metrics["n"], round(metrics["accuracy"], 4), round(metrics["ece"], 4)
    (3, 0.6667, 0.4093)
    """

    sums: dict[str, Tensor]

    def __init__(self, num_bins: int = 15, mode: Mode = "top") -> None:
        """Start with nothing seen.

        :param num_bins: equal-width bins of the confidence.
        :param mode: `top`, the probability of the predicted class; `positive`, that of class 1 of two.
        :raises InputError: fewer than one bin, or an unknown mode.
        """
        check_bins(num_bins)
        if mode not in {"top", "positive"}:
            raise InputError(f"mode: expected 'top' or 'positive', got {mode!r}.")
        self.num_bins = num_bins
        self.mode: Mode = mode
        self.sums = {
            "count": torch.zeros(num_bins, dtype=torch.int64),
            "outcome": torch.zeros(num_bins, dtype=torch.int64),
            "confidence": torch.zeros(num_bins, dtype=torch.float64),
            "correct": torch.zeros((), dtype=torch.int64),
            "nll": torch.zeros((), dtype=torch.float64),
            "brier": torch.zeros((), dtype=torch.float64),
        }

    def update(self, logits: Array, labels: Array) -> None:
        """Add examples; where an error is raised, none of them.

        :param logits: (N, C), tensor or array of any float type. :param labels: (N,) class indices.
        :raises InputError: a wrong shape, a label that is no class index, or logits that are not finite, with the row.
        """
        fresh = {name: torch.zeros_like(total) for name, total in self.sums.items()}
        for x, y in chunks(logits, labels):
            for name, total in self._chunk_sums(score_chunk(x, y, self.mode)).items():
                fresh[name] += total
        for name, total in fresh.items():
            self.sums[name] = self.sums[name] + total

    def merge(self, other: "CalibrationState") -> "CalibrationState":
        """Return a new state that has seen what both have.

        :raises InputError: the two count different things.
        """
        if (self.num_bins, self.mode) != (other.num_bins, other.mode):
            raise InputError(
                f"merge: expected a state of {self.num_bins} bins and mode {self.mode!r}, got {other.num_bins} bins "
                f"and mode {other.mode!r}."
            )
        merged = CalibrationState(self.num_bins, self.mode)
        merged.sums = {name: total + other.sums[name] for name, total in self.sums.items()}
        return merged

    def load_sums(self, sums: dict[str, Tensor]) -> Self:
        """Replace the sums, by those of all processes for example; return the state itself.

        :raises InputError: other names, shapes or types than this state's own.
        """
        expected = {name: (total.shape, total.dtype) for name, total in self.sums.items()}
        got = {name: (total.shape, total.dtype) for name, total in sums.items()}
        if got != expected:
            raise InputError(f"sums: expected {expected}, got {got}.")
        self.sums = {name: total.detach().cpu().clone() for name, total in sums.items()}
        return self

    def compute(self, min_count: int = 1) -> dict[str, float]:
        """Return n, accuracy, nll, brier, ece, oe, over, under, mce, rms and mean_confidence as plain numbers.

        :param min_count: examples a bin needs to count for `mce`, which is NaN where no bin has as many.
        :raises InputError: nothing was seen yet.
        """
        count = self.sums["count"].numpy()
        n = int(count.sum())
        if n == 0:
            raise InputError("compute: expected at least one example, got none; call update first.")
        binned = binned_statistics(count, self.sums["confidence"].numpy(), self.sums["outcome"].numpy(), min_count)
        means = {name: self.sums[name].item() / n for name in ("correct", "nll", "brier")}
        return {
            "n": n,
            "accuracy": means["correct"],
            "nll": means["nll"],
            "brier": means["brier"],
            **{name: float(value) for name, value in binned.items()},
            "mean_confidence": self.sums["confidence"].sum().item() / n,
        }

    def table(self) -> BinTable:
        """Return count, mean confidence and accuracy of each bin, for a reliability diagram."""
        return bin_table(*(self.sums[name].numpy() for name in ("count", "confidence", "outcome")))

    def save(self, path: Path) -> None:
        """Write the sums as safetensors, with the number of bins and the mode."""
        save_file(self.sums, path, metadata={"num_bins": str(self.num_bins), "mode": self.mode})

    @classmethod
    def load(cls, path: Path) -> "CalibrationState":
        """Read what :meth:`save` wrote.

        :raises InputError: no such file, or not one of ours.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                sums = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            num_bins, mode = int(metadata["num_bins"]), metadata["mode"]
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{path}: expected a saved CalibrationState, got: {error}") from error
        return cls(num_bins, cast("Mode", mode)).load_sums(sums)

    def _chunk_sums(self, examples: Scores) -> dict[str, Tensor]:
        bins = bin_index(examples.confidence, self.num_bins)
        cells = torch.bincount(2 * bins + examples.outcome, minlength=2 * self.num_bins).reshape(-1, 2)
        return {
            "count": cells.sum(1),
            "outcome": cells[:, 1],
            "confidence": torch.bincount(bins, weights=examples.confidence, minlength=self.num_bins),
            "correct": examples.correct.sum(),
            "nll": examples.nll.sum(),
            "brier": examples.brier.sum(),
        }
