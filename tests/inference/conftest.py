"""Simulated models whose true calibration error is known."""

import numpy as np
import pytest

from textmix.predictions import Predictions


def _binary_logits(confidence: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 2) that predict class 0 with this confidence, and labels that make the outcome true."""
    confidence = np.clip(confidence, 0.5, 1 - 1e-15)
    return np.stack([np.log(confidence) - np.log1p(-confidence), np.zeros(len(confidence))], axis=1), 1 - outcome


@pytest.fixture(scope="session")
def simulate():
    """Draw (logits, labels) of n examples whose accuracy lies `gap` below a confidence of 0.5 + 0.5 Beta(6, 1.2)."""

    def draw(n: int, gap: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        confidence = 0.5 + 0.5 * rng.beta(6, 1.2, n)
        return _binary_logits(confidence, (rng.random(n) < confidence - gap).astype(np.int64))

    return draw


@pytest.fixture(scope="session")
def predictions():
    """Make Predictions of three classes at this temperature for labels drawn from softmax(logits)."""

    def make(seed: int, n: int = 500, temperature: float = 1.0, noise_seed: int | None = None) -> Predictions:
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(n, 3)) * 2
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        labels = (p.cumsum(1) < rng.random((n, 1))).sum(1)
        if noise_seed is not None:
            logits = logits + 0.3 * np.random.default_rng(noise_seed).normal(size=logits.shape)
        return Predictions(logits / temperature, labels, ("no", "maybe", "yes"), [f"row {i}" for i in range(n)])

    return make
