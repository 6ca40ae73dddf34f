"""Max over time: values and gradients of the plain formula, at whatever widths, lengths and precision."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from textmix.models import max_over_time as module
from textmix.models.max_over_time import max_over_time


def plainly(embedded, mask, filters):
    """The same by torch's own convolution and maximum."""
    best = []
    for weight in filters:
        around = weight.shape[2] - 1
        scores = F.conv1d(embedded.transpose(1, 2), weight, padding=around)  # (B, F, windows)
        seen = F.pad(mask, (around, around)).unfold(1, around + 1, 1).any(dim=-1)
        best.append(scores.masked_fill(~seen[:, None], -torch.inf).amax(dim=-1))
    return torch.cat(best, dim=1)


def some(batch, length, widths, seed=0, dtype=torch.float64):
    """Vectors, zero where there is padding, their mask, and filters; all values differ."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, length + 1, (batch, 1), generator=rng)
    mask = torch.arange(length) < lengths
    embedded = torch.randn(batch, length, 6, generator=rng, dtype=dtype) * mask[..., None]
    filters = [torch.randn(2 + width, 6, width, generator=rng, dtype=dtype) for width in widths]
    return embedded.requires_grad_(), mask, [weight.requires_grad_() for weight in filters]


@given(
    batch=st.integers(1, 4),
    length=st.integers(1, 9),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_values_and_gradients_are_the_plain_formulas(batch, length, widths, seed):
    embedded, mask, filters = some(batch, length, widths, seed)
    found, expected = max_over_time(embedded, mask, filters), plainly(embedded, mask, filters)
    torch.testing.assert_close(found, expected)
    towards = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed), dtype=found.dtype)
    for of_found, of_expected in zip(
        torch.autograd.grad(found, [embedded, *filters], towards),
        torch.autograd.grad(expected, [embedded, *filters], towards),
        strict=True,
    ):
        torch.testing.assert_close(of_found, of_expected)


def test_texts_computed_a_few_at_a_time_give_the_same(monkeypatch):
    embedded, mask, filters = some(5, 7, [2, 3])
    whole = max_over_time(embedded, mask, filters)
    row = 7 * sum(weight.shape[0] * weight.shape[2] for weight in filters) * embedded.element_size()
    for together in (1, 2):
        monkeypatch.setattr(module, "CACHED", together * row)
        parts = max_over_time(embedded, mask, filters)
        torch.testing.assert_close(parts, whole)
        for of_parts, of_whole in zip(
            torch.autograd.grad(parts.sum(), [embedded, *filters]),
            torch.autograd.grad(whole.sum(), [embedded, *filters], retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(of_parts, of_whole)


def test_gradients_are_those_of_finite_differences():
    embedded, mask, filters = some(3, 7, [2, 3])
    torch.autograd.gradcheck(lambda embedded, *filters: max_over_time(embedded, mask, filters), (embedded, *filters))


@pytest.mark.parametrize("frozen", ["embedded", "filters", "one"])
def test_what_is_frozen_gets_no_gradient(frozen):
    embedded, mask, filters = some(3, 7, [2, 3])
    still = {"embedded": [embedded], "filters": filters, "one": filters[:1]}[frozen]
    for tensor in still:
        tensor.requires_grad = False
    max_over_time(embedded, mask, filters).sum().backward()
    for tensor in (embedded, *filters):
        assert (tensor.grad is None) == any(tensor is each for each in still)


def test_of_equal_values_the_first_gets_the_gradient():
    embedded = torch.tensor([[[1.0], [3.0], [2.0], [3.0]]], requires_grad=True)
    max_over_time(embedded, torch.ones(1, 4, dtype=torch.bool), [torch.ones(1, 1, 1)]).sum().backward()
    assert embedded.grad.flatten().tolist() == [0, 1, 0, 0]


def test_padding_does_not_take_part():
    embedded = torch.tensor([[[-1.0], [-2.0], [0.0], [0.0]]])
    best = max_over_time(embedded, torch.tensor([[True, True, False, False]]), [torch.ones(1, 1, 1)])
    assert best.item() == -1
    nothing = max_over_time(embedded, torch.zeros(1, 4, dtype=torch.bool), [torch.ones(1, 1, 2)])
    assert nothing.item() == -torch.inf


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_rounds_and_does_no_more(dtype):
    embedded, mask, filters = some(4, 30, [3, 5], dtype=torch.float32)
    with torch.autocast("cpu", dtype):
        found = max_over_time(embedded, mask, filters)
    expected = max_over_time(embedded, mask, filters)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0)
    found.float().sum().backward()  # another window may win, by less than what was rounded
    assert all(tensor.grad.dtype == torch.float32 for tensor in (embedded, *filters))
    low = [tensor.detach().to(dtype).requires_grad_() for tensor in (embedded, *filters)]
    max_over_time(low[0], mask, low[1:]).float().sum().backward()
    for tensor, its in zip((embedded, *filters), low, strict=True):
        assert its.grad.dtype == dtype
        assert (its.grad.float() - tensor.grad).norm() < 0.05 * tensor.grad.norm()


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # as the compiler itself does
def test_it_compiles():
    embedded, mask, filters = some(3, 7, [2, 3], dtype=torch.float32)
    compiled = torch.compile(max_over_time, backend="aot_eager", fullgraph=True)
    towards = torch.ones(3, 9)
    found = torch.autograd.grad(compiled(embedded, mask, filters), [embedded, *filters], towards)
    expected = torch.autograd.grad(max_over_time(embedded, mask, filters), [embedded, *filters], towards)
    for its, other in zip(found, expected, strict=True):
        torch.testing.assert_close(its, other)
