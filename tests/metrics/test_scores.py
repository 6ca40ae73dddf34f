import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from textmix.metrics import accuracy, brier, nll


def test_agrees_with_scikit_learn():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        logits, labels = rng.normal(size=(100, 4)) * 2, rng.integers(0, 4, 100)
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert accuracy(logits, labels) == accuracy_score(labels, p.argmax(1))
        assert nll(logits, labels) == pytest.approx(log_loss(labels, p, labels=range(4)), abs=1e-12)
        expected = brier_score_loss(labels, p, labels=range(4), scale_by_half=False)
        assert brier(logits, labels) == pytest.approx(expected, abs=1e-12)


def test_the_ends_of_the_scales():
    sure = np.array([[900.0, 0.0]])
    assert (brier(sure, [0]), brier(sure, [1])) == (0.0, 2.0)
    assert (nll(sure, [0]), nll(sure, [1])) == (0.0, 900.0)
