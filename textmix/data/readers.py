"""Files of examples, read in pieces: each column that is wanted, as text under the name of its role.

Rows are counted from 0, below the header and without blank lines, as in the ids of the examples.
"""

import csv
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

from textmix.data.labels import label_strings
from textmix.errors import InputError, naming
from textmix.predictions.delimited import open_text, read_batches, read_header
from textmix.predictions.tables import first_line

_CHUNK = 10_000
"""Rows of a json file held as Python objects."""
LABEL_NAMES = b"label_names"
"""Where the metadata of a batch holds the class names that the source declares, as json."""
_RECODE = "set data.encoding (latin-1, cp1252, ...) or convert the file"
_UNNAMED = "drop or rename the column, and rows are named by their number"

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Wanted:
    """The names of the columns to read, and the encoding of text files. A column `id` is read where there is one."""

    text: str | tuple[str, ...]
    pair: str | None
    label: str | tuple[str, ...] | None
    encoding: str = "utf-8"

    def find(self, names: Iterable[str], where: str) -> dict[str, str]:
        """Return role (text, pair, label, id) -> column, among the columns `names` of `where`.

        Of several names for a role the first that is there counts.

        :raises InputError: a column is missing, has two roles, or is there twice.
        """
        present = list(names)
        roles = {"text": self.text, "pair": self.pair, "label": self.label, "id": "id"}
        options = {role: (name,) if isinstance(name, str) else name for role, name in roles.items() if name is not None}
        found = {
            role: next(n for n in named if n in present) for role, named in options.items() if {*named} & {*present}
        }
        for role, key in (("text", "text_column"), ("pair", "text_pair_column"), ("label", "label_column")):
            if role in options and role not in found:
                named = " or ".join(map(repr, options[role]))
                raise InputError(f"{where}: expected a column {named} (data.{key}), got {present}{_hint(present)}.")
        return settled(found, present, where)


def settled(found: dict[str, str], present: list[str], where: str) -> dict[str, str]:
    """Return role -> column as they were `found` among those `present`; a column `id` with another role names no rows.

    :raises InputError: a column has two roles, or is there twice.
    """
    others = {role: name for role, name in found.items() if role != "id"}
    roles = others if "id" in others.values() else found
    columns = list(roles.values())
    shared = [role for role, name in roles.items() if columns.count(name) > 1]
    if shared:
        raise InputError(
            f"{where}: expected another column as {shared[0]} than as {shared[1]}, got {roles[shared[0]]!r} for both; "
            "name another for one of them."
        )
    twice = sorted(name for name in columns if present.count(name) > 1)
    if twice:
        raise InputError(f"{where}: expected every column once, got {twice} more than once; rename or remove one.")
    return roles


def _hint(present: list[str]) -> str:
    """Name the likely reason why a header has no column of the right name."""
    if any("\0" in name for name in present):
        return "; the file seems to be UTF-16, set data.encoding: utf-16"
    if len(present) == 1 and any(mark in present[0] for mark in "\t;,"):
        return "; the fields seem to be separated otherwise: a csv file needs commas, a tsv file tabs"
    return ""


def read_file(path: Path, wanted: Wanted) -> Batches:
    """Yield the rows of a csv, tsv, json, jsonl or parquet file as record batches of strings.

    :raises InputError: the file can't be read, lacks a column, or holds a row that does not fit.
    """
    try:
        yield from _READERS[file_kind(path)](path, wanted)
    except UnicodeError as error:
        raise InputError(f"{path}: expected text in {wanted.encoding}, got other bytes; {_RECODE}.") from error
    except (OSError, EOFError, zlib.error, csv.Error, MemoryError, pa.ArrowException) as error:
        raise InputError(f"{path}: can't be read ({first_line(error)}); write it again.") from error


def file_kind(path: Path) -> str:
    """Return the suffix that says how the file is written, without the one of its compression."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _read_csv(path: Path, wanted: Wanted) -> Batches:
    """Read with every field as text, so that `NA`, `null` and `007` stay what they are."""
    with naming(path):
        header = read_header(path, wanted.encoding)
    roles = wanted.find(header, str(path))
    columns = list(roles.values())
    # The others are read, too: a quote that is left open in any is noticed.
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        default_column_type=pa.binary(),
    )
    row = 0
    with naming(path):
        for everything in read_batches(path, convert, encoding=wanted.encoding, recode=_RECODE):
            batch = everything.select(columns).rename_columns(list(roles))
            _check_no_nul(batch, row)
            row += batch.num_rows
            yield batch


def _check_no_nul(batch: pa.RecordBatch, first_row: int) -> None:
    for column in batch.columns:
        index = pc.index(pc.match_substring(column, "\0"), True).as_py()
        if index >= 0:
            raise InputError(
                f"row {first_row + index} (counted from 0): expected text, got a NUL byte; "
                "the file is damaged or in another encoding (data.encoding)."
            )


def _read_json(path: Path, wanted: Wanted) -> Batches:
    """Read a list of objects, or one object a line."""
    rows = _json_rows(path, wanted.encoding)
    roles: dict[str, str] = {}
    while chunk := list(islice(rows, _CHUNK)):
        roles = roles or wanted.find(chunk[0][1], str(path))
        yield pa.RecordBatch.from_pydict({
            role: pa.array([_json_text(entry.get(name), role, f"{path}: row {row} (counted from 0)")
                            for row, entry in chunk], pa.string())
            for role, name in roles.items()
        })  # fmt: skip


def _json_rows(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    row = -1
    try:
        with open_text(path, encoding) as text:
            for row, entry in enumerate(_json_entries(text)):
                if not isinstance(entry, dict):
                    raise InputError(
                        f"{path}: row {row} (counted from 0): expected an object, got {str(entry)[:80]!r}."
                    )
                yield row, entry
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(
            f"{path}: row {row + 1} (counted from 0): expected a list of objects or one object a line, "
            f"got: {first_line(error)}."
        ) from error


def _json_entries(text: IO[str]) -> Iterator[Any]:
    """Yield the members of a list, or what each line holds; whole numbers as their digits."""
    first = next((line for line in text if line.strip()), "")
    if first.lstrip().startswith("["):
        yield from json.loads(first + text.read(), parse_int=str)
    else:
        yield from (json.loads(line, parse_int=str) for line in chain([first], text) if line.strip())


def _json_text(value: Any, role: str, where: str) -> str | None:
    """Return a value of a json object as the text of a column."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{where}: expected text, got half of a surrogate pair in {value[:80]!r}.") from error
        return value
    if value is None:
        return None
    if isinstance(value, bool) and role == "label":
        return json.dumps(value)
    if role == "label":
        label_strings(pa.array([value]), None, where)  # says why a float or a list is no label
    if role == "id" and isinstance(value, (bool, float)):
        return str(id_strings(pa.array([value]), where)[0])
    expected, advice = ("text or a number", f"; {_UNNAMED}") if role == "id" else ("a string", "")
    raise InputError(f"{where}: expected {expected} as {role}, got {str(value)[:80]}{advice}.")


def _read_parquet(path: Path, wanted: Wanted) -> Batches:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(wanted.find(file.schema_arrow.names, str(path)).values())):
            yield as_strings(batch, wanted, str(path))


def as_strings(batch: pa.RecordBatch, wanted: Wanted, where: str) -> pa.RecordBatch:
    """Return the wanted columns of typed data as strings under their roles; names of classes go into the metadata.

    :raises InputError: a column is missing or has the wrong type.
    """
    roles = wanted.find(batch.schema.names, where)
    names: tuple[str, ...] | None = None
    columns: dict[str, pa.Array] = {}
    for role, name in roles.items():
        column = batch.column(name)
        if role == "label":
            names = declared_names(batch.schema, name, where)
            columns[role] = label_strings(column, names, f"{where}: column {name!r}")
        elif role == "id":
            columns[role] = id_strings(column, where)
        elif is_text(column.type):
            columns[role] = column.cast(pa.string())
        else:
            raise InputError(f"{where}: expected text in column {name!r}, got {column.type}.")
    metadata = None if names is None else {LABEL_NAMES: json.dumps(names)}
    strings = pa.RecordBatch.from_pydict(columns)
    strings.validate(full=True)  # or bytes that are no UTF-8 would be noticed much later
    return strings.replace_schema_metadata(metadata)


def id_strings(ids: pa.Array, where: str) -> pa.Array:
    """Return a column `id` as strings, numbers in digits.

    :raises InputError: it holds lists or the like.
    """
    if pa.types.is_nested(ids.type):
        raise InputError(f"{where}: expected text or numbers as id, got {ids.type}; {_UNNAMED}.")
    return ids.cast(pa.string())


def declared_names(schema: pa.Schema, column: str, where: str) -> tuple[str, ...] | None:
    """Return the names of the classes that a column of class indices declares, None where it does not.

    :raises InputError: what it declares can't be read.
    """
    try:
        feature = Features.from_arrow_schema(schema)[column]
    except (ValueError, TypeError, LookupError, AttributeError, pa.ArrowException) as error:
        raise InputError(
            f"{where}: expected a description of the columns as the package datasets writes it, got another "
            f"({first_line(error)}); write the file again without metadata."
        ) from error
    return tuple(map(str, feature.names)) if isinstance(feature, ClassLabel) else None


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds texts, or nothing at all."""
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)
                or pa.types.is_null(values))  # fmt: skip


_READERS: dict[str, Callable[[Path, Wanted], Batches]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_json,
    ".parquet": _read_parquet,
}
KINDS = tuple(_READERS)
"""Suffixes of the files that can be read; all but parquet may be compressed as ``.gz``."""
