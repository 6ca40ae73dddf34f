"""Numbers for those who act on a confidence: which examples to answer, and which to turn away."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from textmix.inference import wilson
from textmix.metrics import Scores
from textmix.ood import (
    SCORES,
    RiskCoverage,
    detection,
    risk_coverage,
)
from textmix.predictions import Predictions

COVERAGES = (0.5, 0.7, 0.8, 0.9, 0.95)
RISKS = (0.01, 0.05, 0.1)
TARGETS = (0.9, 0.95, 0.99)
"""Shares answered, shares of errors and accuracies that the summary speaks of."""


def selective_numbers(examples: Scores, chosen_on: Scores) -> dict[str, Any]:
    """Return what leaving the least confident examples unanswered gives.

    :param examples: the examples that are answered or not. :param chosen_on: those on which the thresholds for the
        target accuracies are chosen: validation where there is one, since a threshold flatters the examples it was
        chosen on.
    """
    curve = _curve(examples)
    chosen = curve if chosen_on is examples else _curve(chosen_on)
    return {
        "aurc": curve.aurc,
        "e_aurc": curve.excess_aurc,
        "accuracy_at_coverage": {f"{share:g}": curve.accuracy_at(share) for share in COVERAGES},
        "coverage_at_risk": {f"{risk:g}": curve.coverage_at(risk) for risk in RISKS},
        "targets": [_at_target(examples, chosen, target) for target in TARGETS],
    }


def _curve(examples: Scores) -> RiskCoverage:
    return risk_coverage(examples.confidence.numpy(), examples.correct.numpy())


def _at_target(examples: Scores, chosen_on: RiskCoverage, target: float) -> dict[str, Any]:
    """Return the threshold for an accuracy, and the coverage and accuracy it has; None where no threshold serves."""
    found = chosen_on.threshold_for(target)
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
    if not outside:
        return {}
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
