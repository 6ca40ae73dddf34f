"""Folders and tables of images that can't be trained on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_input_kit import refused, train
from PIL import Image

from textmix.cli import main


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
    "a column of labels": (no_rows, ["--data.image_column", "label"], "another column as image than as label"),
    "a column of texts": (
        no_rows, ["--data.image_column", "label", "--data.label_column", "image"], "column 'label': expected images",
    ),
    "a network for texts": (lambda _: None, ["--model.name", "lstm"], "model.name: expected one of vgg16"),
    "mixed embeddings": (lambda _: None, ["--mixup.site", "embedding"], "mixup.site: expected input (the pixels)"),
    "a layer that is not there": (
        lambda _: None, ["--mixup.site", "hidden:9", "--data.validation_fraction", "0.2"], "with layers from 1 to 3",
    ),
}  # fmt: skip
ON_IMAGES = [
    "--data.path", "pictures", "--data.image_column", "image", "--model.name", "resnet20", "--model.width", "4",
    "--mixup.site", "input", "--mixup.alpha", "0.3",
]  # fmt: skip


@pytest.mark.parametrize("case", IMAGES, ids=lambda name: name.replace(" ", "-"))
def test_images(case, here, capsys):
    spoil, flags, message = IMAGES[case]
    pictures(here / "pictures" / "train")
    pictures(here / "pictures" / "test", seed=1, count=3)
    spoil(here / "pictures")
    split = ["--data.validation_fraction", "0.01"]  # one image: the spoilt ones stay in train
    assert message in refused(train(*ON_IMAGES, *split, *flags), capsys, here)


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
