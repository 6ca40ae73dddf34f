import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from scipy.stats import entropy as scipy_entropy

from textmix.errors import InputError
from textmix.ood import SCORES, energy, entropy, margin, msp


def test_agree_with_scipy():
    for seed, classes in enumerate((1, 2, 5, 40)):
        logits = np.random.default_rng(seed).normal(size=(60, classes)) * 5
        p = softmax(logits, axis=1)
        top = np.sort(np.concatenate([p, np.zeros((60, 1))], axis=1), axis=1)
        np.testing.assert_allclose(msp(logits), p.max(1), atol=1e-12)
        np.testing.assert_allclose(entropy(logits), -scipy_entropy(p, axis=1), atol=1e-12)
        np.testing.assert_allclose(energy(logits), logsumexp(logits, axis=1), atol=1e-12)
        np.testing.assert_allclose(margin(logits), top[:, -1] - top[:, -2], atol=1e-12)


def test_all_point_the_same_way():
    sure, unsure = np.array([[9.0, 0.0, 0.0]]), np.array([[0.1, 0.0, 0.0]])
    for name, score in SCORES.items():
        assert score(sure)[0] > score(unsure)[0], name


def test_saturated_and_half_precision_logits_are_finite():
    for name, score in SCORES.items():
        assert np.isfinite(score(np.array([[1e4, 0.0, -1e4]]))).all(), name
        assert score(torch.ones(3, 2, dtype=torch.bfloat16)).dtype == np.float64


def test_bad_input_is_refused_and_no_input_has_no_scores():
    with pytest.raises(InputError, match="NaN or infinity in row 1"):
        msp([[1.0, 0.0], [float("nan"), 0.0]])
    with pytest.raises(InputError, match="expected shape"):
        energy([1.0, 2.0])
    assert margin(np.empty((0, 3))).shape == (0,)
