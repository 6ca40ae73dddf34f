"""Parts of a table: the rows of one split, chosen without copying them."""

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from textmix.data.batching import Indices
from textmix.data.tables import Table

log = logging.getLogger(__name__)

_PIECE = 10_000
"""Rows that are in memory at a time while a column is walked through."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a table: `rows` are their sorted numbers, `labels` their class indices, both int64 (N,)."""

    table: Table
    rows: Indices
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def key(self) -> tuple[str, str]:
        """Return what tells the part apart from every other one."""
        return self.table.key, hashlib.blake2b(self.rows.tobytes()).hexdigest()

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Part":
        """Return the part of the rows `chosen`, a mask (N,)."""
        return Part(self.table, self.rows[chosen], self.labels[chosen])

    def has(self, column: str) -> bool:
        """Whether the source had a column in this role."""
        return column in self.table.columns.column_names

    def pieces(self, column: str) -> Iterator[pa.StringArray]:
        """Yield a column piece by piece, empty strings for nulls."""
        start = 0
        for chunk in self.table.columns[column].chunks:
            first, last = np.searchsorted(self.rows, (start, start + len(chunk)))
            for begin in range(first, last, _PIECE):
                rows = self.rows[begin : min(begin + _PIECE, last)] - start
                yield pc.fill_null(chunk.take(pa.array(rows)), "")
            start += len(chunk)

    def readable(self) -> Iterator[pa.StringArray]:
        """Yield what a person reads, piece by piece: the text, and on a line of its own the second of a pair."""
        if not self.has("pair"):
            yield from self.pieces("text")
            return
        for text, pair in zip(self.pieces("text"), self.pieces("pair"), strict=True):
            yield pc.binary_join_element_wise(text, pair, "\n")

    def blank(self) -> npt.NDArray[np.bool_]:
        """Return for each row whether there is nothing to read."""
        return np.concatenate([
            pc.equal(pc.utf8_trim_whitespace(piece), "").to_numpy(zero_copy_only=False) for piece in self.readable()
        ])  # fmt: skip

    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return 64 bits for each readable text (N,), the same only for the same text."""
        pieces = [piece.to_numpy(zero_copy_only=False) for piece in self.readable()]
        return np.concatenate([pd.util.hash_array(piece, categorize=False) for piece in pieces])


class _OfRows(Sequence[str]):
    """A string for each row of a part, made when it is asked for."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def __len__(self) -> int:
        return len(self._part)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self._string(int(self._part.rows[index]))

    @abstractmethod
    def _string(self, row: int) -> str:
        """Return the string of a row of the part's table."""


class Texts(_OfRows):
    """The readable texts of a part, taken from disk when they are asked for."""

    def __iter__(self) -> Iterator[str]:
        for piece in self._part.readable():
            yield from piece.to_pylist()

    def _string(self, row: int) -> str:
        columns = self._part.table.columns
        return "\n".join(columns[c][row].as_py() or "" for c in ("text", "pair") if self._part.has(c))


class Ids(_OfRows):
    """`<split>-<row>`, the row counted from 0 in the table the part was taken from."""

    def _string(self, row: int) -> str:
        return f"{self._part.table.split}-{row}"


def names_of(part: Part) -> Sequence[str]:
    """Return the ids of the examples: the source's column `id` where it tells all rows apart, else :class:`Ids`."""
    if not part.has("id"):
        return Ids(part)
    given = part.table.columns["id"].take(pa.array(part.rows))
    if given.null_count or len(given.unique()) < len(given):
        log.warning("%s: the column id does not tell the rows apart; rows are named by their number", part.table.name)
        return Ids(part)
    ids: list[str] = given.to_pylist()
    return ids
