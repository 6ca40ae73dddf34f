"""Memory that is too small: the same steps in smaller pieces, exactly, and told."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.engine import fit, seed_generators
from textmix.engine.memory import divided
from textmix.engine.steps import MicroBatch, Window
from textmix.errors import RunError
from textmix.mixup import Mixup, draw
from textmix.models.build import build_model


class Killed(BaseException):
    """Stands for a process that ends without a word."""


@pytest.fixture(scope="module")
def config(topics):
    return Config(
        data=DataConfig(path=str(topics), train_examples=288),
        model=ModelConfig(embedding_dim=8, num_filters=4),
        mixup=MixupConfig(alpha=0.4, clean_weight=0.5),
        train=TrainConfig(epochs=2, batch_size=16, gradient_accumulation_steps=3, learning_rate=0.01, log_every=2,
                          checkpoint_every=1, length_buckets=False, auto_batch=True),
    )  # fmt: skip


@pytest.fixture(scope="module")
def splits(config):
    return load_splits(config)


def allocate_too_much():
    """Really fail to allocate: nobody has 2^60 bytes."""
    torch.empty(2**60, dtype=torch.uint8)


def train(config, splits, folder, *, tokens=None, rows=None, late=False, kill_at=0):
    """Train where a batch may have so many tokens or rows, and no more; return the model, the result and the forwards.

    :param late: fail after dropout has drawn its mask, instead of before.
    """
    seed_generators(config.seed)
    model = build_model(config, splits)
    folder.mkdir(exist_ok=True)
    seen = []

    def look(_module, _args, inputs):
        if model.training:
            seen.append(tuple(inputs["input_ids"].shape))
            if len(seen) == kill_at:
                raise Killed
            if not late:
                check()

    def check(*_):
        b, width = seen[-1]
        if (tokens and b * width > tokens) or (rows and b > rows):
            allocate_too_much()

    model.register_forward_pre_hook(look, with_kwargs=True)
    if late:
        model.classifier.register_forward_pre_hook(lambda *_: check() if model.training else None)
    mixup = Mixup(model, "embedding" if config.mixup.active else "none")
    return model, fit(Accelerator(), model, mixup, splits, config, folder), seen


def same(model, other):
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("late", [False, True], ids=["before-dropout", "after-dropout"])
def test_it_is_the_training_that_began_with_the_smaller_batch(config, splits, tmp_path, late, caplog):
    """Bit by bit: weights, mixing, dropout and records."""
    model, result, seen = train(config, splits, tmp_path / "found", rows=5, late=late)
    small = replace(config.train, batch_size=4, gradient_accumulation_steps=12, auto_batch=False)
    other, told, _ = train(replace(config, train=small), splits, tmp_path / "set")
    same(model, other)
    assert (tmp_path / "found" / "metrics.jsonl").read_bytes() == (tmp_path / "set" / "metrics.jsonl").read_bytes()
    assert (result.batch_size, result.gradient_accumulation_steps) == (4, 12)
    assert (told.batch_size, told.gradient_accumulation_steps) == (4, 12)
    assert result.steps == told.steps == 12
    assert [b for b, _ in seen][:3] == [16, 8, 4]  # tried, halved, halved
    assert "out of memory at step 1 (epoch 1), in a batch of " in caplog.text
    assert "goes on with train.batch_size 4 and train.gradient_accumulation_steps 12" in caplog.text
    lines = [json.loads(line) for line in (tmp_path / "found" / "timing.jsonl").read_text().splitlines()]
    assert [line for line in lines if line["event"] == "smaller batch"] == [
        {"event": "smaller batch", "step": 1, "batch_size": 4}
    ]


def test_unmixed_it_changes_nothing_but_the_rounding(config, splits, tmp_path):
    """The rows of every step stay the same, whatever the pieces."""
    plain = replace(config, mixup=MixupConfig(alpha=0), model=replace(config.model, dropout=0.0))
    whole, result, _ = train(plain, splits, tmp_path / "whole")
    pieces, smaller, _ = train(plain, splits, tmp_path / "pieces", rows=5)
    assert (result.batch_size, smaller.batch_size) == (16, 4)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(pieces.state_dict()[name], value, atol=1e-5, rtol=0)


def test_enough_memory_changes_nothing_at_all(config, splits, tmp_path):
    on, _, _ = train(config, splits, tmp_path / "on")
    off, _, _ = train(replace(config, train=replace(config.train, auto_batch=False)), splits, tmp_path / "off")
    same(on, off)


def test_what_was_found_survives_a_kill(config, splits, tmp_path):
    """Only the batches of long texts are too much, so that memory runs out in the middle of the training."""
    bucketed = replace(config, train=replace(config.train, length_buckets=True))
    _, _, seen = train(bucketed, splits, tmp_path / "wide")
    sizes = np.array([b * width for b, width in seen])
    limit = int(sizes.max()) - 1
    assert sizes[:12].max() <= limit  # enough for the first two steps
    model, result, seen = train(bucketed, splits, tmp_path / "peace", tokens=limit)
    assert result.batch_size == 8
    for at in (len(seen) // 4, len(seen) * 3 // 4, len(seen) - 2):
        folder = tmp_path / str(at)
        with pytest.raises(Killed):
            train(bucketed, splits, folder, tokens=limit, kill_at=at)
        again, found, _ = train(bucketed, splits, folder, tokens=limit)
        same(again, model)
        assert found.batch_size == 8
        assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "peace" / "metrics.jsonl").read_bytes()


def test_a_run_that_ran_out_of_memory_goes_on_with_the_option(config, splits, tmp_path):
    off = replace(config, train=replace(config.train, auto_batch=False))
    with pytest.raises(RunError, match=r"out of memory at step 1 .*input_ids \(16, \d+\).*set --train.auto_batch true"):
        train(off, splits, tmp_path / "run", rows=8)
    _, result, _ = train(config, splits, tmp_path / "run", rows=8)
    assert result.batch_size == 8
    # And once more without it: what was found is kept.
    (tmp_path / "run" / "checkpoints" / "step-00000012").rename(tmp_path / "aside")
    _, result, seen = train(off, splits, tmp_path / "run", rows=8)
    assert result.batch_size == 8
    assert seen


@pytest.mark.parametrize(("alpha", "least"), [(0.4, "two rows, for a row needs a partner"), (0.0, "one row")])
def test_memory_that_is_never_enough_is_told(config, splits, tmp_path, alpha, least):
    hopeless = replace(config, mixup=MixupConfig(alpha=alpha))
    with pytest.raises(RunError, match=rf"out of memory at step 1 .*train.auto_batch ends at {least}: lower data.max_"):
        train(hopeless, splits, tmp_path / "run", tokens=1)


def test_buffers_are_as_if_nothing_had_been_tried(config, splits, tmp_path):
    """Batch statistics, which a failed attempt has moved already."""
    plain = replace(config, mixup=MixupConfig(alpha=0), model=replace(config.model, dropout=0.0))

    def statistics(folder, **options):
        seed_generators(0)
        model = build_model(plain, splits)
        norm = torch.nn.BatchNorm1d(model.classifier.in_features)
        model.classifier = torch.nn.Sequential(norm, model.classifier)
        model.classifier[1].register_forward_pre_hook(
            lambda _, args: allocate_too_much() if model.training and len(args[0]) > options["rows"] else None
        )
        folder.mkdir()
        train_config = replace(plain.train, **options["train"])
        fit(Accelerator(), model, Mixup(model, "none"), splits, replace(plain, train=train_config), folder)
        return norm.running_mean, norm.num_batches_tracked

    found = statistics(tmp_path / "found", rows=8, train={})
    told = statistics(tmp_path / "set", rows=8, train={"batch_size": 8, "gradient_accumulation_steps": 6})
    assert torch.equal(found[0], told[0])
    assert torch.equal(found[1], told[1])


@pytest.mark.parametrize(("rows", "size", "expected"), [(16, 8, [8, 8]), (16, 3, [3, 3, 3, 3, 2, 2]), (5, 4, [3, 2]),
                                                        (3, 4, [3]), (1, 4, [1])])  # fmt: skip
def test_pieces_hold_every_row_once_and_have_their_own_partners(rows, size, expected):
    mixup = MixupConfig(alpha=1.0)
    ids = torch.arange(rows)
    micro = MicroBatch({"input_ids": ids[:, None]}, ids, draw(mixup, rows, (0, 1, 5, 0)), (0, 1, 5, 0), counts=True)
    window = divided(Window([micro], 2 * rows, mixup), 16, size)
    assert [len(piece.labels) for piece in window.micros] == expected
    assert torch.equal(torch.cat([piece.labels for piece in window.micros]), ids)
    assert torch.equal(torch.cat([piece.inputs["input_ids"][:, 0] for piece in window.micros]), ids)
    assert window.rows == 2 * rows
    assert len({piece.seed for piece in window.micros}) == len(expected)
    assert all(len(piece.mix.permutation) == len(piece.labels) for piece in window.micros)
