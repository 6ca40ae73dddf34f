"""Numbers for those who act on a confidence: which examples to answer, and which to turn away."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from textmix.inference import wilson
from textmix.metrics import Examples
from textmix.ood import (
    SCORES,
    accuracy_at_coverage,
    aurc,
    coverage_at_risk,
    detection,
    excess_aurc,
    threshold_for_accuracy,
)
from textmix.predictions import Predictions

COVERAGES = (0.5, 0.7, 0.8, 0.9, 0.95)
RISKS = (0.01, 0.05, 0.1)
TARGETS = (0.9, 0.95, 0.99)
"""Shares answered, shares of errors and accuracies that the summary speaks of."""


def selective_numbers(examples: Examples, chosen_on: Examples) -> dict[str, Any]:
    """Return what leaving the least confident examples unanswered gives.

    :param examples: the examples that are answered or not. :param chosen_on: those on which the thresholds for the
        target accuracies are chosen: validation where there is one, since a threshold flatters the examples it was
        chosen on.
    """
    confidence, correct = examples.confidence.numpy(), examples.correct.numpy()
    return {
        "aurc": aurc(confidence, correct),
        "e_aurc": excess_aurc(confidence, correct),
        "accuracy_at_coverage": {f"{share:g}": accuracy_at_coverage(confidence, correct, share) for share in COVERAGES},
        "coverage_at_risk": {f"{risk:g}": coverage_at_risk(confidence, correct, risk) for risk in RISKS},
        "targets": [_at_target(examples, chosen_on, target) for target in TARGETS],
    }


def _at_target(examples: Examples, chosen_on: Examples, target: float) -> dict[str, Any]:
    """Return the threshold for an accuracy, and the coverage and accuracy it has; None where no threshold serves."""
    found = threshold_for_accuracy(chosen_on.confidence.numpy(), chosen_on.correct.numpy(), target)
    entry: dict[str, Any] = {"target": target, "threshold": None, "coverage": 0.0, "accuracy": None, "interval": None}
    if found is None:
        return entry
    answered = examples.confidence.numpy() >= found.threshold
    n, hits = int(answered.sum()), int(examples.correct.numpy()[answered].sum())
    entry |= {"threshold": found.threshold, "coverage": n / len(answered)}
    if n:
        low, high = wilson(hits, n)
        entry |= {"accuracy": hits / n, "interval": [float(low), float(high)]}
    return entry


def ood_numbers(inside: Predictions, outside: Mapping[str, Predictions], *, energy: bool) -> dict[str, Any]:
    """Return how confident a model is outside its classes, and how well each score tells.

    :param inside: predictions on examples of the classes. :param outside: on sets outside them, by name.
    :param energy: whether the logits have a scale that the energy score can read.
    """
    scores = {name: score for name, score in SCORES.items() if energy or name != "energy"}
    expected = {name: score(inside.logits) for name, score in scores.items()}
    numbers: dict[str, Any] = {}
    for name, predictions in outside.items():
        seen = {score: SCORES[score](predictions.logits) for score in scores}
        numbers[name] = {
            "n": len(predictions),
            "mean_confidence": float(np.mean(seen["msp"])),
            "scores": {score: asdict(detection(expected[score], seen[score])) for score in scores},
        }
    return numbers
