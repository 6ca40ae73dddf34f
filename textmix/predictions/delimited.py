"""Csv and tsv files, read by Arrow a piece at a time, and what is wrong with those that it can't read.

A thread of Arrow may go on reading for a while after an error. It gets files and no Python objects: one that it drops
while Python shuts down aborts the process.
"""

import codecs
import csv
import gzip
import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import pyarrow as pa
import pyarrow.csv

from textmix.errors import InputError

BLOCK = 32 << 20
"""Bytes that are parsed at a time, and therefore the longest row."""


def read_batches(
    path: Path,
    convert: pa.csv.ConvertOptions,
    *,
    encoding: str = "utf-8",
    recode: str = "convert the file to UTF-8",
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a csv or tsv file, which may be compressed as ``.gz``: at least one batch, if an empty one.

    :param convert: the columns, and their types.
    :param recode: what to do about a file of another encoding, for the sentence of the error.
    :raises InputError: a row does not fit, or the file is of another encoding; the message does not name the file.
    :raises OSError: it can't be read.
    """
    # On one thread, or errors would not know their row.
    read = pa.csv.ReadOptions(block_size=BLOCK, use_threads=False)
    parse = pa.csv.ParseOptions(delimiter=delimiter(path), newlines_in_values=True)
    try:
        with _as_utf8(path, encoding) as file, pa.csv.open_csv(file, read, parse, convert) as reader:
            # A name that is no UTF-8 is noticed here.
            empty, checked, nothing = True, False, pa.RecordBatch.from_pylist([], reader.schema)
            for batch in reader:
                if not checked and any(map(_has_line_break, batch.columns)):
                    _check_quotes(path, encoding)
                    checked = True
                empty = False
                yield batch
            if empty:
                yield nothing
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise InputError(_explain(path, str(error), encoding, recode)) from error


def delimiter(path: Path) -> str:
    """Return what stands between two fields."""
    return "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","


def read_header(path: Path, encoding: str = "utf-8") -> list[str]:
    """Return the names of the columns.

    :raises InputError: the file is empty; the message does not name it.
    """
    with open_text(path, encoding, errors="replace") as text:
        header = next((row for row in csv.reader(text, delimiter=delimiter(path)) if row), None)
    if header is None:
        raise InputError("expected a header and rows, got an empty file.")
    return header


@contextmanager
def open_text(path: Path, encoding: str, errors: str = "strict") -> Iterator[IO[str]]:
    """Open a file, which may be compressed as ``.gz``, without the mark at the begin of some and with its line ends."""
    skipping_mark = "utf-8-sig" if _is_utf8(encoding) else encoding
    with _open(path) as file, io.TextIOWrapper(file, skipping_mark, errors=errors, newline="") as text:
        yield text


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path) if _is_gzip(path) else path.open("rb")


def _is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


@contextmanager
def _as_utf8(path: Path, encoding: str) -> Iterator[pa.NativeFile]:
    """Open a file for Arrow, one of another encoding as a temporary copy in UTF-8.

    It is not closed here, under the hands of a thread that reads it: Arrow does so when nobody has it any more.
    """
    if _is_utf8(encoding):
        yield pa.input_stream(str(path), compression="gzip" if _is_gzip(path) else None)
        return
    with TemporaryDirectory(prefix="textmix-") as folder:
        copy = Path(folder, "utf8")
        with open_text(path, encoding) as text, copy.open("w", encoding="utf-8", newline="") as out:
            shutil.copyfileobj(text, out, 1 << 20)
        yield pa.input_stream(str(copy), compression=None)


def _has_line_break(column: pa.Array) -> bool:
    """Look at the bytes of all fields at once: to match them one by one would take a quarter of the time of reading."""
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        return False
    fields = column.buffers()[2]
    return fields is not None and any(end in fields.to_pybytes() for end in (b"\n", b"\r"))


def _check_quotes(path: Path, encoding: str) -> None:
    """Refuse a file with a quote that is left open: Arrow reads the rows up to the next quote as part of one field.

    :raises InputError: a field in quotes goes on behind them or never ends, or has tabs and line breaks in a tsv file.
    """
    limit = csv.field_size_limit(BLOCK)  # its own is shorter than what Arrow takes
    end = 0
    try:
        with open_text(path, encoding, errors="replace") as text:
            reader = csv.reader(text, delimiter=delimiter(path), strict=True)
            for fields in reader:
                if reader.line_num > end + 1 and reader.dialect.delimiter == "\t" and any(map(spans_rows, fields)):
                    raise csv.Error
                end = reader.line_num
    except csv.Error as error:
        raise InputError(
            f"lines {end + 1} to {reader.line_num}: expected a field that begins with a quote to end with one, got "
            "what looks like a quote that is left open; put a field that holds quotes in quotes and double those in "
            "it, or write the file as jsonl."
        ) from error
    finally:
        csv.field_size_limit(limit)


def spans_rows(field: str) -> bool:
    """Return whether a field of a tsv file can't be told from rows between a quote that is left open and the next."""
    return "\t" in field and ("\n" in field or "\r" in field)


def _explain(path: Path, error: str, encoding: str, recode: str) -> str:
    """Say which row and column of a file is wrong, and what to do.

    :param error: what Arrow says, reading on one thread; it counts rows from 1, and the header is one.
    """
    with _open(path) as file:
        if _is_utf8(encoding) and file.read(2) in {b"\xff\xfe", b"\xfe\xff"}:
            return f"expected text in {encoding}, got UTF-16; {recode}."
    if "Empty CSV" in error:
        return "expected a header and rows, got an empty file."
    if "straddling" in error:
        return f"expected rows of at most {BLOCK >> 20} MiB, got a longer one; is a quote left open?"
    if found := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", error, re.DOTALL):
        return (
            f"row {int(found[1]) - 2} (counted from 0): expected {found[2]} fields as in the header, got {found[3]}: "
            f"{found[4][:80]!r}; put a field that holds a separator or a quote in quotes."
        )
    if "codec" in error:
        return f"expected text in {encoding}, got other bytes; {recode}."
    if found := re.search(r"column #(\d+):(?: Row #(\d+):)?.*?invalid (?:value '(.*)'|UTF8)", error):
        row = f"row {int(found[2]) - 2} (counted from 0)" if found[2] else "some row"
        column = repr(dict(enumerate(read_header(path, encoding))).get(int(found[1]), found[1]))
        if found[3] is None:
            return f"{row}, column {column}: expected text in {encoding}, got other bytes; {recode}."
        return f"{row}: expected a number with a decimal point in column {column}, got {found[3]!r}; write it so."
    return f"can't be read ({error.splitlines()[0][:300]}); is a quote left open, or a row very long?"
