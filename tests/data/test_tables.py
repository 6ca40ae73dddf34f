import gzip

import pyarrow as pa
import pytest

from textmix.data.readers import Wanted
from textmix.data.tables import keep, read_files
from textmix.errors import InputError

WANTED = Wanted(text="text", pair=None, label="label")
CSV = "text,label\nx,a\ny,b\n"


def write(path, text):
    path.write_text(text)
    return path


def test_the_key_is_the_content_and_what_was_read_of_it(tmp_path):
    first = read_files("train", [write(tmp_path / "a.csv", CSV)], WANTED)
    assert len(first) == 2
    assert first.columns.to_pylist() == [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}]
    moved = read_files("test", [write(tmp_path / "b.csv", CSV)], WANTED)
    assert (moved.key, moved.name, moved.split) == (first.key, str(tmp_path / "b.csv"), "test")
    assert read_files("train", [tmp_path / "a.csv"], Wanted("text", None, None)).columns.column_names == ["text"]
    changed = read_files("train", [write(tmp_path / "a.csv", CSV + "z,c\n")], WANTED)
    assert (changed.key != first.key, len(changed)) == (True, 3)


def test_the_same_bytes_under_another_kind_are_read_anew(tmp_path):
    read_files("train", [write(tmp_path / "a.csv", CSV)], WANTED)
    with pytest.raises(InputError, match=r"Not a gzipped file"):
        read_files("train", [write(tmp_path / "a.csv.gz", CSV)], WANTED)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    assert len(read_files("train", [tmp_path / "a.csv.gz"], WANTED)) == 2


def test_files_of_a_split_follow_each_other(tmp_path):
    files = [write(tmp_path / f"{name}.csv", f"text,label\n{name},a\n") for name in "pq"]
    assert read_files("train", files, WANTED).columns["text"].to_pylist() == ["p", "q"]
    files.append(write(tmp_path / "r.csv", "id,text,label\n1,r,a\n"))
    with pytest.raises(InputError, match=r"expected the same columns in all files"):
        read_files("train", files, WANTED)


def test_no_rows_are_an_error_and_leave_nothing(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"a.csv: expected at least one row, got none"):
            read_files("train", [path], WANTED)


def test_an_unreadable_file(tmp_path):
    with pytest.raises(InputError, match=r"gone.csv: can't be read \(No such file"):
        read_files("train", [tmp_path / "gone.csv"], WANTED)


def test_declared_names_are_kept():
    batch = pa.RecordBatch.from_pydict({"text": ["x"], "label": ["b"]}).replace_schema_metadata(
        {"label_names": '["b", "a"]'}
    )
    assert keep("x", "train", ("declared",), lambda: iter([batch])).label_names == ("b", "a")
