import numpy as np
import pytest
from scipy.stats import norm

from textmix.inference.resample import Replicates, replicate
from textmix.metrics import score_examples


def test_blocks_of_examples_vary_as_the_examples_do(simulate):
    rng = np.random.default_rng(0)
    logits, labels = simulate(12_000, 0.03, rng)
    examples = score_examples(logits, labels)
    [blocks] = replicate([examples], 15, 1000, np.random.default_rng(1))
    confidence, outcome = examples.confidence.numpy(), examples.outcome.numpy()
    bins, gap = np.ceil(confidence * 15).astype(int) - 1, confidence - outcome
    draws = (rng.integers(0, 12_000, 12_000) for _ in range(400))
    direct = [np.abs(np.bincount(bins[rows], gap[rows])).sum() / 12_000 for rows in draws]
    resampled = blocks.resampled("ece")
    assert resampled.mean() == pytest.approx(np.mean(direct), abs=5e-4)
    assert resampled.std() == pytest.approx(np.std(direct), rel=0.15)


def test_runs_are_resampled_together(simulate):
    examples = score_examples(*simulate(300, 0.1, np.random.default_rng(0)))
    first, second = replicate([examples, examples], 15, 50, np.random.default_rng(1))
    np.testing.assert_array_equal(first.resampled("ece"), second.resampled("ece"))
    assert first.resampled("ece").std() > 0
    np.testing.assert_array_equal(first.resampled_count.sum(1), 300)


def test_the_bias_is_the_mean_of_a_folded_normal():
    rng = np.random.default_rng(0)
    gaps, error = np.array([0.0, 3.0, 40.0]), np.array([2.0, 3.0, 5.0])
    noisy = gaps + error * rng.normal(size=(200_000, 3))
    count = np.array([50, 50, 100])
    replicates = Replicates(
        count, gaps + 20, np.full(3, 20.0), np.tile(count, (200_000, 1)), noisy + 20, noisy * 0 + 20
    )
    expected = (np.abs(noisy).mean(0) - gaps).sum() / 200
    assert replicates.bias("ece") == pytest.approx(expected, abs=2e-4)
    assert replicates.bias("over") == replicates.bias("under") == pytest.approx(expected / 2, abs=1e-4)
    assert replicates.bias("ece", shift=-1.0) < replicates.bias("ece") < replicates.bias("ece", shift=1.0)
    assert replicates.bias("ece", shift=100.0) == pytest.approx(2 * norm.pdf(0) * error.sum() / 200, rel=0.01)
