"""Batches: what a split of examples must offer, which rows make up each batch of an epoch, and whose rank they are."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

Indices = npt.NDArray[np.int64]

MEGA_BATCH = 50
"""Batches among whose rows lengths are sorted: many enough for little padding, few enough to stay random."""
_STREAM = 1
"""Sets this module's draws apart from others made with the same seed and epoch."""


class Examples(Protocol):
    """One split, whatever the examples are; the engine knows no more about them."""

    @property
    def ids(self) -> Sequence[str]:
        """N unique names."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class indices (N,), -1 for an example without a label."""

    @property
    def lengths(self) -> npt.NDArray[np.int64] | None:
        """Tokens of each example (N,); None where all are alike."""

    @property
    def texts(self) -> Sequence[str] | None:
        """What a person reads, N strings; None where there is nothing to read."""

    def thumbnails(self, indices: Indices) -> list[bytes]:
        """Return what there is to see of the rows `indices` as small PNG files; none where there is nothing to see."""

    def __len__(self) -> int:
        """Return N."""

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """Return what the model takes for the rows `indices` (B,), padded to the longest, and int64 `labels` (B,)."""

    def transform(self, inputs: dict[str, Tensor], seed: tuple[int, int, int, int] | None) -> dict[str, Tensor]:
        """Finish a batch on the model's device: what is cheaper there than in the processes that read it.

        :param seed: (seed, epoch, step, rank) that decide how training examples are augmented; None changes nothing at
            random.
        """


def epoch_batches(
    lengths: npt.NDArray[np.int64] | int, batch_size: int, *, seed: int, epoch: int, length_buckets: bool
) -> list[Indices]:
    """Return the rows of every batch of one epoch, in the order they are trained on.

    Each row comes exactly once and every batch but the last is full. The result depends on the arguments alone, so that
    the place in the list is all that resuming needs.

    :param lengths: tokens of each row, or the number of rows where they are all alike.
    :param batch_size: rows of a batch over all processes.
    :param length_buckets: make up batches of rows of like length: the rows are shuffled, sorted by length within
        stretches of :data:`MEGA_BATCH` batches and cut, and the batches shuffled; the last, smaller one is set apart
        before that and holds any lengths. False draws every batch uniformly.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch), spawn_key=(_STREAM,))))
    rows = rng.permutation(lengths if isinstance(lengths, int) else len(lengths))
    full, rest = np.split(rows, [len(rows) - len(rows) % batch_size])
    if length_buckets and not isinstance(lengths, int):
        stretch = np.arange(len(full)) // (MEGA_BATCH * batch_size)
        full = full[np.lexsort((lengths[full], stretch))]
        batches = rng.permutation(rng.permuted(full.reshape(-1, batch_size), axis=1))
    else:
        batches = full.reshape(-1, batch_size)
    return [*batches, rest] if rest.size else list(batches)


def share(batch: Indices, rank: int, num_processes: int) -> Indices:
    """Return the part of a batch that process `rank` works on: parts differ by one row at most, in order."""
    return np.array_split(batch, num_processes)[rank]
