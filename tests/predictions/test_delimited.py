import csv
import gzip
import subprocess
import sys
import tempfile

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest

from textmix.errors import InputError
from textmix.predictions import delimited
from textmix.predictions.delimited import read_batches

TEXT = pa.csv.ConvertOptions(default_column_type=pa.string())
READ = """
import sys
from pathlib import Path
from textmix.errors import InputError
from textmix.predictions import delimited
import pyarrow.csv

delimited.BLOCK = 1 << 20
try:
    list(delimited.read_batches(Path(sys.argv[1]), pyarrow.csv.ConvertOptions(), encoding=sys.argv[2]))
except InputError as error:
    sys.exit(f"error: {error}")
"""


def read(path, **options):
    return pa.Table.from_batches(list(read_batches(path, TEXT, **options)))


@pytest.mark.parametrize(
    ("name", "encoding"), [("a.csv", "utf-8"), ("a.csv.gz", "utf-8"), ("a.CSV.GZ", "utf-8"), ("a.csv", "latin-1")]
)
def test_an_error_ends_the_process_in_its_sentence(tmp_path, name, encoding):
    """A thread is reading on when Python shuts down, since the rows after the bad one fill more than a block."""
    content = "text,label\none,a\none, two,a\n".encode(encoding) + "café,b\n".encode(encoding) * 1_000_000
    path = tmp_path / name
    path.write_bytes(gzip.compress(content, 1) if name.lower().endswith("gz") else content)
    for _ in range(5):
        command = [sys.executable, "-c", READ, str(path), encoding]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("error: row 1 (counted from 0): expected 2 fields as in the header, got 3: 'one,")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.CSV.GZ"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "UTF-8-SIG", "latin-1", "utf-16"])
def test_every_encoding_and_compression_gives_the_same_rows(tmp_path, monkeypatch, name, encoding):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    content = 'text,label\r\n"café, ""two""\r\nlines",a\r\n'.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    expected = [{"text": 'café, "two"\r\nlines', "label": "a"}]
    assert read(tmp_path / name, encoding=encoding).to_pylist() == expected
    assert [path.name for path in tmp_path.iterdir()] == [name], "the copy in UTF-8 is gone"


def test_a_header_alone_has_columns(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\n")
    table = read(tmp_path / "a.tsv")
    assert table.column_names == ["text", "label"]
    assert len(table) == 0


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"text,label\nx,a\n\ny\n", "utf-8", r"^row 1 \(counted from 0\): expected 2 fields as .*, got 1: 'y'"),
        (b"text,label\nx,a\n\xe9,a,b\n", "latin-1", "row 1 .*got 3: '\u00e9,a,b'"),
        (b"text,label\n" + b"x,a\n" * 9_000_000 + b"y\n", "utf-8", "row 9000000 .*got 1"),
        (
            b"text,label\nx,\xe9\n",
            "utf-8",
            "row 0 .*, column 'label': expected text in utf-8, got other bytes",
        ),
        (b"text,l\xe9\nx,a\n", "utf-8", "^expected text in utf-8, got other bytes; convert the file to UTF-8"),
        (b"text,label\ncaf\xe9,a\n", "ascii", "^expected text in ascii, got other bytes; convert"),
        ("text,label\nx,a\n".encode("utf-16"), "utf-8", "expected text in utf-8, got UTF-16; convert"),
        (b"", "utf-8", "expected a header and rows, got an empty file"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_what_is_wrong_is_one_sentence(tmp_path, content, encoding, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path / "a.csv", encoding=encoding)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", 'text,label\nx,a\n"open,a\n\nx,b\n"two,b\n', "3 to 6"),
        ("a.csv.gz", 'text,label\r\nx,a\r\n"open,a\r\n"two,b\r\n', "3 to 4"),
        ("a.csv", 'text,label\r"open,a\r"two,b\r', "2 to 3"),
        ("a.csv", 'text,label\n"two\nlines",a\nx,"open\ny,b\n', "4 to 5"),
        ("a.tsv", 'text\n"open\nx\n"two\n', "2 to 4"),
        ("a.tsv", 'text\tlabel\n"open\ta\nx"\ta\n', "2 to 3"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_quote_that_is_left_open_swallows_no_rows(tmp_path, name, content, lines, encoding):
    content = content.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=f"^lines {lines}: expected .*left open; [^\n]*$"):
        read(tmp_path / name, encoding=encoding)


def test_an_open_quote_far_below_the_first_rows_is_found_with_the_first_line_break(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 1 << 16)
    (tmp_path / "a.csv").write_text("text,label\n" + "x,a\n" * 50_000 + '"open,a\n"two,b\n')
    with pytest.raises(InputError, match=r"^lines 50002 to 50003: "):
        read(tmp_path / "a.csv")


def test_long_fields_with_line_breaks_and_quotes_are_whole(tmp_path):
    limit = csv.field_size_limit()
    texts = ["line\n" * limit, 'a ""b""\r\nc,\td', '5" of', "", "\n"]
    pd.DataFrame({"text": texts, "note": [1.5, 2, 3, 4, 5]}).to_csv(tmp_path / "a.csv", index=False)
    assert read(tmp_path / "a.csv")["text"].to_pylist() == texts
    assert csv.field_size_limit() == limit
