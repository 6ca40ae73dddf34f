import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from textmix.metrics import score_examples, smooth_ece


def by_quadrature(confidence, outcome):
    """The definition: a sum over mirror images, integrated on a grid, its fixed point found by bisection."""
    t = (np.arange(8000) + 0.5) / 8000
    images = np.concatenate([2 * k + sign * confidence for k in range(-3, 4) for sign in (1, -1)])
    gaps = np.tile(outcome - confidence, 14) / len(confidence)

    def smoothed(width):
        return np.abs(norm.pdf(t[:, None], images, width) @ gaps).mean()

    return brentq(lambda width: smoothed(width) - width, 1e-3, 1)


@pytest.mark.parametrize("n", [3, 30, 100])
def test_agrees_with_the_definition(n):
    rng = np.random.default_rng(n)
    logits, labels = rng.normal(size=(n, 3)) * 3, rng.integers(0, 3, n)
    examples = score_examples(logits, labels)
    expected = by_quadrature(examples.confidence.numpy(), examples.outcome.double().numpy())
    assert smooth_ece(logits, labels) == pytest.approx(expected, abs=1e-6)


def test_no_mass_is_lost_at_one():
    for wrong in range(11):
        labels = np.array([1] * wrong + [0] * (10 - wrong))
        assert smooth_ece([[800.0, 0.0]] * 10, labels) == pytest.approx(wrong / 10, abs=1e-9)


def test_continuous_in_the_confidences_and_independent_of_order():
    rng = np.random.default_rng(0)
    logits, labels, order = rng.normal(size=(200, 2)) * 2, rng.integers(0, 2, 200), rng.permutation(200)
    value = smooth_ece(logits, labels)
    assert smooth_ece(logits[order], labels[order]) == pytest.approx(value, abs=1e-12)
    assert smooth_ece(logits + rng.normal(size=(200, 2)) * 1e-7, labels) == pytest.approx(value, abs=1e-6)


def test_positive_mode_reads_the_probability_of_class_one():
    logits = np.log([[0.7, 0.3]] * 10)
    assert smooth_ece(logits, [0] * 7 + [1] * 3, "positive") == pytest.approx(0, abs=1e-4)
    assert smooth_ece(logits, [1] * 10, "positive") == pytest.approx(0.7, abs=1e-9)
