from dataclasses import replace

import numpy as np
import pytest
import torch

from textmix.metrics import Scores, score_examples
from textmix.ood import auroc
from textmix.report.decisions import TARGETS, ood_numbers, selective_numbers


def examples(confidence: list[float], correct: list[bool]) -> Scores:
    c, k = torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct)
    return Scores(c, k, k, torch.zeros(len(c)), torch.zeros(len(c)))


def test_thresholds_are_chosen_on_one_set_and_read_on_the_other():
    chosen_on = examples([0.9, 0.8, 0.7, 0.6], [True, True, True, False])
    read = examples([0.95, 0.75, 0.72, 0.71, 0.5], [True, True, False, True, True])
    targets = selective_numbers(read, chosen_on)["targets"]
    assert [target["target"] for target in targets] == list(TARGETS)
    for target in targets:
        assert target["threshold"] == 0.7
        assert target["coverage"] == 0.8
        assert target["accuracy"] == 0.75
        assert target["interval"][0] < 0.75 < target["interval"][1]


def test_a_threshold_nobody_reaches_promises_nothing():
    target = selective_numbers(examples([0.5], [True]), examples([0.9], [True]))["targets"][0]
    assert (target["threshold"], target["coverage"], target["accuracy"]) == (0.9, 0.0, None)
    target = selective_numbers(examples([0.5], [True]), examples([0.9], [False]))["targets"][0]
    assert (target["threshold"], target["coverage"], target["accuracy"]) == (None, 0.0, None)


def test_the_summary_chooses_on_validation_at_the_same_temperature(material):
    selective, value = material.summary["selective"], material.summary["temperature"]
    for part, divisor in (("test", 1.0), ("test_calibrated", value)):
        validation = material.validation
        scored = score_examples(validation.logits / divisor, validation.labels)
        confidence, correct = scored.confidence.numpy(), scored.correct.numpy()
        threshold = selective[part]["targets"][0]["threshold"]
        assert correct[confidence >= threshold * (1 - 1e-6)].mean() >= TARGETS[0]
        assert np.abs(confidence - threshold).min() < 1e-6
        coverage = selective[part]["accuracy_at_coverage"]
        assert coverage["0.5"] > coverage["0.95"]


def test_the_lower_score_outside_is_told_apart(material):
    numbers = ood_numbers(material.test, material.ood, energy=True)
    assert set(numbers["bbc"]["scores"]) == {"msp", "entropy", "energy", "margin"}
    assert set(ood_numbers(material.test, material.ood, energy=False)["bbc"]["scores"]) == {"msp", "entropy", "margin"}
    for name, predictions in material.ood.items():
        inside, outside = (
            np.max(np.exp(p.logits - _logsumexp(p.logits)), axis=1) for p in (material.test, predictions)
        )
        assert numbers[name]["n"] == len(predictions)
        assert numbers[name]["mean_confidence"] == pytest.approx(outside.mean(), rel=1e-6)
        assert numbers[name]["scores"]["msp"]["auroc"] == pytest.approx(auroc(inside, outside), abs=1e-3)


def test_the_same_set_can_not_be_told_apart(material):
    twin = replace(material.test, labels=np.full(len(material.test), -1))
    scores = ood_numbers(material.test, {"twin": twin}, energy=True)["twin"]["scores"]
    assert {round(values["auroc"], 12) for values in scores.values()} == {0.5}


def _logsumexp(logits: np.ndarray) -> np.ndarray:
    top = logits.max(axis=1, keepdims=True)
    return top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
