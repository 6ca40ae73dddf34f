import numpy as np
import pytest
import torch

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig
from textmix.data import load_splits
from textmix.data.noise import gaussian_images, random_texts


@pytest.fixture(scope="module")
def texts(topics):
    return load_splits(Config(data=DataConfig(path=str(topics))))


def test_random_texts_have_the_lengths_and_tokens_of_training(texts):
    noise = random_texts(texts.train, texts.processor, 2000, seed=3)
    assert len(noise) == 2000
    assert (noise.labels == -1).all()
    assert len(set(noise.ids)) == 2000
    share = np.bincount(texts.train.lengths, minlength=30) / len(texts.train)
    np.testing.assert_allclose(np.bincount(noise.lengths, minlength=30) / 2000, share, atol=0.04)
    used = np.unique(noise.tokens["input_ids"])
    assert set(used) <= set(texts.train.tokens["input_ids"].tolist())
    assert not set(used) & set(texts.processor.all_special_ids)
    counts = np.bincount(noise.tokens["input_ids"])[used]
    assert counts.max() < 2 * counts.min()  # uniform, not as frequent as in training


def test_random_texts_make_batches_and_can_be_read(texts):
    noise = random_texts(texts.train, texts.processor, 20, seed=3)
    batch = noise.batch(np.arange(20))
    assert batch["attention_mask"].sum(dim=1).tolist() == noise.lengths.tolist()
    row = int(noise.lengths.argmax())
    assert noise.texts[row] == texts.processor.decode(batch["input_ids"][row][: noise.lengths[row]])


def test_noise_depends_on_its_seed_alone(texts):
    first, again, other = (random_texts(texts.train, texts.processor, 50, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.tokens["input_ids"], again.tokens["input_ids"])
    assert list(first.texts) != list(other.texts)


@pytest.fixture(scope="module")
def digits():
    return load_splits(
        Config(
            data=DataConfig(path="packaged:digits", image_column="image"),
            model=ModelConfig(name="resnet20"),
            mixup=MixupConfig(site="input"),
        )
    )


def test_gaussian_images_are_standard_normal_to_the_model(digits):
    noise = gaussian_images(digits.train, digits.processor, 500, seed=3)
    batch = noise.batch(np.arange(500))
    assert (batch.pop("labels") == -1).all()
    pixels = noise.transform(batch, None)["pixel_values"]
    assert pixels.shape == (500, 3, 8, 8)
    torch.testing.assert_close(pixels.mean(dim=(0, 2, 3)), torch.zeros(3), atol=0.02, rtol=0)
    torch.testing.assert_close(pixels.std(dim=(0, 2, 3)), torch.ones(3), atol=0.02, rtol=0)
    rows = noise.batch(np.array([7, 3]))["pixel_values"]
    torch.testing.assert_close(rows, noise.batch(np.arange(8))["pixel_values"][[7, 3]], atol=0, rtol=0)
