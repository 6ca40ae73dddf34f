import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig
from textmix.data.images import load_image_splits, load_images
from textmix.errors import InputError

CIFAR = Path(__file__).parents[4] / "shared" / "data" / "cifar10"


def config(path, **data):
    return Config(
        data=DataConfig(path=str(path), **{"image_column": "image", **data}),
        model=ModelConfig(name="resnet20"),
        mixup=MixupConfig(site="input"),
    )


def picture(seed, size=(12, 12), mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def folder(root, counts, **options):
    """Write `<class>/<number>.png` for the counts of each class."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(int.from_bytes(f"{root.name}{name}{i}".encode()), **options).save(root / name / f"{i:03d}.png")
    return root


def encoded(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def write_parquet(path, images, labels, names=None):
    table = pa.table({
        "img": pa.array([{"bytes": image, "path": None} for image in images],
                        pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "label": pa.array(labels),
    })  # fmt: skip
    features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {} if names is None else {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.fixture
def pictures(tmp_path):
    folder(tmp_path / "set" / "train", {"cat": 20, "dog": 30})
    folder(tmp_path / "set" / "test", {"cat": 3, "dog": 4})
    return tmp_path / "set"


def test_a_folder_of_images(pictures):
    splits = load_image_splits(config(pictures))
    assert splits.label_names == ("cat", "dog")
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [45, 5, 7]
    assert np.bincount(splits.validation.labels).tolist() == [2, 3]
    assert splits.test.ids[3] == "test/dog/000.png"
    batch = splits.test.batch(np.array([3, 0]))
    expected = np.asarray(Image.open(pictures / "test" / "dog" / "000.png"))
    assert batch["labels"].tolist() == [1, 0]
    np.testing.assert_array_equal(batch["pixel_values"][0].permute(1, 2, 0), expected)
    assert batch["pixel_values"].dtype == torch.uint8


def test_a_folder_of_classes_is_all_train(tmp_path):
    splits = load_image_splits(config(folder(tmp_path / "set", {"a": 20, "b": 20})))
    assert len(splits.train) == 36
    assert splits.test is None


def test_hidden_files_are_no_images(pictures):
    for name in ("._000.png", ".copies/001.png"):
        (pictures / "train" / "cat" / name).parent.mkdir(exist_ok=True)
        (pictures / "train" / "cat" / name).write_text("x")
    assert len(load_image_splits(config(pictures)).train) == 45


def test_statistics_come_from_train_alone(pictures):
    splits = load_image_splits(config(pictures))
    pixels = splits.train.batch(np.arange(45))["pixel_values"].double() / 255
    np.testing.assert_allclose(splits.processor.image_mean, pixels.mean(dim=(0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(splits.processor.image_std, pixels.std(dim=(0, 2, 3), correction=0), atol=1e-12)
    standard = splits.train.transform(splits.train.batch(np.arange(45)), None)["pixel_values"]
    torch.testing.assert_close(standard.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert splits.test.standard == splits.train.standard


@pytest.mark.parametrize("sizes", [{}, {"image_size": 8}, {"image_size": 8, "resize": 10}])
def test_the_saved_processor_does_what_training_did(pictures, sizes, tmp_path):
    from transformers import AutoImageProcessor

    splits = load_image_splits(config(pictures, **sizes))
    splits.processor.save_pretrained(tmp_path / "model")
    loaded = AutoImageProcessor.from_pretrained(tmp_path / "model")
    files = [pictures / splits.test.ids[i] for i in range(7)]
    theirs = loaded([Image.open(file).convert("RGB") for file in files], return_tensors="pt")["pixel_values"]
    ours = splits.test.transform(splits.test.batch(np.arange(7)), None)["pixel_values"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_augmentation_is_seeded_and_for_training_only(pictures):
    examples = load_image_splits(config(pictures, augment=("crop", "flip"))).train
    batch = {"pixel_values": examples.batch(np.arange(9))["pixel_values"]}
    clean = examples.transform(batch, None)["pixel_values"]
    first, again, other = (examples.transform(batch, (0, 0, step, 0))["pixel_values"] for step in (5, 5, 6))
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first, other)
    assert not torch.equal(first, clean)
    assert all(shown.is_contiguous(memory_format=torch.channels_last) for shown in (clean, first))
    torch.testing.assert_close(examples.transform(batch, None)["pixel_values"], clean, atol=0, rtol=0)


def test_decoded_for_every_batch_gives_the_same(pictures):
    kept, read = (load_image_splits(config(pictures, image_size=8), kept_bytes=limit) for limit in (10**9, 0))
    rows = np.array([4, 40, 7])
    assert read.processor.image_mean == kept.processor.image_mean
    for name, value in kept.train.batch(rows).items():
        torch.testing.assert_close(read.train.batch(rows)[name], value, atol=0, rtol=0)

    class Batches(torch.utils.data.Dataset):
        def __getitem__(self, rows):
            return read.train.batch(rows)

    loader = DataLoader(Batches(), sampler=[rows], batch_size=None, num_workers=1)
    torch.testing.assert_close(next(iter(loader)), kept.train.batch(rows), atol=0, rtol=0)


def test_grey_palette_and_transparent_images_become_rgb(tmp_path):
    for i, mode in enumerate(["L", "P", "RGBA", "LA", "1", "CMYK"]):
        (tmp_path / "train" / mode).mkdir(parents=True)
        for j in range(2):
            image = picture(2 * i + j, mode=mode)
            image.save(tmp_path / "train" / mode / f"{j}.{'jpg' if mode == 'CMYK' else 'png'}")
    transparent = picture(50, mode="P")
    transparent.save(tmp_path / "train" / "P" / "2.png", transparency=3)
    splits = load_image_splits(config(tmp_path))
    grey = splits.train.labels == splits.label_names.index("L")
    pixels = splits.train.batch(np.flatnonzero(grey))["pixel_values"]
    assert pixels.shape[1] == 3
    assert torch.equal(pixels[:, 0], pixels[:, 2])


@pytest.mark.parametrize("inside", ["", "data"])
def test_parquet_with_declared_classes(tmp_path, inside):
    images = [encoded(picture(i)) for i in range(40)]
    (tmp_path / inside).mkdir(exist_ok=True)
    write_parquet(tmp_path / inside / "train.parquet", images, [i % 2 for i in range(40)], ["dog", "cat"])
    write_parquet(tmp_path / inside / "test.parquet", images[:3], [0, 1, 1], ["dog", "cat"])
    (tmp_path / inside / "._test.parquet").write_text("x")
    splits = load_image_splits(config(tmp_path, image_column="img"))
    assert splits.label_names == ("dog", "cat")
    assert splits.test.ids[1] == "test-1"
    assert splits.notes["shared_test"] == 3
    np.testing.assert_array_equal(splits.test.batch(np.array([2]))["pixel_values"][0].permute(1, 2, 0), picture(2))


def test_a_corrupt_image_is_named_and_counted_or_left_out(pictures):
    for name in ("dog/004.png", "cat/001.png"):
        file = pictures / "train" / name
        file.write_bytes(file.read_bytes()[:200])
    whole = config(pictures, validation_fraction=0.02)
    with pytest.raises(
        InputError, match=r"train/cat/001\.png: can't be read \(.*\), as 2 of the 49 images.*skip_corrupt"
    ):
        load_image_splits(whole)
    for limit in (10**9, 0):
        splits = load_image_splits(replace(whole, data=replace(whole.data, skip_corrupt=True)), kept_bytes=limit)
        assert len(splits.train) == 47
        assert splits.notes["corrupt_train"] == 2
        assert "train/dog/004.png" not in list(splits.train.ids)
        row = list(splits.train.ids).index("train/dog/005.png")
        expected = np.asarray(Image.open(pictures / "train" / "dog" / "005.png"))
        np.testing.assert_array_equal(splits.train.batch(np.array([row]))["pixel_values"][0].permute(1, 2, 0), expected)


def test_images_of_another_size_need_image_size(pictures):
    picture(1, size=(14, 12)).save(pictures / "train" / "dog" / "999.png")
    with pytest.raises(InputError, match=r"999\.png: expected 12 x 12 pixels .* got 14 x 12; set data\.image_size"):
        load_image_splits(config(pictures))
    assert load_image_splits(config(pictures, image_size=10)).train.size == (10, 10)


def test_deep_colours_are_refused(pictures):
    deep = Image.fromarray(np.full((12, 12), 40_000, np.uint16))
    deep.save(pictures / "train" / "cat" / "000.png")
    with pytest.raises(InputError, match=r"000\.png: can't be read \(expected 8 bits a colour, got mode I;16\)"):
        load_image_splits(config(pictures, validation_fraction=0.01))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: (root / "train" / "eel").mkdir(), r"train/eel: expected images of the class 'eel', found none"),
        (lambda root: folder(root / "test", {"eel": 1}), r"expected a label of the training split, got 'eel'"),
        (lambda root: (root / "train").rename(root / "learn"), r"expected a folder 'train' \(data.train_split\)"),
    ],
)
def test_folders_that_do_not_fit(pictures, make, message):
    make(pictures)
    with pytest.raises(InputError, match=message):
        load_image_splits(config(pictures))


def test_a_split_without_images(pictures):
    (pictures / "validation").mkdir()
    with pytest.raises(InputError, match=r"validation: expected one folder of images for each class, found none"):
        load_image_splits(config(pictures))


@pytest.mark.parametrize(
    ("labels", "names", "columns", "message"),
    [
        (
            [0, 1, 2, 1],
            ["dog", "cat"],
            {},
            r"column 'label': expected labels in \[0, 2\), for which it has names, got 2",
        ),
        ([0, 1, 0, 1], None, {"image_column": "picture"}, r"expected a column 'picture' \(data.image_column\), got"),
        ([0, 1, 0, 1], None, {"image_column": "label", "label_column": "img"}, "column 'label': expected images"),
        ([0.5, 1.5, 0.5, 1.5], None, {}, "regression is not supported"),
    ],
)
def test_parquet_that_does_not_fit(tmp_path, labels, names, columns, message):
    file = write_parquet(tmp_path / "a.parquet", [encoded(picture(i)) for i in range(4)], labels, names)
    with pytest.raises(InputError, match=message):
        load_image_splits(config(file, **{"image_column": "img", **columns}))


def test_a_column_of_ids_names_the_images(tmp_path):
    file = write_parquet(tmp_path / "a.parquet", [encoded(picture(i)) for i in range(20)], [0, 1] * 10)
    table = pq.read_table(file)
    pq.write_table(table.append_column("id", pa.array(range(100, 120))), file)
    splits = load_image_splits(config(file, image_column="img"))
    ids = [*splits.train.ids, *splits.validation.ids]
    assert sorted(ids) == [str(number) for number in range(100, 120)]
    assert all(int(name) % 2 == label for name, label in zip(splits.train.ids, splits.train.labels, strict=True))
    pq.write_table(table.append_column("id", pa.array([[number] for number in range(20)])), file)
    with pytest.raises(InputError, match=r"a\.parquet: expected text or numbers as id, got list"):
        load_image_splits(config(file, image_column="img"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("packaged:tweets", "data.path: expected packaged:digits for images, got 'packaged:tweets'"),
        ("https://me:hf_secret@hub/x", "data.path: expected a parquet file.* a Hub id, got a URL; download it first"),
        ("/dev/zero", "/dev/zero: expected a file or a folder, got a pipe or a device"),
        ("./nowhere", r"data.path: expected a parquet file, a folder of images or a Hub id, found no '\./nowhere'"),
    ],
)
def test_sources_that_are_not_there(path, message):
    with pytest.raises(InputError, match=message):
        load_image_splits(config(path))


def test_a_csv_holds_no_images(tmp_path):
    (tmp_path / "train.csv").write_text("image,label\na.png,0\n")
    with pytest.raises(InputError, match=r"expected images in a parquet file or in a folder, got '\.csv'"):
        load_image_splits(config(tmp_path / "train.csv"))


def test_the_digits_are_all_there_and_always_divided_alike():
    splits = load_image_splits(config("packaged:digits"))
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [1437, 180, 180]
    assert splits.label_names == tuple("0123456789")
    ids = [*splits.train.ids, *splits.validation.ids, *splits.test.ids]
    assert len(set(ids)) == 1797
    from sklearn.datasets import load_digits

    row = int(splits.test.ids[7].removeprefix("digits-"))
    pixels = splits.test.batch(np.array([7]))["pixel_values"][0, 0]
    np.testing.assert_array_equal(np.rint(pixels.numpy() * (16 / 255)), load_digits().images[row])
    assert splits.test.labels[7] == load_digits().target[row]


def test_other_images_are_sized_and_standardised_as_the_run_s(pictures):
    run = config(pictures, image_size=10)
    splits = load_image_splits(run)
    digits = load_images("packaged:digits", run, splits.processor)
    assert len(digits) == 180
    assert digits.size == (10, 10)
    assert (digits.labels == -1).all()
    assert digits.standard == splits.train.standard
    assert digits.batch(np.arange(3))["pixel_values"].shape == (3, 3, 10, 10)


def test_other_images_may_have_another_column(tmp_path, pictures):
    file = write_parquet(tmp_path / "a.parquet", [encoded(picture(i)) for i in range(4)], [0.5] * 4)
    run = config(pictures)
    assert len(load_images(str(file), run, load_image_splits(run).processor)) == 4


@pytest.mark.skipif(not CIFAR.exists(), reason="../shared/data/cifar10 is not here")
def test_cifar():
    splits = load_image_splits(config(CIFAR, image_column="img"))
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [9000, 1000, 5000]
    assert splits.label_names[:2] == ("airplane", "automobile")
    assert splits.train.size == (32, 32)
    assert 0.4 < splits.processor.image_mean[0] < 0.6
