import gzip
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textmix.data.readers import LABEL_NAMES, Wanted, read_file
from textmix.errors import InputError

WANTED = Wanted(text="text", pair=None, label="label")
ROWS = [{"text": "one", "label": "a"}, {"text": "NA", "label": "null"}, {"text": "007", "label": "1"}]
CSV = "text,label\none,a\nNA,null\n007,1\n"
TSV = CSV.replace(",", "\t")
LARGE = pa.schema([("text", pa.large_string()), ("label", pa.string())])
LINES = "\n".join(map(json.dumps, ROWS))


def write(path, content):
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path, wanted=WANTED):
    return pa.Table.from_batches(list(read_file(path, wanted))).to_pylist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("a.CSV", CSV),
        ("a.csv", "\n\n" + CSV + "\n\n"),
        ("a.csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("a.csv", "text,other,label\none,x,a\nNA,,null\n007,,1\n"),
        ("a.tsv", CSV.replace(",", "\t")),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("a.json", json.dumps(ROWS)),
        ("a.json", "\n" + json.dumps(ROWS, indent=2)),
        ("a.json", LINES),
        ("a.jsonl", "\ufeff" + LINES + "\n\n"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("a.parquet", pa.Table.from_pylist(ROWS)),
        ("ü ñ [a] *.parquet", pa.Table.from_pylist(ROWS).cast(LARGE)),
    ],
)  # fmt: skip
def test_every_kind_of_file_gives_the_same_rows(tmp_path, name, content):
    assert rows(write(tmp_path / name, content)) == ROWS


def test_quoted_fields_may_hold_anything(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"a, ""b""\n\nc",x\nhe said "hi",y\n😀 שלום 中国,z\n')
    assert [r["text"] for r in rows(path)] == ['a, "b"\n\nc', 'he said "hi"', "😀 שלום 中国"]


def test_a_text_of_ten_megabytes(tmp_path):
    assert len(rows(write(tmp_path / "a.csv", f"text,label\n{'x' * (10 << 20)},a\n"))[0]["text"]) == 10 << 20


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\ncafé,a\n"), ("a.jsonl", '{"text": "café", "label": "a"}')]
)
def test_the_encoding_is_an_option(tmp_path, encoding, name, content):
    path = write(tmp_path / name, content.encode(encoding))
    assert rows(path, Wanted("text", None, "label", encoding))[0]["text"] == "café"


def test_pairs_and_ids_are_read_where_they_are(tmp_path):
    path = write(tmp_path / "a.csv", "id,b,a,y\n7,two,one,x\n")
    assert rows(path, Wanted("a", "b", "y")) == [{"text": "one", "pair": "two", "label": "x", "id": "7"}]
    assert rows(path, Wanted("a", None, None)) == [{"text": "one", "id": "7"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,text\n7,x\n"),
        ("a.jsonl", '{"id": 7, "text": "x"}'),
        ("a.parquet", pa.table({"id": [7], "text": ["x"]})),
    ],
)
def test_a_column_id_may_have_another_role(tmp_path, name, content):
    assert rows(write(tmp_path / name, content), Wanted("text", None, "id")) == [{"text": "x", "label": "7"}]


def test_a_column_has_one_role(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"title": "x", "label": "a"}')
    with pytest.raises(InputError, match=r"a.jsonl: expected another column as text than as label, got 'label' for bo"):
        rows(path, Wanted(("text", "label"), None, "label"))


def test_any_number_is_an_id(tmp_path):
    table = pa.table({"text": ["x", "y"], "id": [1.5, 2.0]})
    parquet = rows(write(tmp_path / "a.parquet", table), Wanted("text", None, None))
    assert [row["id"] for row in parquet] == ["1.5", "2"]
    lines = '{"text": "x", "id": 1.5}\n{"text": "y", "id": 2.0}\n{"text": "z", "id": 7}\n{"text": "z", "id": true}'
    read = rows(write(tmp_path / "a.jsonl", lines), Wanted("text", None, None))
    assert [row["id"] for row in read] == ["1.5", "2", "7", "true"]


def test_nothing_stays_nothing_in_typed_files(tmp_path):
    lines = '{"text": null, "label": 1}\n{"text": "x"}\n{"text": 5, "label": true}'
    expected = [{"text": None, "label": "1"}, {"text": "x", "label": None}, {"text": "5", "label": "true"}]
    assert rows(write(tmp_path / "a.jsonl", lines)) == expected
    table = pa.table({"text": [None, "x"], "label": [1, None]})
    assert rows(write(tmp_path / "a.parquet", table)) == [{"text": None, "label": "1"}, {"text": "x", "label": None}]


def test_class_names_travel_in_the_schema(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    source = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    source.to_parquet(tmp_path / "a.parquet")
    (batch,) = read_file(tmp_path / "a.parquet", WANTED)
    assert batch.column("label").to_pylist() == ["yes", "no", None]
    assert json.loads(batch.schema.metadata[LABEL_NAMES]) == ["no", "yes"]


def table(text, label):
    return pa.table({"text": text, "label": label})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "expected a header and rows, got an empty file"),
        ("a.csv", "body,label\nx,a\n", r"expected a column 'text' \(data.text_column\), got \['body', 'label'\]"),
        ("a.csv", "text,y\nx,a\n", r"expected a column 'label' \(data.label_column\)"),
        ("a.csv", "text;label\nx;a\n", "separated otherwise"),
        ("a.csv", "text\tlabel\nx\ta\n", "separated otherwise"),
        ("a.tsv", "text,label\nx,a\n", "separated otherwise"),
        ("a.csv", "text,label,label\nx,a,b\n", r"\['label'\] more than once"),
        ("a.csv", CSV + "hello, world,a\n", "row 3 .counted from 0.: expected 2 fields .*, got 3: 'hello, world,a'"),
        ("a.csv", CSV + "hello\n", "row 3 .*expected 2 fields as in the header, got 1: 'hello'"),
        ("a.csv", CSV + '"open,a\nx,b\n', "row 3 .*put a field that holds a separator or a quote in quotes"),
        ("a.tsv", TSV + 'an "x\ta\n"open\tb\nx\ta\n"two" more\tb\n', "lines 6 to 8: .*left open"),
        ("a.tsv", "b\t" + TSV.replace("\n", "\n\t", 3) + '"open\tx\ta\nmore"\tx\ta\n', "lines 5 to 6: .*left open"),
        ("a.csv", 'b,text,label\n"open,x,a\n"two,x,a\n', "lines 2 to 3: .*left open"),
        ("a.csv", CSV.encode() + b"caf\xe9,a\n", "row 3 .*expected text in utf-8, got other bytes; set data.encoding"),
        ("a.csv", CSV.encode("utf-16"), "seems to be UTF-16, set data.encoding: utf-16"),
        ("a.csv", CSV + "x,a\n" * 70_000 + "a\0b,a\n", "row 70003 .*NUL byte"),
        ("a.csv", CSV + "x" * (66 << 20) + ",a\n", "rows of at most 32 MiB.*quote left open"),
        ("a.csv.gz", CSV, "can't be read .Not a gzipped file"),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0)[:-20], "can't be read"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-12], "can't be read"),
        ("a.jsonl", LINES + '\n{"text":\n', "row 3 .*expected a list of objects or one object a line"),
        ("a.jsonl", LINES + "\n3\n", "row 3 .*expected an object, got '3'"),
        ("a.json", json.dumps({"data": ROWS}), r"expected a column 'text' .*got \['data'\]"),
        ("a.json", "[" * 100_000, "row 0 .*expected a list of objects"),
        ("a.jsonl", '{"text": [1], "label": 1}', r"row 0 .*expected a string as text, got \['1'\]"),
        ("a.jsonl", '{"text": 1.5, "label": 1}', "row 0 .*expected a string as text, got 1.5"),
        ("a.jsonl", '{"text": "x", "label": 1.5}', "row 0 .*regression"),
        ("a.jsonl", '{"text": "x", "label": NaN}', "row 0 .*regression"),
        ("a.jsonl", '{"text": "x", "label": [1]}', "row 0 .*multi-label"),
        ("a.jsonl", '{"text": "x", "label": 1, "id": [1]}', "row 0 .*text or a number as id, .*drop or rename"),
        ("a.parquet", table(["x"], [1]).append_column("id", [[[1]]]), "numbers as id, got list.*drop or rename"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}', "row 0 .*surrogate"),
        ("a.jsonl", b'{"text": "\xe9", "label": 1}', "expected text in utf-8, got other bytes; set data.encoding"),
        ("a.parquet", "PAR1 and more", "Parquet"),
        ("a.parquet", "", "0 bytes"),
        ("a.parquet", table(["x", "y"], [0.5, 1.0]), "column 'label': .*regression"),
        ("a.parquet", table(["x", "y"], [[0], [1]]), "column 'label': .*multi-label"),
        ("a.parquet", table([1, 2], [0, 1]), "expected text in column 'text', got int64"),
        ("a.parquet", table([["x"], ["y"]], [0, 1]), "expected text in column 'text', got list"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_file(path, WANTED))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InputError, match=r"a.csv: can't be read"):
        list(read_file(tmp_path / "a.csv", WANTED))
