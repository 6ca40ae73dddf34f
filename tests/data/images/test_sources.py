import io

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data.images import load_image_splits
from textmix.errors import InputError


def png(grey):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (grey, grey, grey)).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


def load(path, **data):
    options = {"image_column": "image", **data}
    return load_image_splits(Config(data=DataConfig(path=str(path), **options), model=ModelConfig(name="resnet20")))


def shades(examples):
    """Return the different values of the pixels of `examples`."""
    return np.unique(examples.batch(np.arange(len(examples)))["pixel_values"]).tolist()


def rows_of(**columns):
    """Return a set of the columns of images, given as shades of grey, with labels that take turns."""
    images = {name: [png(grey) for grey in greys] for name, greys in columns.items()}
    labels = [i % 2 for i in range(len(next(iter(images.values()))))]
    names = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features(dict.fromkeys(images, datasets.Image()) | {"label": names})
    return datasets.Dataset.from_dict({**images, "label": labels}, features=features)


def test_a_saved_data_set_has_its_splits(tmp_path):
    saved = {"train": rows_of(image=[7] * 20), "val": rows_of(image=[9, 11])}
    datasets.DatasetDict(saved).save_to_disk(tmp_path)
    splits = load(tmp_path)
    assert [shades(splits.train), shades(splits.validation), splits.test] == [[7], [9, 11], None]
    assert (splits.label_names, list(splits.validation.ids)) == (("no", "yes"), ["val-0", "val-1"])


def test_a_saved_data_set_without_splits_is_all_train(tmp_path):
    rows_of(image=[7] * 20).save_to_disk(tmp_path)
    assert [len(load(tmp_path).train), len(load(tmp_path).validation)] == [18, 2]


def test_a_data_set_that_is_saved_again_is_looked_at_again(tmp_path):
    for grey in (10, 200):
        (tmp_path / "x.png").write_bytes(png(grey)["bytes"])
        rows = datasets.Dataset.from_dict({"image": [str(tmp_path / "x.png")] * 20, "label": ["a", "b"] * 10})
        rows.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "set")
        assert shades(load(tmp_path / "set").train) == [grey]


def test_every_column_of_images_has_its_own_pixels(tmp_path):
    rows_of(front=[10] * 20, back=[200] * 20).save_to_disk(tmp_path)
    for column, grey in (("front", 10), ("back", 200), ("front", 10)):
        assert shades(load(tmp_path, image_column=column).train) == [grey]


def write_paths(path, images):
    """Write a parquet file that names the files of its images, and does not hold them."""
    paths = pa.array([{"bytes": None, "path": str(image)} for image in images])
    pq.write_table(pa.table({"image": paths, "label": ["ab"[i % 2] for i in range(len(images))]}), path)
    return path


def test_images_that_a_parquet_file_only_names_are_looked_at_again_when_they_change(tmp_path):
    image = tmp_path / "x.png"
    file = write_paths(tmp_path / "train.parquet", [image] * 20)
    for grey in (10, 200):
        image.write_bytes(png(grey)["bytes"])
        assert shades(load(file).train) == [grey]
    image.unlink()
    with pytest.raises(InputError, match=r"expected images, got 18 that can't be read"):
        load(file)
    image.write_bytes(png(30)["bytes"])
    assert shades(load(file).train) == [30]


def test_a_link_to_an_image_that_is_gone(tmp_path):
    for i in range(20):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[i % 2] / f"{i}.png").write_bytes(png(i)["bytes"])
    (tmp_path / "a" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match=r"gone\.png: can't be read \(No such file or directory\), as 1 of"):
        load(tmp_path, validation_fraction=0.05)


@pytest.mark.parametrize("twice", ["image", "label", "id"])
def test_a_column_that_is_there_twice(tmp_path, twice):
    names = ["image", "label", "id"]
    columns = {"image": pa.array([png(7)] * 4), "label": pa.array(["a", "b"] * 2), "id": pa.array(range(4))}
    table = pa.Table.from_arrays([columns[name] for name in [*names, twice]], [*names, twice])
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(InputError, match=rf"train\.parquet: expected every column once, got \['{twice}'\] more than"):
        load(tmp_path)


def test_a_column_id_of_labels(tmp_path):
    pq.write_table(pa.table({"image": [png(7)] * 20, "id": ["a", "b"] * 10}), tmp_path / "train.parquet")
    splits = load(tmp_path, label_column="id")
    assert (splits.label_names, splits.train.ids[0]) == (("a", "b"), "train-0")
    with pytest.raises(InputError, match=r"expected another column as image than as label, got 'image' for both"):
        load(tmp_path, label_column="image")


def test_a_damaged_parquet_file_is_named_in_one_line(tmp_path):
    table = pa.table({"image": [png(grey) for grey in range(20)], "label": ["a", "b"] * 10})
    for i in range(2):
        pq.write_table(table, tmp_path / f"train-{i}-of-2.parquet")
    damaged = tmp_path / "train-1-of-2.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:4] + b"\xff" * 56 + content[60:])
    with pytest.raises(InputError, match=r"train-1-of-2\.parquet: can't be read \(.*\); write it again\.") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
