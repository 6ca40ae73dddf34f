"""Tables that are read and written a window at a time, with all their columns: parquet, csv, tsv and jsonl."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from textmix.errors import InputError, naming
from textmix.files import check_file, replacing
from textmix.predictions.delimited import read_batches, spans_rows
from textmix.predictions.tables import first_line

_RECODE = "set --encoding (latin-1, cp1252, ...) or convert the file"

Write = Callable[[pa.Table], None]
Window = dict[int, dict[str, Any]]
"""Objects under the numbers of their lines."""


def read_tables(path: Path, rows: int, encoding: str) -> Iterator[pa.Table]:
    """Yield windows of at most `rows` rows; every column of a csv or tsv file is text.

    :raises InputError: the file can't be read, or has no rows.
    """
    check_file(path, "a file of texts")
    check_suffix(path, "input")
    read = 0
    try:
        for table in _READERS[path.suffix.lower()](path, rows, encoding):
            twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
            if twice:
                raise InputError(
                    f"{path}: expected every column once, got {twice} more than once; rename or remove one."
                )
            table.validate(full=True)
            yield table
            read += len(table)
    except InputError:
        raise
    except UnicodeError as error:
        raise InputError(f"{path}: expected text in {encoding}, got other bytes; set --encoding.") from error
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise InputError(f"{path}: can't be read ({first_line(error)}); write it again.") from error
    if not read:
        raise InputError(f"{path}: expected at least one row, got none.")


def check_suffix(path: Path, key: str) -> None:
    """Refuse a file of a kind that is not known.

    :raises InputError: it is one.
    """
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{key}: expected one of {', '.join(_READERS)}, got {str(path)!r}.")


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """Yield a function that appends a table to the file, which takes its place at `path` once the body has succeeded.

    :raises InputError: the file can't be written, or its kind can't hold a column.
    """
    try:
        with replacing(path) as part, _WRITERS[path.suffix.lower()](part, schema) as write:
            yield write
    except InputError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: can't be written: {str(error).splitlines()[0]}") from error


def _read_parquet(path: Path, rows: int, _encoding: str) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield pa.Table.from_batches([batch])


def _read_csv(path: Path, rows: int, encoding: str) -> Iterator[pa.Table]:
    convert = pa.csv.ConvertOptions(default_column_type=pa.string())
    with naming(path):
        for batch in read_batches(path, convert, encoding=encoding, recode=_RECODE):
            for start in range(0, len(batch), rows):
                yield pa.Table.from_batches([batch.slice(start, rows)])


def _read_jsonl(path: Path, rows: int, encoding: str) -> Iterator[pa.Table]:
    """Read one object a line, all of them twice: any may have a further key, or a fraction among whole numbers."""
    schema = pa.schema([])
    for window in _windows(path, rows, encoding):
        schema = _widened(path, schema, window)
    schema = pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in schema])
    for window in _windows(path, rows, encoding):
        yield pa.table([_column(path, f.name, window, f.type) for f in schema], schema=schema)


def _windows(path: Path, rows: int, encoding: str) -> Iterator[Window]:
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding) as file:
        lines = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        while window := {number: _entry(path, number, line) for number, line in islice(lines, rows)}:
            yield window


def _widened(path: Path, schema: pa.Schema, window: Window) -> pa.Schema:
    """Return the schema that fits the objects of the window, too."""
    for name in dict.fromkeys(name for entry in window.values() for name in entry):
        found = pa.schema([pa.field(name, _column(path, name, window).type)])
        with _alike(path, name, window):
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
    return schema


def _column(path: Path, name: str, window: Window, kind: pa.DataType | None = None) -> pa.Array:
    """Return what the objects hold under `name`, as the type or one that fits.

    :raises InputError: they hold different kinds of things.
    """
    values = [entry.get(name) for entry in window.values()]
    with _alike(path, name, window):
        column = pa.array(values, kind)
        if any(_is_truth_as_number(value, column.type) for value in values):
            raise TypeError("true or false among numbers")
    return column


def _is_truth_as_number(value: Any, kind: pa.DataType) -> bool:
    """Return whether Arrow makes 1.0 or 0.0 of a true or false, here or within: it takes them for fractions."""
    if isinstance(value, list):
        return any(_is_truth_as_number(item, kind.value_type) for item in value)
    if isinstance(value, dict):
        return any(_is_truth_as_number(value.get(field.name), field.type) for field in kind)
    return isinstance(value, bool) and pa.types.is_floating(kind)


@contextmanager
def _alike(path: Path, name: str, window: Window) -> Iterator[None]:
    """Say of which lines and key Arrow can't make a column.

    :raises InputError: it can't.
    """
    try:
        yield
    except UnicodeError:
        raise
    except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
        raise InputError(
            f"{path}: lines {min(window)} to {max(window)}: expected values of one kind under {name!r} in all lines, "
            f"got others ({first_line(error)}); make them alike, such as all text."
        ) from error


def _entry(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a ValueError of their own
        raise InputError(f"{path}: line {number}: expected a JSON object, got {line.strip()[:80]!r}.") from error
    if not isinstance(entry, dict):
        raise InputError(f"{path}: line {number}: expected a JSON object, got {line.strip()[:80]!r}.")
    return entry


@contextmanager
def _write_parquet(part: Path, schema: pa.Schema) -> Iterator[Write]:
    with pq.ParquetWriter(part, schema) as writer:
        yield writer.write_table


@contextmanager
def _write_csv(part: Path, schema: pa.Schema, delimiter: str = ",") -> Iterator[Write]:
    with pa.csv.CSVWriter(part, schema, write_options=pa.csv.WriteOptions(delimiter=delimiter)) as writer:
        yield writer.write_table


@contextmanager
def _write_tsv(part: Path, schema: pa.Schema) -> Iterator[Write]:
    with _write_csv(part, schema, delimiter="\t") as append:

        def write(table: pa.Table) -> None:
            for name in table.column_names:
                for field in table[name].to_pylist():
                    if isinstance(field, str) and spans_rows(field):
                        raise InputError(
                            f"output: expected no tab beside a line break in a tsv file, got {field[:80]!r} in column "
                            f"{name!r}, which would be refused when it is read; write a jsonl or parquet file."
                        )
            append(table)

        yield write


@contextmanager
def _write_jsonl(part: Path, _schema: pa.Schema) -> Iterator[Write]:
    with part.open("w", encoding="utf-8") as file:

        def write(table: pa.Table) -> None:
            file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in table.to_pylist())

        yield write


_READERS: dict[str, Callable[[Path, int, str], Iterator[pa.Table]]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
}
_WRITERS: dict[str, Callable[[Path, pa.Schema], AbstractContextManager[Write]]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_jsonl,
}
