from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data import load_splits
from textmix.engine import predict, predict_logits
from textmix.models.build import build_model

CONFIG = Config(model=ModelConfig(embedding_dim=16, num_filters=8))


@pytest.fixture(scope="module")
def splits(topics):
    return load_splits(replace(CONFIG, data=DataConfig(path=str(topics))))


@pytest.fixture(scope="module")
def model(splits):
    torch.manual_seed(0)
    return build_model(CONFIG, splits)


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_every_row_once_in_its_place(splits, model, batch_size):
    model.train()
    got = predict_logits(Accelerator(), model, splits.test, batch_size)
    assert model.training  # left as it was
    model.eval()
    with torch.no_grad():
        alone = [model(splits.test.batch(np.array([row]))["input_ids"]).logits[0] for row in range(len(splits.test))]
    torch.testing.assert_close(got, torch.stack(alone), atol=1e-6, rtol=0)


def test_predictions_carry_labels_names_ids_and_texts(splits, model):
    got = predict(Accelerator(), model, splits.test, splits.label_names, 64)
    assert got.label_names == ("cooking", "music", "sailing")
    assert len(got.texts) == len(got.ids) == len(got) == 81
    assert np.array_equal(got.labels, splits.test.labels)
