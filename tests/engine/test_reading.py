"""Reading batches: the same whoever reads them, by workers where asked, and never more than a few in memory."""

import os
import re
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from textmix.config import Config, DataConfig, EvalConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load
from textmix.data.images import load_image_splits
from textmix.engine.reading import read_batches
from textmix.errors import InputError
from textmix.train import run

CPU = torch.device("cpu")
CONFIG = Config(
    data=DataConfig(image_column="image", augment=("crop", "flip")),
    model=ModelConfig(name="resnet20", width=4),
    mixup=MixupConfig(site="input", alpha=0.3),
    train=TrainConfig(epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.01, threads=1, log_every=1),
    eval=EvalConfig(resamples=100, ood=("noise",)),
)


def of(path, config=CONFIG):
    return replace(config, data=replace(config.data, path=str(path)))


class Watched:
    """Pixels that write down which process asks for them."""

    def __init__(self, pixels, log: Path) -> None:
        self.pixels, self.log = pixels, log

    def __getitem__(self, rows):
        with self.log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return self.pixels[rows]


def test_workers_decode_and_give_the_same_batches(pictures, tmp_path):
    kept = load_image_splits(of(pictures)).train
    examples = load_image_splits(of(pictures), kept_bytes=0).train
    examples = replace(examples, pixels=Watched(examples.pixels, tmp_path / "who"))
    plan = list(np.random.default_rng(0).permutation(32).reshape(8, 4))
    alone, by_workers = (list(read_batches(examples, plan, CPU, workers)) for workers in (0, 2))
    for rows, one, other in zip(plan, alone, by_workers, strict=True):
        torch.testing.assert_close(one, kept.batch(rows), atol=0, rtol=0)
        torch.testing.assert_close(other, one, atol=0, rtol=0)
    who = [int(line) for line in (tmp_path / "who").read_text().split()]
    assert set(who[:8]) == {os.getpid()}
    assert len(set(who[8:])) == 2
    assert os.getpid() not in who[8:]


def test_reading_leaves_the_random_state_alone(pictures):
    examples = load_image_splits(of(pictures), kept_bytes=0).train
    before = torch.random.get_rng_state()
    list(read_batches(examples, [np.arange(3)], CPU, 1))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_in_between_is_named(tmp_path, workers):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    examples = load_image_splits(of(tmp_path), kept_bytes=0).train
    row = list(examples.ids).index(f"{tmp_path.name}/b/2.png")
    (tmp_path / "b" / "2.png").unlink()
    with pytest.raises(InputError) as caught:
        list(read_batches(examples, [np.array([row])], CPU, workers))
    assert re.fullmatch(
        r".*b/2\.png: can't be read any more \(No such file .*\).*same command again\.", str(caught.value)
    )


RESULTS = ("metrics.jsonl", "predictions/test.parquet", "predictions/ood_noise.parquet", "model/model.safetensors")


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    """A run whose images were decoded once, by one process, without a break."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(of(pictures), folder)
    return folder


def decoded_by_workers(pictures, monkeypatch, load_splits):
    monkeypatch.setitem(load._SPLITS, "images", load_splits)
    config = of(pictures)
    return replace(config, train=replace(config.train, workers=2))


def test_a_run_does_not_depend_on_who_decodes(pictures, whole, tmp_path, monkeypatch):
    run(decoded_by_workers(pictures, monkeypatch, partial(load_image_splits, kept_bytes=0)), tmp_path / "run")
    for name in RESULTS:
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


class Stopping:
    """Pixels that ask the training to stop as soon as a worker reads the image in row 5."""

    def __init__(self, pixels) -> None:
        self.pixels, self.trainer = pixels, os.getpid()

    def __getitem__(self, rows):
        if os.getpid() != self.trainer and 5 in rows:
            os.kill(self.trainer, signal.SIGTERM)
        return self.pixels[rows]


def test_stopped_while_workers_read_ahead_it_goes_on_exactly(pictures, whole, tmp_path, monkeypatch):
    def stopping(config):
        splits = load_image_splits(config, kept_bytes=0)
        return replace(splits, train=replace(splits.train, pixels=Stopping(splits.train.pixels)))

    config = decoded_by_workers(pictures, monkeypatch, stopping)
    with pytest.raises(SystemExit) as caught:
        run(config, tmp_path / "run")
    assert caught.value.code == 128 + signal.SIGTERM
    monkeypatch.setitem(load._SPLITS, "images", partial(load_image_splits, kept_bytes=0))
    run(config, tmp_path / "run")
    assert '"resume"' in (tmp_path / "run" / "timing.jsonl").read_text()
    for name in RESULTS:
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


def anonymous_memory() -> int:
    """Return the bytes this process holds of its own; pages of mapped files are not among them."""
    pages = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert pages is not None
    return 1024 * int(pages[1])


@pytest.fixture
def large(tmp_path) -> Path:
    """2,000 images of 128 x 128 pixels of noise in a parquet file: 98 MB encoded, and as much decoded."""
    rng = np.random.default_rng(0)
    header = b"P6 128 128 255\n"
    with pq.ParquetWriter(
        tmp_path / "train.parquet", pa.schema([("image", pa.binary()), ("label", pa.int64())])
    ) as file:
        for _ in range(20):
            images = [header + rng.bytes(128 * 128 * 3) for _ in range(100)]
            file.write_table(pa.table({"image": images, "label": pa.array([0, 1] * 50)}))
    return tmp_path / "train.parquet"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' account of memory")
def test_memory_does_not_grow_with_the_set(large):
    load_image_splits(of(large), kept_bytes=0)  # the first time it is copied and looked at, and libraries load
    before, most = anonymous_memory(), 0
    examples = load_image_splits(of(large), kept_bytes=0).train
    seen = 0
    for batch in read_batches(examples, list(np.arange(1800).reshape(-1, 20)), CPU, workers=0):
        seen += len(batch["labels"])
        most = max(most, anonymous_memory() - before)
    assert seen == 1800
    assert most < 25e6  # a quarter of the set, 25 batches
