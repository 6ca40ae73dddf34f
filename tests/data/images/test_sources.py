import io

import datasets
import numpy as np
from PIL import Image

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data.images import load_image_splits


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
