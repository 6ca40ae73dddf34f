import numpy as np
import pytest
from scipy.stats import norm

from textmix.errors import InputError
from textmix.inference import ZTest, null_band, spiegelhalter
from textmix.metrics import CalibrationState, score_examples


def test_a_calibrated_model_is_called_calibrated(simulate):
    rng = np.random.default_rng(0)
    trials = [simulate(872, 0.0, rng) for _ in range(200)]
    tests = [null_band(*trial, resamples=200, seed=i) for i, trial in enumerate(trials)]
    for metric in ("ece", "oe", "over", "under", "rms"):
        rejected = np.mean([band[metric].p_value <= 0.05 for band in tests])
        assert 0.02 <= rejected <= 0.09, metric
    rejected = np.mean([spiegelhalter(*trial).p_value <= 0.05 for trial in trials])
    assert 0.02 <= rejected <= 0.09


def test_an_overconfident_model_is_not(simulate):
    logits, labels = simulate(872, 0.08, np.random.default_rng(1))
    band = null_band(logits, labels)
    assert band["ece"].p_value == band["over"].p_value == 1 / 1001
    assert band["under"].p_value > 0.05
    assert spiegelhalter(logits, labels).p_value < 1e-4
    assert spiegelhalter(logits, labels).statistic > 0


@pytest.mark.parametrize(("n", "mean"), [(200, 0.033), (872, 0.016), (1821, 0.011), (7600, 0.005)])
def test_the_band_has_the_known_width(n, mean, simulate):
    band = null_band(*simulate(n, 0.0, np.random.default_rng(2)), resamples=400)["ece"]
    assert band.mean == pytest.approx(mean, abs=0.0025)
    assert band.low < band.mean < band.high


def test_grouped_draws_are_as_drawing_every_label(simulate):
    logits, labels = simulate(20_000, 0.0, np.random.default_rng(3))
    confidence = score_examples(logits, labels).confidence.numpy()
    rng = np.random.default_rng(4)
    bins = np.ceil(confidence * 15).astype(int) - 1
    gaps = (np.bincount(bins, confidence - (rng.random(20_000) < confidence)) for _ in range(300))
    drawn = [np.abs(gap).sum() / 20_000 for gap in gaps]
    band = null_band(logits, labels)["ece"]
    assert band.mean == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 300**0.5)
    assert (band.low, band.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=0.12)


def test_what_was_observed_is_the_metric_itself(simulate):
    logits, labels = simulate(300, 0.1, np.random.default_rng(5))
    state = CalibrationState(10)
    state.update(logits, labels)
    for name, band in null_band(logits, labels, num_bins=10).items():
        assert band.observed == pytest.approx(state.compute()[name], abs=1e-12)
        assert all(type(value) is float for value in vars(band).values())


def test_certainty_that_is_right_and_certainty_that_is_wrong():
    sure = np.array([[800.0, 0.0]] * 50)
    right = null_band(sure, [0] * 50)["ece"]
    assert (right.observed, right.high, right.p_value) == (0.0, 0.0, 1.0)
    assert spiegelhalter(sure, [0] * 50) == ZTest(0.0, 1.0)
    assert null_band(sure, [0] * 49 + [1])["ece"].p_value < 0.01
    assert spiegelhalter(sure, [0] * 49 + [1]).p_value == 0


def test_positive_mode_tests_the_probability_of_class_one():
    logits = np.log([[0.8, 0.2]] * 200)
    assert null_band(logits, [0] * 160 + [1] * 40, mode="positive")["ece"].p_value > 0.5
    assert null_band(logits, [0] * 100 + [1] * 100, mode="positive")["under"].p_value < 0.01
    assert spiegelhalter(logits, [0] * 100 + [1] * 100, "positive").statistic > 0


def test_spiegelhalter_by_hand():
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
    o, c = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.6])
    z = ((o - c) * (1 - 2 * c)).sum() / np.sqrt(((1 - 2 * c) ** 2 * c * (1 - c)).sum())
    got = spiegelhalter(logits, [0, 1, 0])
    assert abs(got.statistic) == pytest.approx(abs(z), abs=1e-12)
    assert got.p_value == pytest.approx(2 * norm.sf(abs(z)), abs=1e-12)


def test_the_seed_decides(simulate):
    case = simulate(300, 0.1, np.random.default_rng(6))
    assert null_band(*case, seed=1) == null_band(*case, seed=np.random.default_rng(1))
    assert null_band(*case, seed=1) != null_band(*case, seed=2)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="at least one example"):
        null_band(np.empty((0, 2)), [])
    with pytest.raises(InputError, match="level"):
        null_band([[1.0, 0.0]], [0], level=0)
    with pytest.raises(InputError, match="num_bins"):
        null_band([[1.0, 0.0]], [0], num_bins=0)
