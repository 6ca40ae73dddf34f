"""Fixtures that several test folders share."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from topics_kit import topic_texts, write_csv

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# What the tests tokenise stays out of the user's cache. Set before huggingface_hub is imported, which reads it once.
os.environ["HF_ASSETS_CACHE"] = tempfile.mkdtemp(prefix="textmix-tests-")
atexit.register(shutil.rmtree, os.environ["HF_ASSETS_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def topics(tmp_path_factory) -> Path:
    """A folder with train.csv (301 rows), validation.csv (60) and test.csv (81) of texts about three topics."""
    folder = tmp_path_factory.mktemp("topics")
    for seed, (split, count) in enumerate([("train", 301), ("validation", 60), ("test", 81)]):
        write_csv(folder / f"{split}.csv", topic_texts(count, seed))
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder <split>/<class>/<image> of noise, 32 x 32 pixels, in two brightnesses: 32 to train, 8 for each other."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("validation", 4), ("test", 4)):
        for name, brightest in (("dark", 100), ("light", 256)):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, brightest, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i:02d}.png")
    return folder
