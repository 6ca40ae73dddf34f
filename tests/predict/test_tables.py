import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textmix.errors import InputError
from textmix.predict.tables import read_tables, writing

TABLE = pa.table({
    "text": ['a "quoted", one', "two\nlines", "", "\u00e4\u00f6 \u4f60", None],
    "count": [1, 2, 3, 4, None],
    "note": ["NA", "null", "007", "1e5", "2020-01-01"],
})  # fmt: skip


def write(path, table):
    with writing(path, table.schema) as append:
        append(table.slice(0, 2))
        append(table.slice(2))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_what_is_written_is_read_again_in_windows(tmp_path, suffix, rows):
    write(tmp_path / f"a{suffix}", TABLE)
    windows = list(read_tables(tmp_path / f"a{suffix}", rows, "utf-8"))
    assert max(map(len, windows)) <= rows
    assert pa.concat_tables(windows).to_pylist() == TABLE.to_pylist()
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 1.5],
        [[[1]], [], [[2.7]]],
        [{"a": 1}, {"a": 2}, {"a": 1.5, "b": True}],
        [[{"a": 1}], [], [{"a": 1, "b": {"c": 2}}, {"d": None}]],
        [None, None, {"a": ["late"]}],
        [2**53 + 1, 0, -(2**63)],
    ],
)
def test_what_only_a_later_row_holds_is_passed_through(tmp_path, values):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"n": value}) + "\n" for value in values) + '{"later": 1}\n')
    windows = list(read_tables(path, 2, "utf-8"))
    assert {table.schema for table in windows} == {windows[0].schema}
    read = pa.concat_tables(windows)
    assert read["later"].to_pylist() == [None, None, None, 1]
    assert [without_nulls(value) for value in read["n"].to_pylist()] == [*map(without_nulls, values), None]


def without_nulls(value):
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_text_files_are_passed_through_letter_by_letter(tmp_path, suffix, delimiter):
    write(tmp_path / f"a{suffix}", TABLE)
    windows = pa.concat_tables(read_tables(tmp_path / f"a{suffix}", 2, "utf-8")).to_pydict()
    assert windows["note"] == TABLE["note"].to_pylist()
    assert windows["text"][:4] == TABLE["text"].to_pylist()[:4]
    assert windows["count"] == ["1", "2", "3", "4", ""]
    read = pd.read_csv(tmp_path / f"a{suffix}", sep=delimiter, keep_default_na=False)
    assert read["text"].tolist()[:4] == TABLE["text"].to_pylist()[:4]


def test_a_file_of_another_encoding_is_read_as_such(tmp_path):
    (tmp_path / "a.csv").write_bytes("text\ncaf\u00e9\n".encode("latin-1"))
    (tmp_path / "a.jsonl").write_bytes('{"text": "caf\u00e9"}\n'.encode("latin-1"))
    for name in ("a.csv", "a.jsonl"):
        assert next(read_tables(tmp_path / name, 9, "latin-1"))["text"].to_pylist() == ["caf\u00e9"]
        with pytest.raises(InputError, match="set --encoding"):
            list(read_tables(tmp_path / name, 9, "utf-8"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "expected a header and rows, got an empty file"),
        ("a.csv", "text,b\n", "expected at least one row, got none"),
        ("a.csv", "text,b\nx,1\ny\n", r"row 1 \(counted from 0\): expected 2 fields as in the header, got 1"),
        ("a.csv", 'text,b\n"open,1\nx,2\n"two,3\n', r"^\S+ lines 2 to 4: .*left open"),
        ("a.tsv", 'text\tb\nx\t1\n"open\t2\ny\t3\n"two" z\t4\n', r"^\S+ lines 3 to 5: .*left open"),
        ("a.jsonl", "", "expected at least one row, got none"),
        ("a.jsonl", '{"text": "x"}\n{"text": }\n', r"line 2: expected a JSON object, got '{\"text\": }'"),
        ("a.jsonl", '{"text": "x"}\n["y"]\n', "line 2: expected a JSON object"),
        ("a.jsonl", '{"n": 1}\n\n{"n": "two"}\n', "lines 1 to 3: expected values of one kind under 'n'"),
        ("a.jsonl", '{"n": 1}\n\n{"n": 2}\n{"n": "3"}\n', "lines 4 to 4: .*'n' in all lines.*int64 vs string"),
        ("a.jsonl", '{"n": 1.5}\n{"n": true}\n', "lines 1 to 2: .*'n' in all lines.*true or false among numbers"),
        ("a.jsonl", '{"n": 1.5}\n{"n": 1}\n{"n": true}\n', "lines 3 to 3: .*'n' in all lines.*double vs bool"),
        ("a.jsonl", '{"n": [{"m": 1.5}]}\n{"n": [{}, {"m": false}]}\n', "lines 1 to 2: .*true or false among"),
        ("a.jsonl", '{"n": 1}\n{"n": 2}\n{"n": {"m": 3}}\n', "lines 3 to 3: .*int64 vs struct"),
        ("a.jsonl", '{"n": 0.5}\n{"n": 1}\n{"n": 9007199254740993}\n', "lines 3 to 3: .*9007199254740993"),
        ("a.parquet", "no parquet", "a.parquet"),
        ("a.txt", "x", "expected one of .parquet, .csv, .tsv, .jsonl"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as error:
        list(read_tables(tmp_path / name, 2, "utf-8"))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.csv: expected a file of texts, found none\."):
        list(read_tables(tmp_path / "a.csv", 2, "utf-8"))


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path):
    def fail():
        with writing(tmp_path / "a.csv", TABLE.schema) as append:
            append(TABLE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())


def test_columns_that_a_kind_of_file_can_not_hold_are_refused(tmp_path):
    nested = pa.table({"text": ["x"], "tags": [["a", "b"]]})
    write(tmp_path / "a.jsonl", nested)
    assert json.loads((tmp_path / "a.jsonl").read_text())["tags"] == ["a", "b"]
    with pytest.raises(InputError, match=r"a.csv: can't be written"):
        write(tmp_path / "a.csv", nested)


@pytest.mark.parametrize("field", ["a\tx\nb", "two\nlines,\ra\ttab"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_tsv_file_that_could_not_be_read_again_is_not_written(tmp_path, field, kind):
    table = pa.table({"count": [1, 2, 3], "text": pa.array([None, "x", field], pa.string()).cast(kind)})
    with pytest.raises(InputError, match=r"^output: expected no tab beside a line break.*'text'.*jsonl or parquet"):
        write(tmp_path / "a.tsv", table)
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a.csv", table)
    assert next(read_tables(tmp_path / "a.csv", 9, "utf-8"))["text"].to_pylist()[2] == field


def test_types_of_parquet_stay(tmp_path):
    table = pa.table(
        {"text": ["x"], "when": pa.array([0], pa.timestamp("ms")), "kind": pa.array(["u"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert next(read_tables(tmp_path / "a.parquet", 9, "utf-8")).schema.types == table.schema.types
