"""An independent float64 reference, example by example, in plain Python."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Case = tuple[Any, np.ndarray]


def _reference(logits: np.ndarray, labels: np.ndarray, num_bins: int = 15, mode: str = "top") -> dict[str, float]:
    cells: list[list[tuple[float, bool]]] = [[] for _ in range(num_bins)]
    edges = [i / num_bins for i in range(num_bins + 1)]
    n, correct, nll, brier = len(labels), 0, [], []
    for row, label in zip(logits.astype(np.float64).tolist(), labels.tolist(), strict=True):
        top = max(row)
        exponentials = [math.exp(z - top) for z in row]
        total = math.fsum(exponentials)
        probabilities = [e / total for e in exponentials]
        hit = row.index(top) == label
        correct += hit
        nll.append(top - row[label] + math.log(total))
        brier.append(math.fsum((p - (k == label)) ** 2 for k, p in enumerate(probabilities)))
        confidence, outcome = (1 / total, hit) if mode == "top" else (probabilities[1], label == 1)
        cell = next(m for m in range(num_bins) if confidence <= edges[m + 1] or m == num_bins - 1)
        cells[cell].append((confidence, outcome))
    filled = [(len(c), math.fsum(p for p, _ in c) / len(c), sum(o for _, o in c) / len(c)) for c in cells if c]
    gaps = [(size / n, conf, conf - acc) for size, conf, acc in filled]
    return {
        "n": n,
        "accuracy": correct / n,
        "nll": math.fsum(nll) / n,
        "brier": math.fsum(brier) / n,
        "ece": math.fsum(w * abs(g) for w, _, g in gaps),
        "oe": math.fsum(w * conf * max(g, 0) for w, conf, g in gaps),
        "over": math.fsum(w * max(g, 0) for w, _, g in gaps),
        "under": math.fsum(w * max(-g, 0) for w, _, g in gaps),
        "mce": max(abs(g) for _, _, g in gaps),
        "rms": math.sqrt(math.fsum(w * g * g for w, _, g in gaps)),
        "mean_confidence": math.fsum(w * conf for w, conf, _ in gaps),
    }


@pytest.fixture(scope="session")
def reference() -> Callable[..., dict[str, float]]:
    return _reference


def _random_cases() -> list[Case]:
    cases: list[Case] = []
    for seed in range(160):
        rng = np.random.default_rng(seed)
        n, classes = int(rng.integers(1, 120)), int(rng.integers(1, 12))
        logits = rng.normal(scale=rng.choice([0.1, 1, 5, 40]), size=(n, classes))
        if seed % 4 == 0:
            logits = logits.round()  # ties between classes and between examples
        cases.append((logits, rng.integers(0, classes, n)))
    return cases


def _adversarial_cases() -> list[Case]:
    rng = np.random.default_rng(1)
    cases: list[Case] = [
        (np.array([[900.0, 0.0]] * 4), np.array([0, 0, 0, 1])),  # every confidence exactly 1
        (np.array([[900.0, 0.0], [3.0, 0.0]]), np.array([0, 1])),
        (np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])),  # every class tied
        (np.ones((5, 1)), np.zeros(5, dtype=np.int64)),  # a single class
        (np.array([[0.3, -0.2]]), np.array([1])),  # one example
        (rng.normal(size=(40, 1000)) * 3, rng.integers(0, 1000, 40)),
        (rng.normal(size=(40, 1000)), np.full(40, 7)),  # one label only
        (np.array([[1e300, -1e300], [-1e308, 0.0]]), np.array([0, 1])),
        (np.full((7, 4), -745.0), np.arange(7) % 4),
        (np.array([[1e-300, 0.0], [0.0, 1e-300]]), np.array([0, 1])),
    ]
    # Confidences close beside the edges k / 30, but not so close that the last digit of a processor's exp decides:
    # test_bins.py has those.
    for k in range(1, 30):
        p = k / 30 * np.array([1 - 1e-13, 1 + 1e-13])
        odds = np.log(p) - np.log1p(-p)
        cases.append((np.stack([odds, np.zeros(2)], axis=1), np.array([0, 1])))
    return cases


CASES = [*_random_cases(), *_adversarial_cases()]


@pytest.fixture(params=CASES, ids=lambda case: "x".join(map(str, case[0].shape)))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param
