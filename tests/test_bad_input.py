"""Bad input at the command line: exit code 2, one sentence that says where and what to do, nothing written."""

import gzip
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

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
    "a path that is too long": (["--data.path", "a" * 5000], "too long"),
    "an output that is too long": (["--output_dir", "a" * 300], "too long"),
    "nobody's home": (["--data.path", "~nobody-is-here/x.csv"], "home folder"),
    "a pipe": (["--data.path", "pipe.csv"], "pipe.csv: expected a file or a folder, got a pipe or a device"),
    "a device": (["--data.path", "/dev/zero"], "/dev/zero: expected a file or a folder, got a pipe or a device"),
    "a file that can't be read": (
        ["--data.path", "unreadable.csv"],
        "unreadable.csv: can't be read (Input/output error)",
    ),
    "a folder called like a file": (["--data.path", "folder.csv"], "folder.csv: expected files such as train.csv"),
    "bytes that are no text": (["--data.path", "caf\udce9.csv"], "UTF-8"),
    "a NUL in a path": (["--data.path", "a\0.csv"], "without NUL"),
    "a URL with a token": (["--data.path", "https://me:hf_secret@hub/x"], "got a URL; download it first"),
    "a text of a million bins": (
        ["--eval.bins", "1000000"],
        "eval.bins: expected an integer in [1, 10000], got 1000000.",
    ),
    "a number beyond all": (["--data.max_length", "9" * 30], "data.max_length"),
    "a thousand processes": (["--train.workers", "9999"], "train.workers"),
    "a list for a section": (["--config", "list.yaml"], "data: expected options as `key: value`, got []."),
    "null for a number": (["--config", "null.yaml"], "null.yaml: data.split_seed: expected a value, got null"),
    "a key twice": (["--config", "twice.yaml"], "twice.yaml: train.epochs: expected every key once, got it twice"),
    "aliases of aliases": (["--config", "bomb.yaml"], "bomb.yaml: expected at most 20 aliases"),
    "brackets without end": (["--config", "deep.yaml"], "deep.yaml: expected options"),
    "a configuration of bytes": (["--config", "bytes.yaml"], "bytes.yaml: expected YAML in UTF-8"),
    "an empty configuration": (
        ["--config", "empty.yaml"],
        "empty.yaml: expected options as `key: value`, got nothing.",
    ),
    "a configuration that includes itself": (["--config", "self.yaml"], "self.yaml"),
    "a configuration that runs code": (["--config", "code.yaml"], "code.yaml"),
    "a Hub id of three parts": (["--export.push_to_hub", "a/b/c"], "export.push_to_hub: expected a Hub id"),
    "output over a file": (["--output_dir", "a-file"], "a-file"),
    "output among other files": (["--output_dir", "empty/.."], "other files"),
}


YAML = {
    "list": b"data: []",
    "null": b"data:\n  split_seed: null\n",
    "twice": b"train:\n  epochs: 1\n  batch_size: 8\n  epochs: 2\n",
    "bomb": b"a: &a [1, 1]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)),
    "deep": b"[" * 5000,
    "bytes": b"\xff\xfe\0",
    "empty": b"",
    "self": b"config: self.yaml",
    "code": b"seed: !!python/object/apply:os.system ['touch hacked']",
}


@pytest.mark.parametrize("case", FLAGS, ids=lambda name: name.replace(" ", "-"))
def test_flags(case, here, capsys):
    (here / "empty").mkdir()
    (here / "a-file").write_text("mine")
    (here / "loop.csv").symlink_to("loop.csv")
    (here / "unreadable.csv").symlink_to("/proc/self/mem")  # for root, too
    (here / "folder.csv").mkdir()
    os.mkfifo(here / "pipe.csv")
    for name, text in YAML.items():
        (here / f"{name}.yaml").write_bytes(text)
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


def pictures(root: Path, seed=0, count=12, mode="RGB") -> Path:
    """Write `<class>/<number>.png` of noise for two classes."""
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).convert(mode).save(root / name / f"{i:02d}.png")
    return root


def of_images(root, labels, names):
    """Write images with labels, and the names of the classes, as data sets on the Hub have them."""
    files = sorted(root.rglob("*.png"))[: len(labels)]
    images = pa.array([{"bytes": file.read_bytes(), "path": None} for file in files])
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table({"image": images, "label": pa.array(labels, pa.int64())}).replace_schema_metadata(metadata)


def cut(root):
    for name in ("train/cat/03.png", "train/dog/05.png"):
        (root / name).write_bytes((root / name).read_bytes()[:100])


def another_size(root):
    Image.new("RGB", (9, 8)).save(root / "train" / "dog" / "99.png")


def beyond_the_classes(root):
    table = of_images(root, [0, 1, 2, 1] * 5, ["cat", "dog"])
    shutil.rmtree(root)
    root.mkdir()
    pq.write_table(table, root / "train.parquet")


def no_rows(root):
    whole = of_images(root, [0, 1] * 10, ["cat", "dog"])
    shutil.rmtree(root)
    root.mkdir()
    pq.write_table(whole, root / "train.parquet")
    pq.write_table(whole.slice(0, 0), root / "test.parquet")


IMAGES = {
    # name: (what is done to a good folder, flags, what the sentence says)
    "a corrupt image": (cut, [], "cat/03.png: can't be read (image file is truncated"),
    "corrupt images are counted": (cut, [], "as 2 of the 23 images of pictures/train; mend or remove them, or set"),
    "no image at all": (lambda root: (root / "test/dog/02.png").write_text("hello"), [], "test/dog/02.png: can't be"),
    "images of two sizes": (another_size, [], "dog/99.png: expected 8 x 8 pixels as the first image has, got 9 x 8"),
    "an empty class": (lambda root: (root / "train/eel").mkdir(), [], "train/eel: expected images of the class 'eel'"),
    "a class that only test has": (lambda root: (root / "test/dog").rename(root / "test/eel"), [], "got 'eel'"),
    "a split without classes": (lambda root: (root / "validation").mkdir(), [], "validation: expected one folder"),
    "a split without images": (
        lambda root: (root / "validation/cat").mkdir(parents=True), [],
        "validation: expected images in the folders of its classes, found none",
    ),
    "a table without images": (no_rows, [], "test.parquet: expected at least one row, got none"),
    "labels out of range": (beyond_the_classes, [], "expected labels in [0, 2), for which it has names, got 2"),
    "a column of texts": (no_rows, ["--data.image_column", "label"], "column 'label': expected images"),
    "a network for texts": (lambda _: None, ["--model.name", "lstm"], "model.name: expected one of vgg16"),
    "mixed embeddings": (lambda _: None, ["--mixup.site", "embedding"], "mixup.site: expected input (the pixels)"),
    "a layer that is not there": (
        lambda _: None, ["--mixup.site", "hidden:9", "--data.validation_fraction", "0.2"], "with layers from 1 to 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", IMAGES, ids=lambda name: name.replace(" ", "-"))
def test_images(case, here, capsys):
    spoil, flags, message = IMAGES[case]
    pictures(here / "pictures" / "train")
    pictures(here / "pictures" / "test", seed=1, count=3)
    spoil(here / "pictures")
    split = ["--data.validation_fraction", "0.01"]  # one image: the spoilt ones stay in train
    assert message in refused(train(*ON_IMAGES, *split, *flags), capsys, here)


ON_IMAGES = [
    "--data.path", "pictures", "--data.image_column", "image", "--model.name", "resnet20", "--model.width", "4",
    "--mixup.site", "input", "--mixup.alpha", "0.3",
]  # fmt: skip


def test_corrupt_images_are_left_out_on_request(here):
    pictures(here / "pictures" / "train")
    cut(here / "pictures")
    assert main(train(*ON_IMAGES, "--data.skip_corrupt", "--eval.resamples", "100")) == 0
    summary = json.loads((here / "run" / "summary.json").read_text())
    assert summary["notes"]["corrupt_train"] + summary["notes"]["corrupt_validation"] == 2
    assert summary["sizes"]["train"] + summary["sizes"]["validation"] == 22


def test_images_of_every_kind_and_size_are_brought_to_one(here):
    pictures(here / "pictures" / "train")
    for mode in ("L", "LA", "P", "RGBA", "1"):
        for i in range(3):
            size = (5 + i, 11 - i)
            Image.new("RGB", size, (40 * i, 200, 9)).convert(mode).save(here / f"pictures/train/dog/{mode}-{i}.png")
    assert main(train(*ON_IMAGES, "--data.image_size", "8", "--eval.resamples", "100")) == 0
    assert json.loads((here / "run" / "summary.json").read_text())["sizes"] == {"train": 35, "validation": 4}


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
    assert "calibration.bake is None there and True here" in told


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
    "bytes as labels": (numbers(label=[b"a", b"\xff", b"a"] * 3), [], "no UTF-8"),
    "lists as ids": (numbers(id=[[1]] * 9), [], "expected text in column 'id'"),
    "lists as logits": (numbers(logit_a=[[1.0]] * 9), [], "expected numbers in column logit_a"),
    "an index beyond the classes": (numbers(label=[0, 1, 5] * 3), ["--columns", "logit_a", "logit_b"], "rows 2, 5, 8"),
    "an index beyond all": (
        numbers(label=["9" * 30] * 9),
        ["--columns", "logit_a", "logit_b"],
        "expected a label in [0, 2)",
    ),
    "a class twice": (numbers(), ["--columns", "logit_a", "logit_a"], "--columns"),
    "a name that is too long": (numbers(), ["--output_dir", "a" * 300], "too long"),
    "an output below a file": (numbers(), ["--output_dir", "p.parquet/x"], "p.parquet/x"),
    "resamples without end": (numbers(), ["--resamples", "9" * 20], "resamples: expected an integer in"),
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


def archive(**arrays) -> bytes:
    path = Path("made.npz")
    np.savez(path, **arrays)
    content = path.read_bytes()
    path.unlink()
    return content


AB = {"logit_a": np.zeros(2), "logit_b": np.ones(2)}
OTHERS = {
    # name: (suffix, bytes of the file or what makes them, what the sentence says)
    "words among numbers": ("csv", b"label,logit_a,logit_b\na,1,2\nb,2,x\n", "row 1 (counted from 0): expected a num"),
    "decimal commas": ("csv", b'label,logit_a,logit_b\na,"1,5",2\n', "decimal point in column 'logit_a', got '1,5'"),
    "a short row": ("csv", b"label,logit_a,logit_b\na,1\n", "row 0 (counted from 0): expected 3 fields"),
    "semicolons": ("csv", b"label;logit_a;logit_b\na;1;2\n", "a csv file needs commas"),
    "latin-1": ("csv", "label,logit_a,logit_b\ncaf\xe9,1,2\n".encode("latin-1"), "UTF-8"),
    "UTF-16": ("csv", "label,logit_a,logit_b\na,1,2\n".encode("utf-16"), "got UTF-16"),
    "nothing": ("csv", b"", "expected a header and rows, got an empty file"),
    "NUL": ("csv", b"label,logit_a,logit_b\na\0,1,2\n", "row 0"),
    "1e400": ("csv", b"label,logit_a,logit_b\na,1e400,2\n", "row 0 (counted from 0): expected finite logits"),
    "half an object": ("jsonl", b'{"label": "a", "logit_a": 1, "logit_b": 2}\n{"label": ', "row 1 (counted from 0)"),
    "a list": ("jsonl", b"[1, 2]\n", "row 0 (counted from 0): expected one JSON object a line"),
    "brackets without end": ("jsonl", b"[" * 100_000, "row 0"),
    "numbers as text": ("jsonl", b'{"label":"a","logit_a":"1","logit_b":"2"}\n', "expected numbers in column logit_a"),
    "a missing logit": ("jsonl", b'{"label":"a","logit_a":1,"logit_b":2}\n{"label":"a","logit_a":1}\n', "row 1"),
    "a dictionary as label": ("jsonl", b'{"label":{"x":1},"logit_a":1,"logit_b":2}\n', "text in column 'label'"),
    "no archive": ("npz", b"hello", "expected what numpy.savez wrote"),
    "an empty archive": ("npz", b"PK\5\6" + bytes(18), "label"),
    "Python objects": ("npz", lambda: archive(label=np.array(["a", None], object), **AB), "Python objects"),
    "complex numbers": ("npz", lambda: archive(label=["a", "b"], **AB | {"logit_a": np.zeros(2) * 1j}), "complex"),
    "a table": ("npz", lambda: archive(label=["a", "b"], logit_a=np.zeros((2, 2)), logit_b=np.ones(2)), "1-D"),
    "bytes": ("npz", lambda: archive(label=[b"a", b"\xff"], **AB), "UTF-8"),
    "half a parquet": ("parquet", b"PAR1" + bytes(40), "can't be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS, ids=lambda name: name.replace(" ", "-"))
def test_predictions_of_others(case, here, capsys):
    suffix, content, message = OTHERS[case]
    (here / f"p.{suffix}").write_bytes(content if isinstance(content, bytes) else content())
    told = refused(["evaluate", f"p.{suffix}"], capsys, here)
    assert told.startswith(f"error: p.{suffix}: ")
    assert message in told


# What looks bad and is not: an answer, in a moment.

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


# Damaged runs and models.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, which tests copy."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "ok.csv").write_bytes(csv())
    argv = ["train", "--data.path", str(folder / "ok.csv"), "--output_dir", str(folder / "run"), "--train.epochs", "1",
            "--model.embedding_dim", "4", "--model.num_filters", "2", "--eval.resamples", "100",
            "--train.threads", "1"]  # fmt: skip
    assert main(argv) == 0
    return folder, argv


def write(name, content):
    return lambda run: (run / name).write_bytes(content)


def folder_instead(name):
    def change(run):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.mkdir()

    return change


REPORT, TRAIN, COMPARE = ["report", "run"], None, ["compare", "run", "other"]
RUNS = {
    # name: (what is done to the run, command, what the sentence says)
    "an empty summary": (write("summary.json", b""), REPORT, "run/summary.json: expected JSON"),
    "a summary that is a list": (write("summary.json", b"[]"), REPORT, "run/summary.json: expected a JSON object"),
    "a summary without anything": (write("summary.json", b"{}"), REPORT, "run: expected summary.json"),
    "a summary of nulls": (write("summary.json", b'{"test": null}'), REPORT, "run: expected summary.json"),
    "a summary of brackets": (write("summary.json", b"[" * 100_000), REPORT, "run/summary.json: expected JSON"),
    "a summary that is a folder": (folder_instead("summary.json"), REPORT, "run/summary.json"),
    "a configuration that is a list": (write("config.yaml", b"- 1"), REPORT, "run/config.yaml"),
    "a configuration of texts": (write("config.yaml", b"data: x\nmodel: y\n"), REPORT, "run: expected summary.json"),
    "a configuration with numbers as keys": (write("config.yaml", b"1: 2\na: {2: 3}\n"), REPORT, "run/config.yaml"),
    "a record of junk": (write("metrics.jsonl", b"{]"), REPORT, "run/metrics.jsonl"),
    "a record of bytes": (write("metrics.jsonl", b"\xff"), REPORT, "run/metrics.jsonl"),
    "half a line of the record": (write("metrics.jsonl", b'{"event": "vali'), REPORT, "run/metrics.jsonl"),
    "predictions of junk": (
        write("predictions/validation.parquet", b"PAR1"),
        REPORT,
        "run/predictions/validation.parquet",
    ),
    "an epoch of junk": (write("epochs/001.parquet", b"x"), REPORT, "run/epochs/001.parquet"),
    "a run compared that has no summary": (lambda run: (run / "summary.json").unlink(), COMPARE, "run/summary.json"),
    "a run compared with a date": (write("config.yaml", b"a: 2020-01-01\n"), COMPARE, "run/config.yaml"),
    "a run compared with junk": (
        write("predictions/validation.parquet", b""),
        COMPARE,
        "run/predictions/validation.parquet",
    ),
    "going on with a summary of nothing": (write("summary.json", b"{}"), TRAIN, "run: expected summary.json"),
    "going on with a configuration of bytes": (write("config.yaml", b"\xff"), TRAIN, "run/config.yaml"),
    "going on with brackets without end": (write("config.yaml", b"[" * 3000), TRAIN, "run/config.yaml"),
    "going on with another configuration": (
        write("config.yaml", b"seed: 7\n"),
        TRAIN,
        "holds a run with another configuration",
    ),
}


@pytest.mark.parametrize("case", RUNS, ids=lambda name: name.replace(" ", "-"))
def test_damaged_runs(case, here, capsys, finished):
    folder, argv = finished
    change, command, message = RUNS[case]
    shutil.copytree(folder / "run", here / "run")
    shutil.copytree(folder / "run", here / "other")
    change(here / "run")
    there = [word.replace(str(folder / "run"), "run") for word in argv]
    assert message in refused(command or there, capsys, here)


MODELS = {
    "a configuration of junk": write("config.json", b"{]"),
    "a configuration that is a list": write("config.json", b"[]"),
    "weights of junk": write("model.safetensors", b"junk"),
    "no weights": lambda model: (model / "model.safetensors").unlink(),
    "weights with an endless header": write("model.safetensors", b"\xff" * 100),
    "a tokenizer of junk": write("tokenizer.json", b"{}"),
    "no tokenizer": lambda model: (model / "tokenizer.json").unlink(),
    "settings of the tokenizer that are a list": write("tokenizer_config.json", b"[]"),
    "a size that is a word": lambda model: edit(model / "config.json", embedding_dim="x"),
    "a size below zero": lambda model: edit(model / "config.json", embedding_dim=-1),
    "an unknown architecture": lambda model: edit(model / "config.json", model_type="zzz"),
    "another task": lambda model: edit(model / "config.json", problem_type="regression"),
}


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("case", MODELS, ids=lambda name: name.replace(" ", "-"))
def test_damaged_models(case, here, capsys, finished):
    folder, _ = finished
    shutil.copytree(folder / "run" / "model", here / "model")
    MODELS[case](here / "model")
    argv = ["predict", "--model", "model", "--input", str(folder / "ok.csv"), "--output", "out.csv"]
    assert "'model'" in refused(argv, capsys, here)


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


@pytest.mark.parametrize(
    "dump",
    [lambda path: path.write_bytes(pickle.dumps(Evil(), protocol=2)), lambda path: torch.save(Evil(), path)],
    ids=["pickle", "torch"],
)
def test_weights_that_would_run_code_are_refused_without_a_hint_how_to_run_it(dump, here, capsys, finished):
    folder, _ = finished
    shutil.copytree(folder / "run" / "model", here / "model")
    (here / "model" / "model.safetensors").unlink()
    dump(here / "model" / "pytorch_model.bin")
    argv = ["predict", "--model", "model", "--input", str(folder / "ok.csv"), "--output", "out.csv"]
    told = refused(argv, capsys, here)
    assert "which is not run; save them as safetensors" in told
    assert "weights_only" not in told
    assert not (here / "hacked").exists()


IN_THE_WAY = [
    "metrics.jsonl",
    "timing.jsonl",
    "checkpoints",
    "epochs",
    "predictions",
    "model",
    "report.html",
    "README.md",
]


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_stands_in_the_way_of_a_run_is_named(name, here, capsys, finished):
    folder, argv = finished
    shutil.copytree(folder / "run", here / "run")
    path = here / "run" / name
    (here / "run" / "summary.json").unlink()
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("a file")
    else:
        path.unlink()
        path.mkdir()
        (path / "inside").touch()
    code = main([word.replace(str(folder / "run"), "run") for word in argv])
    told = capsys.readouterr().err.splitlines()[-1]
    assert code in (0, 2), told
    if code:
        assert told.startswith("error: run/")
        assert "move it away" in told


INPUTS = {
    "a column twice": (".csv", b"text,text\na,b\n", "every column once"),
    "a short row": (".csv", b"text,x\na,b\nc\n", "row 1 (counted from 0): expected 2 fields"),
    "latin-1": (".csv", "text\ncaf\xe9\n".encode("latin-1"), "set --encoding"),
    "the name of what is added": (".csv", b"text,confidence\na,1\n", "rename them"),
    "brackets without end": (".jsonl", b"[" * 100_000, "line 1: expected a JSON object"),
    "a number beyond all": (".jsonl", b'{"text":"a","x":' + b"9" * 30 + b"}", "expected values of one kind under 'x'"),
    "a number of 6,000 digits": (".jsonl", b'{"text":"a","x":' + b"9" * 6000 + b"}", "line 1"),
    "kinds that change": (
        ".jsonl",
        b'{"text":"a","x":1}\n{"text":"b","x":"y"}\n',
        "expected values of one kind under 'x'",
    ),
    "numbers as texts": (".jsonl", b'{"text":3}\n', "expected text in column 'text'"),
    "half a parquet": (".parquet", b"PAR1abcPAR1", "can't be read"),
    "nothing": (".csv", b"", "expected a header and rows, got an empty file"),
}


@pytest.mark.parametrize("case", INPUTS, ids=lambda name: name.replace(" ", "-"))
def test_inputs_of_predict(case, here, capsys, finished):
    suffix, content, message = INPUTS[case]
    (here / f"in{suffix}").write_bytes(content)
    argv = ["predict", "--model", str(finished[0] / "run"), "--input", f"in{suffix}", "--output", "out.csv"]
    told = refused(argv, capsys, here)
    assert told.startswith(f"error: in{suffix}: ")
    assert message in told


def test_there_are_enough_cases():
    assert sum(map(len, (FILES, FLAGS, PREDICTIONS, OTHERS, RUNS, MODELS, INPUTS, IN_THE_WAY))) >= 150
