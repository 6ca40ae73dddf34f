import json
import math
import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.engine import fit, predict_logits, seed_generators
from textmix.errors import RunError
from textmix.metrics import nll
from textmix.mixup import Mixup, draw
from textmix.models.build import build_model
from textmix.temperature import fit_temperature


@pytest.fixture
def config(topics):
    return Config(
        data=DataConfig(path=str(topics)),
        model=ModelConfig(embedding_dim=16, num_filters=8),
        mixup=MixupConfig(alpha=0),
        train=TrainConfig(epochs=4, batch_size=32, learning_rate=0.01),
    )


def train(config, folder, site="embedding"):
    splits = load_splits(config)
    seed_generators(config.seed)
    model = build_model(config, splits)
    folder.mkdir()
    return model, splits, fit(Accelerator(), model, Mixup(model, site), splits, config, folder)


def records(folder, event):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]


def test_it_learns_and_keeps_the_epoch_of_lowest_validation_nll(config, tmp_path):
    raw = replace(config, train=replace(config.train, select="nll"))
    model, splits, result = train(raw, tmp_path / "run")
    told = records(tmp_path / "run", "validation")
    assert [record["epochs"] for record in told] == [0, 1, 2, 3, 4]
    best = min(told[1:], key=lambda record: record["nll"])
    assert result.best_epoch == best["epochs"]
    assert best["accuracy"] > told[0]["accuracy"] + 0.2
    logits = predict_logits(Accelerator(), model, splits.validation, 64)
    assert nll(logits, splits.validation.labels) == pytest.approx(best["nll"], abs=1e-12)
    assert result.steps == 4 * math.ceil(301 / 32)


def test_the_last_epochs_are_those_that_max_steps_leaves(config, tmp_path):
    short = replace(config, train=replace(config.train, max_steps=13))  # of 10 in an epoch
    losses = {}
    for name, mixup in [
        ("all", MixupConfig(alpha=0.4)),
        ("first", MixupConfig(alpha=0.4, off_last_epochs=1)),
        ("none", MixupConfig(alpha=0)),
    ]:
        train(replace(short, mixup=mixup), tmp_path / name)
        losses[name] = [record["loss"] for record in records(tmp_path / name, "train")]
    assert losses["first"][0] == losses["all"][0] != losses["none"][0]
    assert losses["first"][-1] != losses["all"][-1]


def test_the_other_ways_to_choose(config, tmp_path):
    train_config = replace(config.train, select="last", learning_rate=0.2)
    _, _, last = train(replace(config, train=train_config), tmp_path / "last")
    assert last.best_epoch == 4
    _, _, result = train(replace(config, train=replace(train_config, select="accuracy")), tmp_path / "accuracy")
    told = records(tmp_path / "accuracy", "validation")[1:]
    assert told[result.best_epoch - 1]["accuracy"] == max(record["accuracy"] for record in told)


def test_by_default_the_epoch_of_lowest_nll_after_scaling(config, tmp_path):
    hot = replace(config.train, learning_rate=0.05, epochs=8)
    model, splits, result = train(replace(config, train=hot), tmp_path / "run")
    told = records(tmp_path / "run", "validation")[1:]
    best = min(told, key=lambda record: record["scaled_nll"])
    assert result.best_epoch == best["epochs"]
    assert best is not min(told, key=lambda record: record["nll"]), "the two must differ for this test to tell"
    logits = predict_logits(Accelerator(), model, splits.validation, 64)
    fitted = fit_temperature(logits, splits.validation.labels)
    assert nll(logits.double() / fitted.value, splits.validation.labels) == pytest.approx(best["scaled_nll"], abs=1e-9)


def test_patience_stops(config, tmp_path):
    patient = replace(config.train, epochs=50, patience=2, learning_rate=0.05)
    _, _, result = train(replace(config, train=patient), tmp_path / "run")
    assert result.epochs == result.best_epoch + 2 < 50


def test_max_steps_stops_within_an_epoch_and_validates(config, tmp_path):
    _, _, result = train(replace(config, train=replace(config.train, max_steps=13)), tmp_path / "run")
    assert (result.steps, result.epochs) == (13, 2)
    assert records(tmp_path / "run", "validation")[-1]["step"] == 13


def test_alpha_zero_with_mixup_attached_is_bit_identical_to_no_site(config, tmp_path):
    attached, _, _ = train(config, tmp_path / "attached")
    bare, _, _ = train(config, tmp_path / "bare", site="none")
    for name, value in attached.state_dict().items():
        assert torch.equal(value, bare.state_dict()[name]), name


def test_a_seed_repeats_a_run_and_another_does_not(config, tmp_path):
    mixed = replace(config, mixup=MixupConfig(alpha=0.4))
    first, _, _ = train(mixed, tmp_path / "first")
    again, _, _ = train(mixed, tmp_path / "again")
    other, _, _ = train(replace(mixed, seed=1), tmp_path / "other")
    assert (tmp_path / "first" / "metrics.jsonl").read_bytes() == (tmp_path / "again" / "metrics.jsonl").read_bytes()
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_confidences_are_saved_for_every_epoch(config, tmp_path):
    _, splits, _ = train(config, tmp_path / "run")
    told = records(tmp_path / "run", "validation")
    for record in told:
        table = pq.read_table(tmp_path / "run" / "epochs" / f"{record['epochs']:03d}.parquet")
        assert table.num_rows == len(splits.validation)
        assert np.mean(table["correct"].to_numpy()) == pytest.approx(record["accuracy"])
        assert np.mean(table["confidence"].to_numpy()) == pytest.approx(record["mean_confidence"], abs=1e-6)


def test_metrics_hold_no_times_and_timing_does(config, tmp_path):
    train(config, tmp_path / "run")
    keys = {key for record in records(tmp_path / "run", "train") for key in record}
    assert keys == {"event", "epoch", "step", "loss", "gradient_norm", "learning_rate"}
    timing = [json.loads(line) for line in (tmp_path / "run" / "timing.jsonl").read_text().splitlines()]
    assert timing.pop(0) == {"event": "start", "step": 0}
    assert all(record["examples_per_second"] > 0 for record in timing)


def test_a_loss_that_is_no_number_stops_the_run_and_says_where(config, tmp_path):
    wild = replace(config.train, optimizer="sgd", learning_rate=1e30, max_grad_norm=None)
    with pytest.raises(
        RunError, match=r"the loss is (nan|inf|-inf) at step \d+ \(epoch 1, lambda 1, learning rate 1e\+30\)"
    ):
        train(replace(config, train=wild), tmp_path / "run")


def test_the_learning_rate_it_says_is_that_of_the_step(config, tmp_path):
    """The record may be a few steps late, and the rate another by then."""
    wild = replace(
        config.train, optimizer="sgd", learning_rate=1e30, max_grad_norm=None, schedule="linear", log_every=7
    )
    with pytest.raises(RunError, match="at step ") as error:
        train(replace(config, train=wild), tmp_path / "run")
    step, rate = re.search(r"at step (\d+) .* learning rate (\S+)\)", str(error.value)).groups()
    assert int(step) % 7 != 0
    assert float(rate) == pytest.approx(1e30 * (1 - (int(step) - 1) / (4 * 10)), rel=1e-3)


def test_mixing_starts_and_ends_with_its_epochs():
    config = Config(mixup=MixupConfig(alpha=0.4, start_epoch=1, off_last_epochs=2), train=TrainConfig(epochs=5))
    assert [config.mixup.of_epoch(epoch, 5).alpha for epoch in range(5)] == [0, 0.4, 0.4, 0, 0]


def test_every_micro_batch_of_every_epoch_has_a_mix_of_its_own(config, tmp_path):
    """Numbered within its epoch, so that a run that goes on draws it again."""
    drawn = []

    class Noting(Mixup):
        @contextmanager
        def applied(self, mix, batch):
            drawn.append(mix.weight.item())
            with super().applied(mix, batch) as inputs:
                yield inputs

    config = replace(config, mixup=MixupConfig(alpha=1.0), train=replace(config.train, epochs=2, batch_size=100))
    config = replace(config, train=replace(config.train, gradient_accumulation_steps=2), seed=7)
    splits = load_splits(config)
    model = build_model(config, splits)
    (tmp_path / "run").mkdir()
    fit(Accelerator(), model, Noting(model), splits, config, tmp_path / "run")
    places = [(epoch, step, size) for epoch in (0, 1) for step, size in enumerate((100, 100, 100, 1))]
    expected = [draw(config.mixup, size, seed=(7, epoch, step, 0)).weight.item() for epoch, step, size in places]
    assert drawn == expected


def test_a_lstm_trains_mixed(config, tmp_path):
    lstm = replace(
        config, model=ModelConfig(name="lstm", embedding_dim=16, hidden_size=8), mixup=MixupConfig(alpha=0.4)
    )
    train(lstm, tmp_path / "run")
    told = records(tmp_path / "run", "validation")
    assert told[-1]["nll"] < told[0]["nll"]


def test_frozen_vectors_stay(config, tmp_path):
    frozen = replace(config, model=replace(config.model, freeze_vectors=True))
    splits = load_splits(frozen)
    seed_generators(frozen.seed)
    before = build_model(frozen, splits).embedding.weight.clone()
    model, _, _ = train(frozen, tmp_path / "run")
    assert torch.equal(model.embedding.weight, before)
