"""Training the embeddings of the training tokens alone is training all of them."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from checkpoints_kit import checkpoint
from torch import nn

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits, used_token_ids
from textmix.engine import fit, rows, seed_generators
from textmix.engine.rows import trained_rows
from textmix.mixup import Mixup
from textmix.models.build import build_model
from textmix.models.example import proof_example
from textmix.models.padding import fit_padding

ROWS = 300
"""Of the tables, of which the texts use a third."""


def prepared(topics, folder, family="bert", **train):
    config = Config(
        data=DataConfig(path=str(topics), max_length=32),
        model=ModelConfig(name="pretrained", path=str(checkpoint(folder, family))),
        mixup=MixupConfig(alpha=0.4, clean_weight=0.5),
        train=TrainConfig(**{"epochs": 2, "batch_size": 32, "learning_rate": 0.01} | train),
    )
    splits = load_splits(config)
    seed_generators(0)
    model = build_model(config, splits)
    model.resize_token_embeddings(ROWS)
    return config, model, fit_padding(model, splits)


def fitted(topics, folder, family="bert", **train):
    """Return the table before and after a training, and whatever else was trained."""
    config, model, splits = prepared(topics, folder / "checkpoint", family, **train)
    table = model.get_input_embeddings().weight
    before = table.detach().clone()
    mixup = Mixup(model, example=proof_example(splits.train))
    (folder / "run").mkdir()
    fit(Accelerator(), model, mixup, splits, config, folder / "run")
    assert model.get_input_embeddings().weight is table
    return before, model.state_dict()


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2", "llama", "xlnet"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_ends_as_the_training_of_the_whole_table_does(topics, tmp_path, monkeypatch, family, optimizer):
    (tmp_path / "some").mkdir()
    (tmp_path / "all").mkdir()
    _, some = fitted(topics, tmp_path / "some", family, optimizer=optimizer)
    monkeypatch.setattr(rows, "_WORTHWHILE", 0.0)
    _, everything = fitted(topics, tmp_path / "all", family, optimizer=optimizer)
    assert some.keys() == everything.keys()
    for name, values in everything.items():
        # Adam turns the last digits of a gradient near zero into steps: 1e-4 is a hundredth of one.
        found, expected = (without_bias_of_keys(name, of) for of in (some[name], values))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4, msg=name)


def without_bias_of_keys(name, values):
    """Leave out what moves all scores of a query alike: its gradient is rounding alone, and Adam makes steps of it."""
    if name.endswith(("key.bias", "k_lin.bias")):
        return values[:0]
    return values.unflatten(0, (3, -1))[[0, 2]] if name.endswith("c_attn.bias") else values  # query, key, value


def test_the_other_rows_stay_as_they_are_and_the_model_predicts_with_all(topics, tmp_path):
    _, model, splits = prepared(topics, tmp_path)
    embedding = model.get_input_embeddings()
    table, before = embedding.weight, embedding.weight.detach().clone()
    used = torch.from_numpy(used_token_ids(splits.train, splits.processor))
    ids = torch.tensor([[int(used[5]), ROWS - 1]])
    with trained_rows(model, splits) as whole_table:
        assert embedding.weight.shape == (len(used), table.shape[1])
        torch.testing.assert_close(embedding(ids[:, :1]), before[ids[:, :1]])
        with torch.no_grad():
            embedding.weight += 1
        with whole_table():
            assert embedding.weight is table
            torch.testing.assert_close(embedding(ids), before[ids] + torch.tensor([[[1.0], [0.0]]]))
        assert len(embedding.weight) == len(used)
        with torch.no_grad():
            embedding.weight += 1
    assert embedding.weight is table
    changed = torch.zeros(ROWS, dtype=torch.bool)
    changed[used] = True
    torch.testing.assert_close(table.detach(), before + 2 * changed[:, None])
    assert not embedding._forward_pre_hooks


def test_padding_learns_nothing(topics, tmp_path):
    _, model, splits = prepared(topics, tmp_path)
    embedding = model.get_input_embeddings()
    assert embedding.padding_idx is not None
    padding = torch.tensor([embedding.padding_idx])
    with trained_rows(model, splits):
        embedding(torch.cat([padding, padding + 1])).sum().backward()
        assert embedding.weight.grad[embedding.padding_idx].abs().sum() == 0
        assert embedding.weight.grad.abs().sum() > 0


def unusual(model, how):
    embedding = model.get_input_embeddings()
    if how == "frozen":
        embedding.weight.requires_grad_(requires_grad=False)
    elif how == "shared":
        model.classifier.weight = embedding.weight
    elif how == "its own class":
        model.set_input_embeddings(type("Scaled", (nn.Embedding,), {})(*embedding.weight.shape))
    elif how == "with a largest norm":
        embedding.max_norm = 1.0
    else:
        model.get_input_embeddings = Mock(side_effect=NotImplementedError)  # as transformers says that it has none


@pytest.mark.parametrize("how", ["frozen", "shared", "its own class", "with a largest norm", "none"])
def test_a_table_that_is_more_than_looked_up_stays_whole(topics, tmp_path, how):
    _, model, splits = prepared(topics, tmp_path)
    unusual(model, how)
    before = dict(model.named_parameters())
    with trained_rows(model, splits):
        after = dict(model.named_parameters())
        assert before.keys() == after.keys()
        assert all(after[name] is before[name] for name in before)


def test_what_uses_all_rows_trains_all_rows(topics, tmp_path):
    _, model, splits = prepared(topics, tmp_path)
    model.resize_token_embeddings(len(splits.processor))
    table = model.get_input_embeddings().weight
    with trained_rows(model, splits):
        assert model.get_input_embeddings().weight is table


def test_a_stopped_run_goes_on_with_the_same_rows(topics, tmp_path):
    _, whole = fitted(topics, tmp_path, epochs=3)
    config, model, splits = prepared(topics, tmp_path / "again", epochs=3)
    (tmp_path / "stopped").mkdir()
    for stop in (10, None):  # ten steps are an epoch
        seed_generators(0)
        step = replace(config, train=replace(config.train, max_steps=stop, checkpoint_every=2))
        mixup = Mixup(model, example=proof_example(splits.train))
        fit(Accelerator(), model, mixup, splits, step, tmp_path / "stopped")
        mixup.remove()
    for name, values in whole.items():
        torch.testing.assert_close(model.state_dict()[name], values, atol=0, rtol=0, msg=name)
