"""Bad input at the command line: exit code 2, one sentence that says where and what to do, nothing written."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
    "a layer that is not there": (lambda _: None, ["--mixup.site", "hidden:9"], "with layers from 1 to 3"),
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
