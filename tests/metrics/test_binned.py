import netcal.metrics
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from textmix.errors import InputError
from textmix.metrics import (
    CalibrationState,
    debiased_squared_error,
    ece,
    equal_mass_ece,
    mce,
    oe,
    over,
    reliability_table,
    rms_calibration_error,
    under,
)


def random_case(seed, n=200, classes=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)) * 2, rng.integers(0, classes, n)


def test_each_function_is_its_entry_of_the_state():
    logits, labels = random_case(0)
    state = CalibrationState(10)
    state.update(logits, labels)
    metrics = state.compute(min_count=9)
    functions = {"ece": ece, "oe": oe, "over": over, "under": under, "rms": rms_calibration_error}
    assert {name: f(logits, labels, 10) for name, f in functions.items()} == {name: metrics[name] for name in functions}
    assert mce(logits, labels, 10, min_count=9) == metrics["mce"]
    assert reliability_table(logits, labels, 10).count.tolist() == state.table().count.tolist()


@pytest.mark.parametrize(("norm", "ours"), [("l1", ece), ("max", mce), ("l2", rms_calibration_error)])
def test_agrees_with_torchmetrics_away_from_one(norm, ours):
    for seed in range(5):
        logits, labels = random_case(seed)
        theirs = multiclass_calibration_error(
            torch.tensor(logits), torch.tensor(labels), num_classes=4, n_bins=15, norm=norm
        )
        assert ours(logits, labels) == pytest.approx(float(theirs), abs=1e-6)


def test_a_confidence_of_one_stays_in_the_last_bin_where_torchmetrics_makes_another():
    confidence = np.array([0.95, 1.0])
    logits = np.stack([np.log(confidence), np.log(np.maximum(1 - confidence, 1e-300))], axis=1)
    labels = np.array([0, 1])
    assert ece(logits, labels, 10) == pytest.approx(0.475, abs=1e-12)
    probabilities = torch.tensor(np.stack([confidence, 1 - confidence], axis=1))
    theirs = multiclass_calibration_error(probabilities, torch.tensor(labels), num_classes=2, n_bins=10)
    assert float(theirs) == pytest.approx(0.525, abs=1e-6)


def test_agrees_with_netcal():
    for seed in range(5):
        logits, labels = random_case(seed)
        probabilities = torch.softmax(torch.tensor(logits), dim=1).numpy()
        assert ece(logits, labels) == pytest.approx(netcal.metrics.ECE(15).measure(probabilities, labels), abs=1e-9)


def test_a_closed_form():
    logits = np.log([[0.9, 0.1]] * 10)
    labels = np.array([0] * 6 + [1] * 4)  # confidence 0.9, accuracy 0.6
    assert ece(logits, labels) == pytest.approx(0.3, abs=1e-12)
    assert oe(logits, labels) == pytest.approx(0.27, abs=1e-12)
    assert under(logits, labels) == 0
    assert mce(logits, labels) == pytest.approx(0.3, abs=1e-12)
    assert debiased_squared_error(logits, labels) == pytest.approx(0.09 - 0.24 / 9, abs=1e-12)


def test_bins_of_equal_mass_differ_by_one_example_at_most_without_ties():
    rng = np.random.default_rng(0)
    for n, bins in ((10, 3), (100, 15), (7, 15), (1000, 7)):
        logits, labels = rng.normal(size=(n, 3)), rng.integers(0, 3, n)
        confidence, prediction = torch.softmax(torch.tensor(logits), dim=1).max(1)
        gap = (confidence.numpy() - (prediction.numpy() == labels))[confidence.argsort().numpy()]
        member = [int((rank + 0.5) * bins / n) for rank in range(n)]
        sizes = np.bincount(member, minlength=bins)
        assert sizes.max() - sizes.min() <= 1
        expected = np.abs(np.bincount(member, gap, minlength=bins)).sum() / n
        assert equal_mass_ece(logits, labels, bins) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32), st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_ties_stay_together_in_any_order(seed, bins):
    rng = np.random.default_rng(seed)
    logits = rng.choice([0.0, 0.5, 3.0, 800.0], size=30)[:, None] * np.array([1.0, 0.0])
    labels, order = rng.integers(0, 2, 30), rng.permutation(30)
    for metric in (equal_mass_ece, debiased_squared_error):
        expected = metric(logits, labels, bins)
        assert metric(logits[order], labels[order], bins) == pytest.approx(expected, abs=1e-12)


def test_all_confidences_at_one():
    logits, labels = np.array([[800.0, 0.0]] * 20), np.array([0] * 15 + [1] * 5)
    assert equal_mass_ece(logits, labels) == pytest.approx(0.25, abs=1e-12)


def test_the_debiased_error_of_a_calibrated_model_is_zero_on_average_and_the_plain_one_is_not():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 3)) * 1.5
    p = torch.softmax(torch.tensor(logits), dim=1).numpy()
    draws = [(p.cumsum(1) < rng.random((300, 1))).sum(1) for _ in range(400)]
    debiased = np.array([debiased_squared_error(logits, labels) for labels in draws])
    plain = np.array([rms_calibration_error(logits, labels) ** 2 for labels in draws])
    assert abs(debiased.mean()) < 4 * debiased.std() / 20
    assert plain.mean() > 10 * abs(debiased.mean())


def test_empty_input_is_refused():
    for metric in (ece, equal_mass_ece, debiased_squared_error):
        with pytest.raises(InputError, match="at least one example"):
            metric(np.empty((0, 3)), np.empty(0, dtype=np.int64))
    with pytest.raises(InputError, match="num_bins"):
        equal_mass_ece([[1.0, 0.0]], [0], 0)
