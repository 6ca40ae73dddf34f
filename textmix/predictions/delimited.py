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
import pyarrow.compute as pc
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
            rows, nothing = 0, pa.RecordBatch.from_pylist([], reader.schema)
            for batch in reader:
                if parse.delimiter == "\t":
                    _check_quotes(batch, rows)
                rows += batch.num_rows
                yield batch
            if not rows:
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


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if _is_gzip(path) else path.open("rb")  # type: ignore[return-value]


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


def _check_quotes(batch: pa.RecordBatch, first_row: int) -> None:
    """Refuse a field with tabs and line breaks: what stands between a quote that is left open and the next one.

    :raises InputError: there is one; its rows would be missing without a word.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            swallowed = pc.and_(pc.match_substring(column, "\t"), pc.match_substring_regex(column, "[\r\n]"))
            index = pc.index(swallowed, True).as_py()
            if index >= 0:
                raise InputError(
                    f"row {first_row + index} (counted from 0), column {name!r}: expected no tab beside a line break, "
                    f"got {str(column[index])[:80]!r}, which looks like rows after a quote that is left open; put a "
                    "field that holds quotes in quotes and double those in it, or write the file as jsonl."
                )


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
