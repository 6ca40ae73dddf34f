"""Files of predictions as tables: parquet, csv, tsv, jsonl and npz, and of these the columns that may be wanted."""

import csv
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from textmix.errors import InputError
from textmix.predictions.core import LOGIT
from textmix.predictions.delimited import read_batches, read_header

PROBABILITY = "prob_"
"""Prefix of the columns that hold probabilities, followed by the label's name."""
_TEXT_COLUMNS = ("id", "label", "text")
_BLOCK = 32 << 20
"""Bytes of a jsonl file parsed at a time, and therefore the longest row."""
_BROKEN_ARCHIVE = (OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, MemoryError, OverflowError,
                   zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)  # fmt: skip
"""What numpy and zipfile raise on files that are no archives of arrays, or no more."""


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read the columns id, label, text, those that hold logits or probabilities, and `columns`.

    :raises InputError: the file is of another kind or can't be read; the message does not name it.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise InputError(f"expected one of {', '.join(_READERS)}, got {path.suffix or 'no suffix'!r}.")
    try:
        table = _READERS[kind](path, columns)
        table.validate(full=True)  # or a letter that is none would be noticed much later
    except (OSError, ValueError, KeyError, MemoryError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"can't be read ({first_line(error)}); write it again.") from error
    return table


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says, without the full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300].rstrip(".")


def _wanted(name: str, columns: Sequence[str]) -> bool:
    return name in (*_TEXT_COLUMNS, "prediction", *columns) or name.startswith((LOGIT, PROBABILITY))


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read([name for name in file.schema_arrow.names if _wanted(name, columns)])


def _read_csv(path: Path, columns: Sequence[str]) -> pa.Table:
    wanted = {name for name in read_header(path) if _wanted(name, columns)}
    texts = {*_TEXT_COLUMNS, "prediction"}
    types = {name: pa.string() if name in texts else pa.float64() for name in wanted}
    convert = pa.csv.ConvertOptions(column_types=types, default_column_type=pa.binary())
    return pa.Table.from_batches(list(read_batches(path, convert)))


def _read_jsonl(path: Path, columns: Sequence[str]) -> pa.Table:
    read = pyarrow.json.ReadOptions(block_size=_BLOCK)
    try:
        table = pyarrow.json.read_json(path, read)
        dates = [name for name in table.column_names if pa.types.is_timestamp(table[name].type)]
        if dates:  # texts and names that look like dates: read them once more, as they stand there
            schema = pa.schema([(name, pa.string()) for name in dates])
            parse = pyarrow.json.ParseOptions(explicit_schema=schema)
            table = pyarrow.json.read_json(path, read, parse)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(_explain_jsonl(path, error)) from error
    return table.select([name for name in table.column_names if _wanted(name, columns)])


def _explain_jsonl(path: Path, error: Exception) -> str:
    """Say which row is no object; Arrow counts rows anew in every block."""
    with path.open("rb") as file:
        for row, line in enumerate(line for line in file if line.strip()):
            try:
                if isinstance(json.loads(line), dict):
                    continue
            except (ValueError, RecursionError):
                pass
            return f"row {row} (counted from 0): expected one JSON object a line, got {line[:80]!r}; mend the line."
    return f"expected one JSON object a line, alike in keys and types, got: {first_line(error)}; write it again."


def _read_npz(path: Path, columns: Sequence[str]) -> pa.Table:
    if not zipfile.is_zipfile(path):
        raise InputError("expected what numpy.savez wrote, got another kind of file.")
    try:
        # Opened here: numpy would leave a broken archive open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if _wanted(name, columns)}
    except _BROKEN_ARCHIVE as error:
        hint = "an array of Python objects; save numbers and strings" if "pickle" in str(error) else first_line(error)
        raise InputError(f"expected what numpy.savez wrote, got {hint}.") from error
    plain = {name: _plain(name, array) for name, array in arrays.items()}
    lengths = {name: len(array) for name, array in plain.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"expected arrays of one length, got {lengths}.")
    return pa.table(plain)


def _plain(name: str, array: object) -> npt.NDArray[Any]:
    """Return an array as Arrow takes it: strings, and numbers of the machine's own order of bytes."""
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "biufUS":
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"expected 1-D arrays of numbers or strings, one a class, got {name!r}: {got}.")
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"expected text in UTF-8 in {name!r}, got other bytes; save it as str.") from error
    longest = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return array.astype(np.float64) if longest else array.astype(array.dtype.newbyteorder("="), copy=False)


_READERS = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".npz": _read_npz,
}
