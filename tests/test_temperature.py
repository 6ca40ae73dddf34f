import inspect
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import chi2
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from textmix.errors import InputError
from textmix.metrics import nll
from textmix.temperature import Temperature, apply_temperature, fit_temperature


def calibrated(seed, n=1000, classes=4, scale=2.0):
    """Logits of a perfectly calibrated model, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * scale
    p = np.exp(log_softmax(logits, axis=1))
    return logits, (p.cumsum(1) < rng.random((n, 1))).sum(1)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0, 3.62, 8.04, 30.0, 100.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_finds_the_optimum_that_scipy_finds(temperature, seed):
    logits, labels = calibrated(seed)
    logits = logits * temperature
    rows = np.arange(len(labels))
    found = minimize_scalar(
        lambda b: -log_softmax(b * logits, axis=1)[rows, labels].mean(),
        bounds=(0.5 / temperature, 2 / temperature),
        method="bounded",
        options={"xatol": 1e-13},
    )
    fitted = fit_temperature(logits, labels)
    slope = (np.exp(log_softmax(logits / fitted.value, axis=1)) * logits).sum(1) - logits[rows, labels]
    assert fitted.value * found.x == pytest.approx(1, abs=2e-7)  # a minimum's place shows to half the digits
    assert abs(slope.mean()) < 1e-11 * np.abs(logits).mean()
    assert not fitted.at_bound


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 5))
    classes = (features @ rng.normal(size=(5, 3)) + rng.normal(size=(600, 3)) * 2).argmax(1)
    model = LogisticRegression(C=100).fit(features[:300] * 5, classes[:300])
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    theirs.fit(features[300:] * 5, classes[300:])
    logits = model.decision_function(features * 5)
    ours = fit_temperature(logits[300:], classes[300:])
    p = np.exp(log_softmax(apply_temperature(logits, ours), axis=1))
    np.testing.assert_allclose(theirs.predict_proba(features * 5), p, atol=1e-5)


def test_the_fit_scales_with_the_logits_and_ignores_shifts_and_order():
    logits, labels = calibrated(2)
    value = fit_temperature(logits, labels).value
    shifts, order = np.random.default_rng(0).normal(size=(1000, 1)) * 100, np.random.default_rng(1).permutation(1000)
    assert fit_temperature(logits * 7, labels).value == pytest.approx(7 * value, rel=1e-9)
    assert fit_temperature(logits + shifts, labels).value == pytest.approx(value, rel=1e-9)
    assert fit_temperature(logits[order], labels[order]).value == pytest.approx(value, rel=1e-9)
    assert fit_temperature(torch.tensor(logits).float(), labels).value == pytest.approx(value, rel=1e-5)


def test_the_reported_nll_is_that_of_the_metrics():
    logits, labels = calibrated(3)
    fitted = fit_temperature(logits * 3, labels)
    assert fitted.n == 1000
    assert fitted.nll_before == pytest.approx(nll(logits * 3, labels), abs=1e-12)
    assert fitted.nll_after == pytest.approx(nll(apply_temperature(logits * 3, fitted), labels), abs=1e-12)
    assert fitted.nll_after < fitted.nll_before


def test_the_interval_covers_the_true_temperature():
    covered = 0
    for seed in range(200):
        logits, labels = calibrated(100 + seed, n=300)
        fitted = fit_temperature(logits * 2, labels)
        assert fitted.low < fitted.value < fitted.high
        covered += fitted.low <= 2 <= fitted.high
    assert 180 <= covered <= 199


def test_a_higher_level_gives_a_wider_interval():
    logits, labels = calibrated(4)
    wide, narrow = (fit_temperature(logits, labels, level=level) for level in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_separable_set_is_said_to_be_one():
    logits, _ = calibrated(5)
    fitted = fit_temperature(logits, logits.argmax(1))
    assert fitted.at_bound
    assert fitted.value == fitted.low == 0.01
    assert fitted.nll_used == fitted.nll_before > fitted.nll_after
    assert "separable" in fitted.reason
    assert 0.01 < fitted.high < 1


def test_a_set_worse_than_chance_is_said_to_be_one():
    logits, _ = calibrated(6)
    fitted = fit_temperature(logits, logits.argmin(1), bounds=(0.1, 50.0))
    assert fitted.at_bound
    assert fitted.value == fitted.high == 50
    assert "no better than chance" in fitted.reason


def test_one_example_and_equal_logits_say_what_they_can():
    one = fit_temperature([[2.0, 0.0]], [0])
    assert (one.at_bound, one.low, one.high) == (True, 0.01, 1000)
    flat = fit_temperature(np.ones((4, 3)), [0, 1, 2, 0])
    assert flat.value == 1
    assert "all equal" in flat.reason


def test_temperatures_are_applied_in_the_precision_of_the_metrics():
    assert apply_temperature(torch.ones(2, 2, dtype=torch.bfloat16), 2.0).dtype == torch.float32
    assert apply_temperature(np.ones((2, 2), dtype=np.float16), 2.0).dtype == np.float32
    assert apply_temperature(np.ones((2, 2), dtype=np.float32), 2.0).dtype == np.float32
    assert apply_temperature(torch.ones(2, 2).double(), 2.0).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    fitted = Temperature(4.0, 3.0, 5.0, 0.95, 10, 1.0, 0.5)
    assert apply_temperature([[4, 8]], fitted).tolist() == [[1.0, 2.0]]


def test_the_names_say_validation():
    assert list(inspect.signature(fit_temperature).parameters)[:2] == ["validation_logits", "validation_labels"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "level"),
        ({"bounds": (2.0, 5.0)}, "bounds"),
        ({"bounds": (0.0, 5.0)}, "bounds"),
    ],
)
def test_options_out_of_bounds_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        fit_temperature([[1.0, 0.0]], [0], **arguments)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="at least one example"):
        fit_temperature(np.empty((0, 2)), [])
    with pytest.raises(InputError, match="NaN or infinity in row 1"):
        fit_temperature([[1.0, 0.0], [float("nan"), 0.0]], [0, 1])
    for value in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="temperature: expected a finite number > 0"):
            apply_temperature([[1.0, 0.0]], value)


def test_extreme_logits_bring_no_warning():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fit_temperature(rng.normal(size=(100, 3)) * 1e6, rng.integers(0, 3, 100), bounds=(0.01, 1e9))
    assert np.isfinite(fitted.value)


@pytest.mark.parametrize("scale", [1e-30, 1e18, 1e38, 1e300])
@pytest.mark.parametrize("n", [1, 2, 50])
def test_a_diverged_model_gets_a_temperature_with_an_interval(scale, n):
    rng = np.random.default_rng(n)
    logits = rng.normal(size=(n, 3)) * scale
    for labels in (rng.integers(0, 3, n), logits.argmax(1), logits.argmin(1)):
        fitted = fit_temperature(logits, labels)
        assert np.isfinite([fitted.nll_before, fitted.nll_after]).all()
        assert 0.01 <= fitted.low <= fitted.value <= fitted.high <= 1000


def test_the_interval_at_a_bound_is_where_a_likelihood_ratio_test_draws_the_line():
    logits, _ = calibrated(5)
    labels = logits.argmax(1)
    fitted = fit_temperature(logits, labels)
    excess = nll(apply_temperature(logits, fitted.high), labels) - nll(apply_temperature(logits, fitted.value), labels)
    assert 2 * len(labels) * excess == pytest.approx(chi2.ppf(0.95, 1), rel=1e-4)


def test_a_separable_set_with_large_margins_is_called_so():
    """Every probability is 0 or 1 in float64: nothing changes with the temperature until it is very hot."""
    fitted = fit_temperature([[1000.0, 0.0], [0.0, 1000.0], [900.0, 0.0]], [0, 1, 0])
    assert "separable" in fitted.reason
    assert fitted.value == 0.01
    assert "all equal" in fit_temperature([[2.0, 2.0], [5.0, 5.0]], [0, 1]).reason


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_a_masked_class_stays_masked_when_sharpened(kind):
    lowest = float(np.finfo(np.float32).min)
    logits = kind(np.array([[1.0, 2.0, lowest]], dtype=np.float32))
    scaled = np.asarray(apply_temperature(logits, 0.5))
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled[:, :2], [[2.0, 4.0]])
    assert scaled[0, 2] == lowest
