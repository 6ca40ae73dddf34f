import numpy as np
import pytest
from scipy.stats import binomtest, t

from textmix.errors import InputError
from textmix.inference import confidence_intervals, wilson
from textmix.metrics import CalibrationState, score_examples


def test_the_interval_of_ece_covers_the_true_one(simulate):
    rng = np.random.default_rng(0)
    covered = dict.fromkeys(("ece", "over", "under"), 0)
    for trial in range(100):
        bounds = confidence_intervals(*simulate(1000, 0.05, rng), resamples=200, seed=trial)
        for metric, true in (("ece", 0.05), ("over", 0.05), ("under", 0.0)):
            covered[metric] += bounds[metric].low <= true <= bounds[metric].high
    assert min(covered.values()) >= 0.9 * 100, covered


def test_the_interval_of_a_calibrated_model_reaches_zero(simulate):
    rng = np.random.default_rng(1)
    lows = [confidence_intervals(*simulate(1000, 0.0, rng), resamples=200, seed=i)["ece"].low for i in range(50)]
    assert np.mean(np.array(lows) == 0) >= 0.88


def test_estimates_are_the_metrics_themselves(simulate):
    logits, labels = simulate(400, 0.1, np.random.default_rng(2))
    state = CalibrationState(10)
    state.update(logits, labels)
    metrics = state.compute()
    for name, interval in confidence_intervals(logits, labels, num_bins=10).items():
        assert interval.estimate == pytest.approx(metrics[name], abs=1e-12)
        assert interval.low <= interval.estimate <= interval.high
        assert all(type(bound) is float for bound in vars(interval).values())


def test_accuracy_is_wilsons_and_nll_is_students(simulate):
    logits, labels = simulate(100, 0.1, np.random.default_rng(3))
    bounds = confidence_intervals(logits, labels, level=0.9)
    hits = int(score_examples(logits, labels).correct.sum())
    expected = binomtest(hits, 100).proportion_ci(0.9, method="wilson")
    assert (bounds["accuracy"].low, bounds["accuracy"].high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    values = score_examples(logits, labels).nll.numpy()
    expected = t.interval(0.9, 99, values.mean(), values.std(ddof=1) / 10)
    assert (bounds["nll"].low, bounds["nll"].high) == pytest.approx(expected, abs=1e-12)


def test_the_seed_decides(simulate):
    logits, labels = simulate(300, 0.1, np.random.default_rng(4))
    assert confidence_intervals(logits, labels, seed=5) == confidence_intervals(logits, labels, seed=5)
    generator = np.random.default_rng(5)
    assert confidence_intervals(logits, labels, seed=generator) == confidence_intervals(logits, labels, seed=5)
    assert confidence_intervals(logits, labels, seed=6) != confidence_intervals(logits, labels, seed=5)


def test_no_mistake_is_not_certainty():
    bounds = confidence_intervals([[800.0, 0.0]] * 100, [0] * 100)
    assert bounds["ece"].estimate == 0
    assert bounds["ece"].high == pytest.approx(1 - bounds["accuracy"].low, abs=0.01)


def test_wilson_agrees_with_scipy_elementwise():
    low, high = wilson([0, 3, 10], [10, 10, 10], 0.99)
    for k, successes in enumerate((0, 3, 10)):
        expected = binomtest(successes, 10).proportion_ci(0.99, method="wilson")
        assert (low[k], high[k]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert np.isnan(wilson(0, 0)).all()


def test_wilson_holds_the_share_itself():
    """Rounding put it outside at no hits, and at hits alone, for a third of all counts."""
    counts = np.arange(1, 2001)
    for hits in (0 * counts, counts):
        low, high = wilson(hits, counts)
        assert ((low <= hits / counts) & (hits / counts <= high)).all()
    assert wilson(0, 25)[0] == 0
    assert wilson(25, 25)[1] == 1


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="at least 2 examples"):
        confidence_intervals([[1.0, 0.0]], [0])
    with pytest.raises(InputError, match="level: expected a number between 0 and 1"):
        confidence_intervals([[1.0, 0.0]] * 2, [0, 1], level=95)
    with pytest.raises(InputError, match="num_bins"):
        confidence_intervals([[1.0, 0.0]] * 2, [0, 1], num_bins=0)
