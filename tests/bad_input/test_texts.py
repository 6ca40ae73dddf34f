"""Files of texts and labels that can't be trained on, and some that only look so."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_input_kit import ROWS, csv, refused, train

from textmix.cli import main

FILES = {
    # name: (bytes of the file, its suffix, flags, what the sentence says)
    "missing text column": (csv(header="body,label"), ".csv", [], "expected a column 'text'"),
    "missing label column": (csv(header="text,topic"), ".csv", [], "expected a column 'label'"),
    "named column missing": (csv(), ".csv", ["--data.text_column", "tweet"], "expected a column 'tweet'"),
    "missing pair column": (csv(), ".csv", ["--data.text_pair_column", "hypothesis"], "hypothesis"),
    "duplicate columns": (csv(header="text,label,label"), ".csv", [], "label"),
    "empty file": (b"", ".csv", [], "empty"),
    "header only": (b"text,label\n", ".csv", [], "expected at least one row"),
    "one class": (csv([("a b", "x")] * 20), ".csv", [], "class"),
    "missing label": (csv([*ROWS, ("no label", "")]), ".csv", [], "row 60"),
    "float labels": (csv([("a", "0.5"), ("b", "1.25")] * 20), ".csv", [], "regression"),
    "only empty texts": (csv([("", "a"), ("", "b")] * 20), ".csv", [], "empty"),
    "shifted columns": (csv([*ROWS, ("one, too", "many", "commas")]), ".csv", [], "row 60"),
    "latin-1": (csv() + "caf\xe9,music\n".encode("latin-1"), ".csv", [], "utf-8"),
    "tabs in a csv": (csv().replace(b",", b"\t"), ".csv", [], "tab"),
    "semicolons": (csv().replace(b",", b";"), ".csv", [], "separated"),
    "NUL bytes": (csv() + b"a\0b,music\n", ".csv", [], "NUL"),
    "unknown kind": (csv(), ".docx", [], "csv"),
    "broken gzip": (gzip.compress(csv())[:-20], ".csv.gz", [], ".csv.gz"),
    "broken json": (b'{"text": "a", "label": ', ".jsonl", [], ".jsonl"),
    "json of a list of numbers": (b"[1, 2]", ".json", [], ".json"),
    "no parquet": (b"PAR1 and nothing more", ".parquet", [], ".parquet"),
    "too many training examples": (csv(), ".csv", ["--data.train_examples", "1000"], "data.train_examples"),
    "class weights of another number": (csv(), ".csv", ["--loss.class_weights", "[1,2]"], "loss.class_weights"),
    "too much smoothing": (csv(), ".csv", ["--loss.label_smoothing", "0.9"], "loss.label_smoothing"),
    "unknown encoding": (csv(), ".csv", ["--data.encoding", "utf-99"], "data.encoding"),
    "vectors that are not there": (csv(), ".csv", ["--model.vectors", "glove.txt"], "glove.txt"),
    "tokenizer that is not there": (csv(), ".csv", ["--data.tokenizer", "no/such-model"], "data.tokenizer"),
    "model that is not there": (csv(), ".csv", ["--model.name", "pretrained", "--model.path", "no/such"], "model.path"),
    "unknown packaged model": (csv(), ".csv", ["--data.tokenizer", "packaged:bert"], "packaged:minilm"),
    "unknown site": (csv(), ".csv", ["--mixup.site", "embeding", "--mixup.alpha", "1"], "mixup.site"),
    "UTF-16": (csv().decode().encode("utf-16"), ".csv", [], "set data.encoding: utf-16"),
    "gzip in name only": (csv(), ".csv.gz", [], "Not a gzipped file"),
    "an open quote": (csv() + b'"open quote,music\n', ".csv", [], "row 60"),
    "json nested without end": (b"[" * 100_000, ".json", [], "recursion depth"),
    "json of columns": (json.dumps({"text": ["a"], "label": ["x"]}).encode(), ".json", [], "row 0"),
    "json that is not a number": (b'{"text":"a","label":NaN}\n', ".jsonl", [], "regression"),
    "json with a dictionary as label": (b'{"text":"a","label":{"a":1}}\n', ".jsonl", [], "row 0"),
    "json with half a surrogate pair": (b'{"text":"\\ud800","label":"a"}\n', ".jsonl", [], "surrogate"),
    "json with a raw NUL": (b'{"text":"a\0b","label":"a"}\n', ".jsonl", [], "row 0"),
    "an encrypted parquet": (b"PARE" + bytes(100) + b"PARE", ".parquet", [], "can't be read"),
    "three rows": (
        csv([("a", "x"), ("b", "y"), ("c", "x")]),
        ".csv",
        [],
        "expected at least two examples for validation",
    ),
    "an encoding of bytes": (csv(), ".csv", ["--data.encoding", "base64"], "data.encoding"),
    "no column for texts": (csv(), ".csv", ["--data.text_column", "[]"], "data.text_column"),
    "two sets of one name": (csv(), ".csv", ["--eval.ood", "[noise,noise]"], "eval.ood: expected sources whose names"),
    "vectors that are none": (csv(), ".csv", ["--model.vectors", "."], "model.vectors"),
    "hidden layer of a cnn": (csv(), ".csv", ["--mixup.site", "hidden:9", "--mixup.alpha", "1"], "mixup.site"),
}


@pytest.mark.parametrize("case", FILES, ids=lambda name: name.replace(" ", "-"))
def test_files(case, here, capsys):
    content, suffix, flags, message = FILES[case]
    path = here / f"däta file{suffix}"
    path.write_bytes(content)
    assert message in refused(train("--data.path", str(path), *flags), capsys, here)


COLUMNS = {
    "multi-label": (pa.array([["a", "b"], ["a"]] * 20), "multi-label"),
    "floats": (pa.array([0.5, 1.5] * 20), "regression"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_labels_of_other_tasks_are_refused_by_name(case, here, capsys):
    labels, message = COLUMNS[case]
    pq.write_table(pa.table({"text": ["one text", "another text"] * 20, "label": labels}), here / "data.parquet")
    assert message in refused(train("--data.path", "data.parquet"), capsys, here)


def test_a_label_that_only_the_test_set_has(here, capsys):
    (here / "data").mkdir()
    (here / "data" / "train.csv").write_bytes(csv())
    (here / "data" / "test.csv").write_bytes(csv([("salt", "cooking"), ("a poem", "poetry")]))
    told = refused(train("--data.path", "data"), capsys, here)
    assert "test.csv" in told
    assert "poetry" in told
    assert "row 1" in told


LABELS = [(f"word{i} and more", f"class {i:05d}") for i in range(10_000)] * 2
FINE = {
    "BOM": (b"\xef\xbb\xbf" + csv(), ".csv"),
    "CRLF": (csv().replace(b"\n", b"\r\n"), ".csv"),
    "CR": (csv().replace(b"\n", b"\r"), ".csv"),
    "emoji and right to left": (
        csv([("\N{GRINNING FACE} \u0645\u0631\u062d\u0628\u0627", "\u05d0"), ("b", "\N{GRINNING FACE}")] * 20),
        ".csv",
    ),
    "gzip": (gzip.compress(csv()), ".csv.gz"),
    "numbers as labels": (csv([("a b", "10"), ("c d", "2")] * 20), ".csv"),
    "NA and null": (csv([("NA", "null"), ("None", "NA")] * 20), ".csv"),
    "10 MB in one text": (csv([*ROWS, ("word " * 2_000_000, "music")]), ".csv"),
    "10,000 labels": (csv(LABELS), ".csv"),
    "labels that are paths and markup": (csv([("a b", "../../x"), ("c d", "<script>alert(1)</script>")] * 20), ".csv"),
    "truth values": (b'{"text":"a b","label":true}\n{"text":"c","label":false}\n' * 20, ".jsonl"),
}


@pytest.mark.parametrize("case", FINE, ids=lambda name: name.replace(" ", "-"))
def test_what_only_looks_bad_is_taken(case, here, capsys):
    content, suffix = FINE[case]
    path = here / f"a f\u00efle, \N{GRINNING FACE}{suffix}"
    path.write_bytes(content)
    small = ["--model.embedding_dim", "4", "--model.num_filters", "2", "--data.validation_fraction", "0.5"]
    assert main(["doctor", "--data.path", str(path), *small]) == 0, capsys.readouterr().err
