"""One optimizer step against torch's own, whatever it is cut into."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from textmix.config import Config, DataConfig, LossConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.engine import steps
from textmix.engine.dropout import fast_dropout
from textmix.engine.optimization import make_optimizer, make_schedule
from textmix.engine.steps import Forward, Learner, optimizer_step, windows
from textmix.losses import resolve_class_weights
from textmix.mixup import Mixup, draw
from textmix.models.build import build_model

CONFIG = Config(
    model=ModelConfig(embedding_dim=12, num_filters=6, dropout=0.0),
    mixup=MixupConfig(alpha=0),
    train=TrainConfig(optimizer="sgd", momentum=0.0, learning_rate=0.5, max_grad_norm=None, length_buckets=False),
)


@pytest.fixture(scope="module")
def splits(topics):
    return load_splits(replace(CONFIG, data=DataConfig(path=str(topics))))


def make_learner(config, splits):
    """Build the same first weights every time."""
    torch.manual_seed(0)
    model = build_model(config, splits)
    mixup = Mixup(model, config.mixup_site if config.mixup.active else "none")
    optimizer = make_optimizer(model, config.train, config.learning_rate)
    weights = resolve_class_weights(config.loss, torch.from_numpy(np.bincount(splits.train.labels)))
    forward = Forward(model, mixup)
    schedule = make_schedule(optimizer, config.train, 100)
    classes, dropout = len(splits.label_names), fast_dropout(model)
    accelerator = Accelerator()
    optimizer = accelerator.prepare_optimizer(optimizer)
    return model, Learner(accelerator, forward, optimizer, schedule, config, weights, classes, dropout)


def take(config, splits, batches):
    """Take one step for every window of `batches`; return the trained model and the losses."""
    model, learner = make_learner(config, splits)
    every = windows(learner, splits.train, batches, config.mixup, epoch=0, first=0)
    return model, [optimizer_step(learner, window).loss.item() for window in every]


def same(model, other, atol):
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], atol=atol, rtol=0, msg=name)


@pytest.mark.parametrize("loss", [LossConfig(), LossConfig(class_weights=(1.0, 5.0, 0.2), label_smoothing=0.1)])
def test_a_step_is_torchs_own(splits, loss):
    config = replace(CONFIG, loss=replace(loss, smoothing_convention="all"))
    rows = np.arange(24)
    model, losses = take(config, splits, [rows])
    expected, _ = make_learner(config, splits)
    expected.train()
    batch = splits.train.batch(rows)
    weights = None if loss.class_weights == "none" else torch.tensor(loss.class_weights)
    out = F.cross_entropy(expected(**batch).logits, batch["labels"], weights, label_smoothing=loss.label_smoothing)
    out.backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= 0.5 * parameter.grad
    assert losses == pytest.approx([out.item()])
    same(model, expected, atol=1e-6)


@pytest.mark.parametrize("loss", [LossConfig(entropy_penalty=0.2), LossConfig(class_weights="balanced")])
@pytest.mark.parametrize("pieces", [[24], [8, 8, 8], [10, 10, 4], [23, 1]])
def test_accumulation_is_exact_over_examples(splits, pieces, loss):
    """Uneven micro-batches weigh by their rows (or their weight mass), not one each."""
    config = replace(CONFIG, loss=loss)
    rows = np.arange(24)
    whole, [loss_of_whole] = take(config, splits, [rows])
    config = replace(config, train=replace(config.train, gradient_accumulation_steps=len(pieces)))
    cut, [loss_of_cut] = take(config, splits, np.split(rows, np.cumsum(pieces)[:-1]))
    assert loss_of_cut == pytest.approx(loss_of_whole, abs=1e-6)
    same(cut, whole, atol=1e-6)


def test_windows_begin_anywhere_and_hold_what_they_would_have_held(splits):
    config = replace(CONFIG, mixup=MixupConfig(alpha=0.4), train=replace(CONFIG.train, gradient_accumulation_steps=2))
    _, learner = make_learner(config, splits)
    batches = np.array_split(np.arange(50), 5)
    every = list(windows(learner, splits.train, batches, config.mixup, epoch=3, first=0))
    assert [len(window.micros) for window in every] == [2, 2, 1]
    assert [window.rows for window in every] == [20, 20, 10]
    later = list(windows(learner, splits.train, batches, config.mixup, epoch=3, first=1))
    for window, again in zip(every[1:], later, strict=True):
        for micro, same_micro in zip(window.micros, again.micros, strict=True):
            assert torch.equal(micro.labels, same_micro.labels)
            assert torch.equal(micro.mix.permutation, same_micro.mix.permutation)
            assert torch.equal(micro.mix.weight, same_micro.mix.weight)


@pytest.mark.parametrize(("together", "made"), [(1, [1, 2, 3, 4, 5]), (2, [2, 2, 4, 4, 5]), (6, [5, 5, 5, 5, 5])])
def test_small_batches_are_made_together_and_large_ones_when_they_are_asked_for(splits, monkeypatch, together, made):
    _, learner = make_learner(CONFIG, splits)
    rows, batches = np.arange(10), []
    inputs = splits.train.batch(rows)
    labels = inputs.pop("labels")
    batch = type(splits.train).batch
    monkeypatch.setattr(type(splits.train), "batch", lambda own, rows: batches.append(rows) or batch(own, rows))
    monkeypatch.setattr(steps, "_TOGETHER", together * sum(values.nbytes for values in inputs.values()))
    found = []
    for window in windows(learner, splits.train, [rows] * 5, CONFIG.mixup, epoch=0, first=0):
        found.append(len(batches))
        assert torch.equal(window.micros[0].labels, labels)
    assert found == made


def test_a_mixed_step_is_the_formula(splits):
    """Mix the embeddings by hand: the union of both texts, lambda of one and 1 - lambda of the other."""
    config = replace(CONFIG, mixup=MixupConfig(alpha=1.0))
    rows = np.arange(16)
    _, [loss] = take(config, splits, [rows])
    model, _ = make_learner(config, splits)
    batch = splits.train.batch(rows)
    mix = draw(config.mixup, 16, seed=(config.seed, 0, 0, 0))
    vectors = F.embedding(model.embedding.rows[batch["input_ids"]], model.embedding.weight)
    mixed = mix.weight * vectors + (1 - mix.weight) * vectors[mix.permutation]
    union = batch["attention_mask"] | batch["attention_mask"][mix.permutation]
    features = []
    for width, convolution in zip((3, 4, 5), model.convolutions, strict=True):
        scores = convolution(mixed.transpose(1, 2))
        seen = torch.arange(scores.shape[-1]) < (union.sum(1) + width - 1)[:, None]
        features.append(scores.masked_fill(~seen[:, None], -torch.inf).amax(-1).relu())
    log_p = model.classifier(torch.cat(features, 1)).log_softmax(-1)
    own, other = (F.nll_loss(log_p, y) for y in (batch["labels"], batch["labels"][mix.permutation]))
    assert loss == pytest.approx((mix.weight * own + (1 - mix.weight) * other).item(), abs=1e-6)


def test_clean_weight_adds_the_loss_of_the_unmixed_batch(splits):
    rows = np.arange(16)
    mixed_config = replace(CONFIG, mixup=MixupConfig(alpha=1.0))
    _, [clean] = take(CONFIG, splits, [rows])
    _, [mixed] = take(mixed_config, splits, [rows])
    _, [both] = take(replace(CONFIG, mixup=MixupConfig(alpha=1.0, clean_weight=0.7)), splits, [rows])
    assert both == pytest.approx(mixed + 0.7 * clean, abs=1e-6)


@pytest.mark.parametrize("pieces", [[16], [7, 9]])
@pytest.mark.parametrize("labels", ["soft", "dominant"])
def test_the_clean_part_is_torchs_weighted_cross_entropy(splits, pieces, labels):
    """The weight mass of the mixed targets is another where pairs have a lambda of their own."""
    given, rows = (1.0, 5.0, 50.0), np.arange(16)
    batches = np.split(rows, np.cumsum(pieces)[:-1])
    config = replace(
        CONFIG, loss=LossConfig(class_weights=given), mixup=MixupConfig(alpha=1.0, weight_per="sample", labels=labels),
        train=replace(CONFIG.train, gradient_accumulation_steps=len(pieces)),
    )  # fmt: skip
    mixed, [loss] = take(config, splits, batches)
    both, [of_both] = take(replace(config, mixup=replace(config.mixup, clean_weight=0.7)), splits, batches)
    model, _ = make_learner(config, splits)
    batch = splits.train.batch(rows)
    clean = F.cross_entropy(model.train()(**batch).logits, batch["labels"], torch.tensor(given))
    clean.backward()
    assert of_both - loss == pytest.approx(0.7 * clean.item(), abs=1e-5)
    with torch.no_grad():
        for parameter, gradient in zip(mixed.parameters(), [p.grad for p in model.parameters()], strict=True):
            parameter -= 0.5 * 0.7 * gradient
    same(both, mixed, atol=1e-5)


def test_a_single_row_trains_unmixed(splits):
    mixed, losses = take(replace(CONFIG, mixup=MixupConfig(alpha=1.0)), splits, [np.arange(1)])
    clean, clean_losses = take(CONFIG, splits, [np.arange(1)])
    assert losses == clean_losses
    same(mixed, clean, atol=0)


def test_bf16_autocast_trains_and_leaves_predictions_in_float32(splits):
    AcceleratorState._reset_state(reset_partial_state=True)  # one process has one precision
    try:
        accelerator = Accelerator(mixed_precision="bf16")
        model, learner = make_learner(replace(CONFIG, mixup=MixupConfig(alpha=0.4)), splits)
        before = copy.deepcopy(model)
        learner = replace(learner, accelerator=accelerator, forward=accelerator.prepare_model(learner.forward))
        window = next(windows(learner, splits.train, [np.arange(16)], MixupConfig(alpha=0.4), epoch=0, first=0))
        with torch.no_grad():
            rounded, _ = learner.forward(window.micros[0].inputs, window.micros[0].mix, clean=False)
            exact, _ = Forward(model, learner.forward.mixup)(window.micros[0].inputs, window.micros[0].mix, clean=False)
        assert 0 < (rounded - exact).abs().max() < 0.05
        assert torch.equal(
            model.eval()(**window.micros[0].inputs).logits, before.eval()(**window.micros[0].inputs).logits
        )
        assert optimizer_step(learner, window).loss.isfinite()
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
