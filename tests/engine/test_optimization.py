import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import clip_grad_norm_

from textmix.config import TrainConfig
from textmix.engine.optimization import clip_gradients, make_optimizer, make_schedule, total_steps


def rates(config, steps_per_epoch):
    """Return the learning rate of every optimizer step of a run."""
    model = nn.Linear(2, 2)
    optimizer = make_optimizer(model, config, config.learning_rate)
    schedule = make_schedule(optimizer, config, steps_per_epoch)
    seen = []
    for _ in range(total_steps(config, steps_per_epoch)):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_constant():
    assert rates(TrainConfig(epochs=2, learning_rate=0.5), 3) == [0.5] * 6


def test_linear_rises_and_falls_to_zero():
    config = TrainConfig(epochs=2, learning_rate=1.0, warmup=0.2, schedule="linear")
    assert rates(config, 5) == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_cosine_is_half_way_at_half_time():
    got = rates(TrainConfig(epochs=4, learning_rate=1.0, schedule="cosine"), 2)
    assert got[0] == 1
    assert got[4] == pytest.approx(0.5)
    assert got == sorted(got, reverse=True)


def test_steps_drop_at_their_epochs():
    config = TrainConfig(epochs=4, learning_rate=1.0, schedule="steps", step_epochs=(1, 3), step_factor=0.1)
    assert rates(config, 2) == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_steps_rise_first():
    config = TrainConfig(epochs=4, learning_rate=1.0, schedule="steps", step_epochs=(3,), step_factor=0.1, warmup=0.5)
    assert rates(config, 2) == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 0.1, 0.1], abs=1e-6)


def test_max_steps_ends_the_schedule_early():
    config = TrainConfig(epochs=10, max_steps=4, learning_rate=1.0, schedule="linear")
    assert rates(config, 5) == pytest.approx([1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adadelta"])
def test_every_optimizer_lowers_a_loss(name):
    torch.manual_seed(0)
    model, inputs, targets = nn.Linear(3, 2), torch.randn(64, 3), torch.randint(2, (64,))
    optimizer = make_optimizer(model, TrainConfig(optimizer=name), 0.1)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_weight_decay_spares_biases_and_normalisation_and_frozen_weights_are_left_out():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    model[2].weight.requires_grad_(requires_grad=False)
    decayed, spared = make_optimizer(model, TrainConfig(weight_decay=0.01), 1e-3).param_groups
    assert [p.shape for p in decayed["params"]] == [(4, 3)]
    assert decayed["weight_decay"] == 0.01
    assert len(spared["params"]) == 4
    assert spared["weight_decay"] == 0


def network(scale, seed=0):
    """Return a model with parameters of every number of dimensions, one of them unused, and gradients."""
    torch.manual_seed(seed)
    model = nn.ModuleList([nn.Embedding(50, 8), nn.Conv1d(8, 4, 3), nn.Linear(4, 2), nn.Linear(2, 2)])
    model.scalar = nn.Parameter(torch.tensor(1.5))
    for parameter in [*model[:3].parameters(), model.scalar]:
        parameter.grad = torch.randn_like(parameter) * scale
    return model


@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 2**31))
def test_the_norm_is_that_of_all_gradients_together(scale, seed):
    model = network(scale, seed)
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).double().norm()
    found = clip_gradients(make_optimizer(model, TrainConfig(), 1e-3), 1.0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("limit", [None, 0.1, 1e9])
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adadelta"])
def test_steps_are_those_on_gradients_that_torch_clipped(name, limit):
    model, reference = network(1.0), network(1.0)
    config = TrainConfig(optimizer=name, weight_decay=0.0)
    ours, theirs = (make_optimizer(m, config, 0.1) for m in (model, reference))
    for step in range(3):
        for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
            if mine.grad is not None:
                mine.grad = torch.randn_like(mine) * 10.0 ** (-2 * step)  # from above the limit to below
                other.grad = mine.grad.clone()
        norm = clip_gradients(ours, limit)
        torch.testing.assert_close(norm, clip_grad_norm_(reference.parameters(), limit or float("inf")))
        ours.step()
        theirs.step()
    for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adadelta"])
def test_a_scaled_loss_gives_the_same_steps_and_none_where_it_overflowed(name):
    model, reference = network(1.0), network(1.0)
    config = TrainConfig(optimizer=name, weight_decay=0.0)
    ours, theirs = (make_optimizer(m, config, 0.1) for m in (model, reference))
    clip_grad_norm_(reference.parameters(), 0.5)
    theirs.step()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for bad in (1.0, float("inf")):
        scaler.scale(torch.ones(()))
        for mine, other in zip(network(1.0).parameters(), model.parameters(), strict=True):
            other.grad = None if mine.grad is None else mine.grad * 1024 * bad
        scaler.unscale_(ours)
        clip_gradients(ours, 0.5)
        scaler.step(ours)
        scaler.update()
        for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_shows_in_the_norm(bad):
    model = network(1.0)
    model[1].weight.grad[2, 1, 0] = bad
    assert not clip_gradients(make_optimizer(model, TrainConfig(), 1e-3), 1.0).isfinite()
