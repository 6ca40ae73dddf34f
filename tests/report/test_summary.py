import json

import numpy as np
import pytest

from textmix.config import EvalConfig
from textmix.metrics import CalibrationState, ece, nll, oe, score_examples
from textmix.predictions import Predictions
from textmix.report import summarise
from textmix.report.decisions import selective_numbers
from textmix.temperature import fit_temperature


def test_keys_are_those_that_scripts_rely_on(material):
    summary = material.summary
    assert set(summary) >= {
        "test", "validation", "test_calibrated", "temperature", "temperature_interval", "intervals", "null_band", "ood",
        "selective",
    }  # fmt: skip
    assert set(summary["test"]) >= {"n", "accuracy", "nll", "brier", "ece", "oe", "over", "under", "mce", "ece_100"}
    for part in ("test", "validation", "test_calibrated"):
        assert set(summary["intervals"][part]) >= {"accuracy", "nll", "brier", "ece", "oe"}
        assert set(summary["null_band"][part]["ece"]) == {"mean", "low", "high", "p_value"}


def test_everything_is_a_plain_number(material):
    assert json.loads(json.dumps(material.summary, allow_nan=False)) == material.summary


def test_both_bin_counts_are_shown(material):
    test, metrics = material.test, material.summary["test"]
    assert metrics["ece"] == ece(test.logits, test.labels, num_bins=15)
    assert metrics["ece_100"] == ece(test.logits, test.labels, num_bins=100)
    assert metrics["oe_100"] == oe(test.logits, test.labels, num_bins=100)


def test_the_brier_score_is_the_sum_of_its_parts(material):
    for part in ("test", "test_calibrated"):
        metrics = material.summary[part]
        total = metrics["brier_reliability"] - metrics["brier_resolution"] + metrics["brier_uncertainty"]
        assert total + metrics["brier_within_bin"] == pytest.approx(metrics["brier"], abs=1e-6)


def test_small_bins_do_not_make_the_maximum(material):
    test = material.test
    state = CalibrationState()
    state.update(test.logits, test.labels)
    assert (state.table().count[state.table().count > 0] < 30).any()
    assert material.summary["test"]["mce"] == state.compute(30)["mce"] != state.compute()["mce"]
    few = Predictions(test.logits[:20], test.labels[:20], test.label_names, test.ids[:20])
    summary = summarise(few, None, None, EvalConfig(resamples=100))
    assert "mce" not in summary["test"]
    json.dumps(summary, allow_nan=False)


def test_temperature_is_applied_to_test_and_only_there(material):
    test, summary = material.test, material.summary
    divided = test.logits / summary["temperature"]
    assert summary["test_calibrated"]["ece"] == pytest.approx(ece(divided, test.labels), abs=1e-6)
    assert summary["test"]["ece"] == ece(test.logits, test.labels)
    assert "validation_calibrated" not in summary


def test_no_test_set_gives_no_test_key(material):
    validation = material.validation
    fitted = fit_temperature(validation.logits, validation.labels)
    summary = summarise(None, validation, fitted, EvalConfig(resamples=100))
    assert summary["temperature"] == fitted.value
    assert not [key for key in summary if key.startswith("test")]
    assert list(summary["intervals"]) == list(summary["null_band"]) == ["validation", "validation_calibrated"]


def test_without_a_test_set_the_temperature_is_shown_on_validation(material):
    validation = material.validation
    fitted = fit_temperature(validation.logits, validation.labels)
    summary = summarise(None, validation, fitted, EvalConfig(resamples=100))
    divided = validation.logits / fitted.value
    assert summary["validation_calibrated"]["nll"] == pytest.approx(nll(divided, validation.labels), abs=1e-6)
    itself = score_examples(divided, validation.labels)
    expected = selective_numbers(itself, itself)["targets"]
    shown = summary["selective"]["validation_calibrated"]["targets"]
    for key in ("threshold", "accuracy"):
        assert [target[key] for target in shown] == pytest.approx([target[key] for target in expected], abs=1e-6)


def test_a_bound_of_the_temperature_is_said_and_not_applied(material):
    test = material.test
    right = np.where(np.eye(3)[test.labels] > 0, 5.0, 0.0)
    fitted = fit_temperature(right, test.labels)
    summary = summarise(test, None, fitted, EvalConfig(resamples=100))
    assert "separable" in summary["temperature_reason"]
    assert "test_calibrated" not in {*summary, *summary["intervals"], *summary["null_band"], *summary["selective"]}


def test_the_seed_decides_the_intervals(material):
    test = material.test
    config = EvalConfig(resamples=100)
    first, again, other = (summarise(test, None, None, config, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["null_band"] != other["null_band"]
    assert first["test"] == other["test"]
