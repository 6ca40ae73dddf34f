"""Bad input at the command line: exit code 2, one sentence that says where and what to do, nothing written."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textmix.cli import main

ROWS = [("salt in the oven", "cooking"), ("the tide at the mast", "sailing"), ("a chord", "music")] * 20


def csv(rows=ROWS, header="text,label") -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows)]).encode() + b"\n"


def parquet(path: Path, **columns) -> None:
    pq.write_table(pa.table(columns), path)


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
    "hidden layer of a cnn": (csv(), ".csv", ["--mixup.site", "hidden:9", "--mixup.alpha", "1"], "mixup.site"),
}


def refused(argv, capsys, folder) -> str:
    """Run a command that must be refused; return its sentence."""
    before = sorted(folder.rglob("*"))
    assert main(argv) == 2
    captured = capsys.readouterr()
    *told, last = captured.err.splitlines()
    assert last.startswith("error: ")
    assert not any(line.startswith(("Traceback", "error: ")) for line in told)
    assert len(last) < 700
    assert captured.out == ""
    assert sorted(folder.rglob("*")) == before, "something half-written was left behind"
    return last


def train(*flags) -> list[str]:
    return ["train", "--output_dir", "run", "--train.threads", "1", "--train.epochs", "1", *flags]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", FILES, ids=lambda name: name.replace(" ", "-"))
def test_files(case, here, capsys):
    content, suffix, flags, message = FILES[case]
    path = here / f"däta file{suffix}"
    path.write_bytes(content)
    assert message in refused(train("--data.path", str(path), *flags), capsys, here)


FLAGS = {
    "no such file": (["--data.path", "nothing.csv"], "nothing.csv"),
    "no such hub id": (["--data.path", "nobody/nothing"], "nobody/nothing"),
    "no such corpus": (["--data.path", "packaged:poems"], "packaged:tweets"),
    "an empty folder": (["--data.path", "empty"], "train"),
    "a link to itself": (["--data.path", "loop.csv"], "loop.csv"),
    "negative alpha": (["--mixup.alpha", "-1"], "mixup.alpha: expected a finite number >= 0, got -1.0."),
    "infinite alpha": (["--mixup.alpha", "inf"], "mixup.alpha"),
    "one row a batch": (["--mixup.alpha", "1", "--train.batch_size", "1"], "train.batch_size"),
    "no partner for the last epochs": (
        ["--mixup.alpha", "1", "--mixup.off_last_epochs", "10"],
        "mixup.off_last_epochs",
    ),
    "unknown key": (["--mixup.alfa", "1"], "did you mean mixup.alpha?"),
    "wrong type": (["--train.epochs", "many"], "train.epochs: expected an integer, got 'many'."),
    "no value": (["--train.epochs"], "train.epochs"),
    "unknown model": (["--model.name", "rnn"], "model.name: expected one of"),
    "a model without a path": (["--model.name", "pretrained"], "model.path"),
    "no such configuration": (["--config", "nothing.yaml"], "nothing.yaml"),
    "output over a file": (["--output_dir", "a-file"], "a-file"),
    "output among other files": (["--output_dir", "empty/.."], "other files"),
}


@pytest.mark.parametrize("case", FLAGS, ids=lambda name: name.replace(" ", "-"))
def test_flags(case, here, capsys):
    (here / "empty").mkdir()
    (here / "a-file").write_text("mine")
    (here / "loop.csv").symlink_to("loop.csv")
    flags, message = FLAGS[case]
    assert message in refused(train(*flags), capsys, here)


COLUMNS = {
    "multi-label": (pa.array([["a", "b"], ["a"]] * 20), "multi-label"),
    "floats": (pa.array([0.5, 1.5] * 20), "regression"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_labels_of_other_tasks_are_refused_by_name(case, here, capsys):
    labels, message = COLUMNS[case]
    parquet(here / "data.parquet", text=["one text", "another text"] * 20, label=labels)
    assert message in refused(train("--data.path", "data.parquet"), capsys, here)


def test_a_label_that_only_the_test_set_has(here, capsys):
    (here / "data").mkdir()
    (here / "data" / "train.csv").write_bytes(csv())
    (here / "data" / "test.csv").write_bytes(csv([("salt", "cooking"), ("a poem", "poetry")]))
    told = refused(train("--data.path", "data"), capsys, here)
    assert "test.csv" in told
    assert "poetry" in told
    assert "row 1" in told


def test_another_run_is_not_overwritten(here, capsys):
    (here / "run").mkdir()
    (here / "run" / "config.yaml").write_text("seed: 7\n")
    told = refused(train(), capsys, here)
    assert "calibration.bake is None there and False here" in told


def numbers(**changes):
    rng = np.random.default_rng(0)
    columns = {
        "id": [str(i) for i in range(9)],
        "label": ["a", "b", "a"] * 3,
        "logit_a": rng.normal(size=9),
        "logit_b": rng.normal(size=9),
    }
    return {name: values for name, values in {**columns, **changes}.items() if values is not None}


PREDICTIONS = {
    "nan": (numbers(logit_a=[np.nan, *range(8)]), [], "row 0"),
    "infinity": (numbers(logit_a=[*range(8), np.inf]), [], "row 8"),
    "unknown label": (numbers(label=["a", "b", "c"] * 3), [], "'c'"),
    "no label column": (numbers(label=None), [], "label"),
    "a prediction is no label": (numbers(label=None, prediction=["a"] * 9), [], "prediction"),
    "one class": (numbers(logit_b=None, label=["a"] * 9), [], "two classes"),
    "no logits": (numbers(logit_a=None, logit_b=None), [], "logit_"),
    "duplicate ids": (numbers(id=["x"] * 9), [], "id"),
    "no such column": (numbers(), ["--columns", "logit_a", "logit_z"], "logit_z"),
    "logits announced as probabilities": (numbers(), ["--from", "probabilities"], "prob_"),
    "probabilities that do not sum to 1": (
        numbers(prob_a=[0.5] * 9, prob_b=[0.6] * 9),
        ["--from", "probabilities"],
        "sum",
    ),
    "no rows": (
        numbers(
            **{
                name: pa.array([], pa.string() if name in {"id", "label"} else pa.float64())
                for name in ("id", "label", "logit_a", "logit_b")
            }
        ),
        [],
        "expected at least one example",
    ),
    "no bins": (numbers(), ["--bins", "0"], "bins: expected an integer in [1, 10000]"),
    "calibrated on a missing file": (numbers(), ["--calibrate-on", "none.parquet"], "none.parquet"),
    "calibrated on itself": (numbers(), ["--calibrate-on", "p.parquet"], "p.parquet"),
}


@pytest.mark.parametrize("case", PREDICTIONS, ids=lambda name: name.replace(" ", "-"))
def test_predictions(case, here, capsys):
    columns, flags, message = PREDICTIONS[case]
    parquet(here / "p.parquet", **columns)
    assert message in refused(["evaluate", "p.parquet", *flags], capsys, here)


@pytest.mark.parametrize(
    "argv", [["compare", "one"], ["compare", "one", "two"], ["report", "nothing"], ["fly"]], ids=str
)
def test_commands_without_what_they_need(argv, here, capsys):
    refused(argv, capsys, here)


def test_there_are_enough_cases():
    assert len(FILES) + len(FLAGS) + len(PREDICTIONS) >= 60
