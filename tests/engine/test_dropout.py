"""Dropout drawn by ourselves: the laws of PyTorch's, wherever a model calls it."""

import math
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from checkpoints_kit import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForSequenceClassification

from textmix.engine.dropout import FastDropout, attention, dropout, fast_dropout
from textmix.models.text import KimCNNConfig, KimCNNForSequenceClassification

IDS = torch.tensor([[9, 10, 11, 12, 13], [14, 9, 8, 7, 7]])
RARELY = 2**-16
"""Drops one element in 65,536."""


@given(p=st.floats(0.01, 0.99), seed=st.integers(0, 2**31), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_the_share_asked_for_is_dropped_and_the_rest_made_up_for_it(p, seed, dtype):
    torch.manual_seed(seed)
    given = torch.ones(100, 201, dtype=dtype)
    dropped = dropout(given, p)
    kept = dropped != 0
    assert dropped.dtype == dtype
    torch.testing.assert_close(
        dropped[kept], (given / (1 - p))[kept], rtol=1e-2 if dtype == torch.bfloat16 else 2e-3, atol=0
    )
    spread = math.sqrt(p * (1 - p) / given.numel())
    assert abs(kept.float().mean().item() - (1 - p)) < 6 * spread + RARELY


def test_elements_are_dropped_independently_of_each_other():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.3) != 0).float()
    for distance in (1, 2, 3, 4, 5, 8):  # four elements share their draw
        together = (kept[distance:] * kept[:-distance]).mean().item()
        assert together == pytest.approx(0.49, abs=6 * 0.5 / math.sqrt(400_000))


def test_gradients_pass_where_elements_do():
    inputs = torch.randn(50, 40, requires_grad=True)
    dropped = dropout(inputs, 0.25)
    dropped.sum().backward()
    torch.testing.assert_close(inputs.grad, torch.where(dropped != 0, 1 / 0.75, 0.0))


def test_masks_come_from_pytorchs_generator():
    given = torch.ones(1000)
    torch.manual_seed(1)
    once, other = dropout(given, 0.5), dropout(given, 0.5)
    torch.manual_seed(1)
    torch.testing.assert_close(dropout(given, 0.5), once)
    assert not torch.equal(once, other)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True), (1.0, True), (1e-6, True)])
def test_what_is_not_drawn_is_pytorchs(p, training):
    given = torch.randn(8, 3)
    torch.testing.assert_close(dropout(given, p, training), F.dropout(given, p, training))


def test_in_place_and_elsewhere_it_is_pytorchs():
    given = torch.ones(1000)
    assert dropout(given, 0.5, inplace=True) is given
    assert (given == 0).any()
    assert dropout(torch.ones(3, device="meta"), 0.5).device.type == "meta"


MASKS = {
    "none": None,
    "bool": torch.tensor([True, True, False, True]).expand(2, 1, 5, 4),
    "added": torch.tensor([0.0, -1.0, float("-inf"), 2.0]).expand(2, 1, 5, 4),
}


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_pytorchs(mask, scale):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 4, 8), torch.randn(2, 3, 4, 6)
    expected = F.scaled_dot_product_attention(query, key, value, MASKS[mask], scale=scale)
    found = attention(query, key, value, MASKS[mask], dropout_p=RARELY, scale=scale)
    torch.testing.assert_close(found, expected / (1 - RARELY))


@pytest.mark.parametrize("keys", [1, 2, 15, 16, 17])
def test_attention_and_its_gradients_are_pytorchs_over_few_keys_and_many(keys):
    torch.manual_seed(0)
    given = [torch.randn(2, 3, length, 8, requires_grad=True) for length in (5, keys, keys)]
    gradient = torch.randn(2, 3, 5, 8)
    found = attention(*given, dropout_p=RARELY)
    expected = F.scaled_dot_product_attention(*given) / (1 - RARELY)
    torch.testing.assert_close(found, expected)
    found_gradients, expected_gradients = (torch.autograd.grad(out, given, gradient) for out in (found, expected))
    torch.testing.assert_close(found_gradients, expected_gradients)


@pytest.mark.parametrize("mask", [MASKS["bool"] & False, MASKS["added"] - math.inf], ids=["bool", "added"])
def test_a_query_that_may_attend_to_nothing_leaves_the_others_as_they_are(mask):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, length, 8, requires_grad=True) for length in (5, 4, 4))
    mask = torch.cat([mask[..., :1, :], torch.ones(2, 1, 4, 4, dtype=mask.dtype)], dim=-2)
    found = attention(query, key, value, mask, dropout_p=RARELY)
    expected = F.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(found[..., 1:, :], expected[..., 1:, :] / (1 - RARELY))
    torch.testing.assert_close(found[..., :1, :], value.mean(dim=-2, keepdim=True) / (1 - RARELY))
    found.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (query, key, value))


def test_attention_drops_weights():
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 2, 200, 8), torch.randn(1, 2, 100, 8), torch.ones(1, 2, 100, 1)
    sums = attention(query, key, value, dropout_p=0.4)  # one each, were nothing dropped
    assert sums.std() > 0.01
    assert sums.mean().item() == pytest.approx(1, abs=0.02)
    torch.manual_seed(3)
    found = attention(query, key, value, dropout_p=0.4)
    torch.manual_seed(3)
    weights = (query @ key.transpose(-2, -1) / math.sqrt(8)).softmax(dim=-1)
    torch.testing.assert_close(found, dropout(weights, 0.4) @ value)


@pytest.mark.parametrize("how", [{"is_causal": True}, {"enable_gqa": True}, {"dropout_p": 0.0}])
def test_attention_that_is_not_drawn_here_is_pytorchs(how):
    query, key, value = torch.randn(3, 2, 4, 5, 8)
    how = {"dropout_p": 0.3} | how
    torch.manual_seed(0)
    expected = F.scaled_dot_product_attention(query, key, value, **how)
    torch.manual_seed(0)
    torch.testing.assert_close(attention(query, key, value, **how), expected)


def bert(folder, attn_implementation="sdpa", **changes):
    path = checkpoint(folder, labels=("a", "b"), **changes)
    return AutoModelForSequenceClassification.from_pretrained(path, attn_implementation=attn_implementation).train()


class Draws(TorchFunctionMode):
    """Counts how often random bits are drawn, outside of a model or within."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.Tensor.random_
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_model_draws_all_its_masks_here_while_it_trains(tmp_path, implementation):
    model = bert(tmp_path, attn_implementation=implementation)
    with Draws() as draws, fast_dropout(model):
        model(input_ids=IDS, attention_mask=(IDS != 7).long())
        assert draws.count == 1 + 2 * 3 + 1  # embeddings; attention's weights and two outputs a layer; head
        model.eval()(input_ids=IDS)
    assert draws.count == 8


@pytest.mark.parametrize("bf16", [False, True])
@torch.no_grad()
def test_logits_vary_as_with_pytorchs_masks(tmp_path, bf16):
    """Mean and variance of every logit over many masks, which are those of both to within what chance allows."""
    model, count = bert(tmp_path), 800
    torch.manual_seed(0)
    drawn = []
    for within in (nullcontext(), fast_dropout(model)):
        with within, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            drawn.append(torch.stack([model(input_ids=IDS).logits.double() for _ in range(count)]))
    theirs, ours = drawn
    assert (theirs.std(dim=0) > 0.01).all()
    gap = (theirs.mean(dim=0) - ours.mean(dim=0)).abs()
    assert (gap < 4.5 * ((theirs.var(dim=0) + ours.var(dim=0)) / count).sqrt()).all()
    kurtosis = ((theirs - theirs.mean(dim=0)) ** 4).mean(dim=0) / theirs.var(dim=0) ** 2
    assert ((ours.var(dim=0) / theirs.var(dim=0)).log().abs() < 4.5 * (2 * (kurtosis - 1) / count).sqrt()).all()


def gradients(model, within):
    torch.manual_seed(0)
    with within:
        model(input_ids=IDS, attention_mask=(IDS != 7).long()).logits.square().sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_activations_computed_again_are_dropped_as_before(tmp_path):
    expected = gradients(bert(tmp_path), nullcontext())
    model = bert(tmp_path)
    model.activation_checkpointing_enable({"use_reentrant": False})
    found = gradients(model, fast_dropout(model))
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_it_is_for_models_with_dropout_in_their_layers_on_a_cpu(tmp_path):
    model = bert(tmp_path / "bert")
    still = bert(tmp_path / "still", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    cnn = KimCNNForSequenceClassification(KimCNNConfig(vocab_size=20, num_rows=20, num_labels=2))
    assert isinstance(fast_dropout(model), FastDropout)
    for other in (still, cnn, bert(tmp_path / "meta").to("meta")):
        assert isinstance(fast_dropout(other), nullcontext)
