"""Hooks mix exactly what the plan says, as often as it says, and nothing once it is gone."""

import pytest
import torch
from torch import nn

from textmix.errors import InputError
from textmix.mixup.hook import _fired, _plans, armed, blend, register
from textmix.mixup.lengths import Plan
from textmix.mixup.sites import Own, Point, Site, Swap

CYCLE = torch.tensor([1, 2, 0])
KEY = -1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_blending_agrees_with_a_loop_over_rows(dim, dtype):
    rows = torch.randn(3, 3, 3).to(dtype)
    weight = torch.tensor([0.2, 0.5, 0.75])
    mixed = blend(rows, CYCLE, weight, dim).movedim(dim, 0)
    whole = rows.movedim(dim, 0)
    for i in range(3):
        expected = weight[i] * whole[i].double() + (1 - weight[i]) * whole[CYCLE[i]].double()
        torch.testing.assert_close(mixed[i].double(), expected, atol=torch.finfo(dtype).eps * 4, rtol=1e-2)
    assert mixed.dtype == dtype


@pytest.mark.parametrize("weight", [torch.tensor(1.0), torch.ones(3)])
def test_weights_one_and_zero_are_exact(weight):
    rows = torch.randn(3, 50) * 10.0 ** torch.randint(-20, 20, (3, 50))
    assert torch.equal(blend(rows, CYCLE, weight), rows)
    assert torch.equal(blend(rows, CYCLE, 1 - weight), rows[CYCLE])


def test_images_stay_as_they_lie_in_memory():
    rows = torch.randn(3, 4, 5, 6).contiguous(memory_format=torch.channels_last)
    mixed = blend(rows, CYCLE, torch.tensor(0.3))
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(mixed, blend(rows.contiguous(), CYCLE, torch.tensor(0.3)), atol=0, rtol=0)


class Reader(nn.Module):
    """An embedding whose ids are transposed, moved to the right and padded, as models do."""

    def __init__(self, dim, shift):
        super().__init__()
        self.embedding = nn.Embedding(30, 2)
        self.dim, self.shift = dim, shift

    def forward(self, input_ids, calls=1):
        seen = nn.functional.pad(input_ids, (self.shift, 3), value=9)
        vectors = None
        for _ in range(calls):
            vectors = self.embedding(seen.T if self.dim else seen)
        if vectors is None:
            return seen
        return vectors.transpose(0, 1) if self.dim else vectors


def hooked(dim=0, shift=0):
    model = Reader(dim, shift)
    own = Own(0, "input_ids", dim, shift)
    site = Site(
        "embedding", (Point("embedding", model.embedding, dim),), (Swap("embedding", model.embedding, 1, (own,)),)
    )
    register(site, KEY)
    return model, site


def plan(ids, weight=0.3):
    return Plan(CYCLE, torch.tensor(weight), torch.tensor([1, 1, 2]), {"input_ids": ids}, "embedding")


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("shift", [0, 1])
def test_rows_read_their_own_text_and_the_model_s_padding(dim, shift):
    model, site = hooked(dim, shift)
    ids = torch.randint(0, 30, (3, 5))
    clean = model(ids)
    with armed(KEY, plan(ids), site):
        mixed = model(torch.zeros_like(ids))
    text = slice(shift, shift + 5)
    expected = 0.3 * clean + 0.7 * clean[CYCLE]
    torch.testing.assert_close(mixed[:, text], expected[:, text])
    assert torch.equal(mixed[:, shift + 5 :], clean[:, shift + 5 :])


@pytest.mark.parametrize("calls", [0, 2])
def test_running_less_or_more_often_than_planned_is_an_error_that_names_the_module(calls):
    model, site = hooked()
    ids = torch.randint(0, 30, (3, 5))
    message = f"embedding ran {calls} times where one forward was planned"
    with pytest.raises(InputError, match=message), armed(KEY, plan(ids), site):
        model(ids, calls=calls)


def test_a_batch_of_another_size_is_an_error_that_says_how_to_start_many_gpus():
    model, site = hooked()
    ids = torch.randint(0, 30, (3, 5))
    message = r"embedding got 2 rows instead of the mix's 3; .* accelerate launch"
    with pytest.raises(InputError, match=message), armed(KEY, plan(ids), site):
        model(ids[:2])


def test_other_arguments_than_were_proven_are_an_error():
    model, site = hooked()
    model.embedding.register_forward_pre_hook(lambda module, args: (*args, None), prepend=True)
    ids = torch.zeros(3, 5, dtype=torch.long)
    message = "embedding gets 2 arguments instead of the 1 it was proven with"
    with pytest.raises(InputError, match=message), armed(KEY, plan(ids), site):
        model(ids)


def test_state_is_restored_when_the_body_raises():
    model, site = hooked()
    ids = torch.randint(0, 30, (3, 5))
    clean = model(ids)
    with pytest.raises(KeyError), armed(KEY, plan(ids), site):
        raise KeyError
    assert not _plans
    assert not _fired
    assert torch.equal(model.train()(ids), clean)


def test_another_mixer_s_hooks_stay_out():
    model, _ = hooked()
    ids = torch.randint(0, 30, (3, 5))
    clean = model(ids)
    _, other_site = hooked()
    with pytest.raises(InputError, match=r"ran 0 times"), armed(KEY - 1, plan(ids), other_site):
        assert torch.equal(model(ids), clean)
