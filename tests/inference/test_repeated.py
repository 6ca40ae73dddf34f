from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy.stats import t

from textmix.errors import InputError
from textmix.inference import compare, confidence_intervals, method_intervals
from textmix.predictions import Predictions

N = 400
METRICS = {"accuracy", "nll", "brier", "mean_confidence", "ece", "oe", "over", "under"}


def run(seed, scale=1.0):
    """Three classes; the labels are the same for every seed."""
    labels = np.random.default_rng(99).integers(0, 3, N)
    logits = np.random.default_rng(seed).normal(size=(N, 3)) + 2 * np.eye(3)[labels]
    return Predictions(scale * logits, labels, ("a", "b", "c"), [str(k) for k in range(N)])


def nlls(runs):
    logits = np.stack([run.logits for run in runs])
    picked = np.take_along_axis(logits, runs[0].labels[None, :, None], 2)[..., 0]
    return np.log(np.exp(logits).sum(2)) - picked


def test_nll_has_welchs_interval_over_examples_and_seeds():
    runs = [run(seed, scale) for seed, scale in enumerate([1.0, 2.0, 3.0])]
    values = nlls(runs)
    over_examples, over_seeds = values.mean(0).var(ddof=1) / N, values.mean(1).var(ddof=1) / 3
    freedom = (over_examples + over_seeds) ** 2 / (over_examples**2 / (N - 1) + over_seeds**2 / 2)
    half = t.ppf(0.975, freedom) * sqrt(over_examples + over_seeds)
    found = method_intervals(runs)["nll"]
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (values.mean(), values.mean() - half, values.mean() + half)
    )


def test_one_run_has_its_own_intervals():
    assert method_intervals([run(0)]) == confidence_intervals(run(0).logits, run(0).labels)


def test_equal_runs_know_no_more_than_one():
    once, twice = method_intervals([run(0)]), method_intervals([run(0), run(0)])
    assert set(twice) == METRICS
    assert vars(twice["nll"]) == pytest.approx(vars(once["nll"]))
    for name in METRICS - {"nll"}:
        assert twice[name].estimate == pytest.approx(once[name].estimate)
        assert vars(twice[name]) == pytest.approx(vars(once[name]), abs=0.01)


def test_seeds_that_disagree_widen_every_interval():
    alike = method_intervals([run(0), run(0), run(0)])
    apart = method_intervals([run(0, 0.2), run(0), run(0, 5.0)])
    for name in METRICS - {"accuracy"}:  # a scale changes no prediction
        assert apart[name].high - apart[name].low > 1.5 * (alike[name].high - alike[name].low), name


def test_it_agrees_with_the_comparison_about_means():
    a, b = [run(0), run(1)], [run(2), run(3, 2.0)]
    differences = compare(a, b, metrics=sorted(METRICS)).differences
    for name, interval in method_intervals(b).items():
        assert differences[name].b == pytest.approx(interval.estimate)


def test_certain_runs_keep_a_margin():
    sure = run(0)
    sure = replace(sure, logits=20.0 * np.eye(3)[sure.labels])
    found = method_intervals([sure, sure])["accuracy"]
    assert found.estimate == found.high == 1.0
    assert 0.97 < found.low < 0.995


def test_runs_without_a_mistake_leave_the_room_for_miscalibration_that_one_leaves():
    sure = run(0)
    sure = replace(sure, logits=20.0 * np.eye(3)[sure.labels])
    for name in ("ece", "oe", "over"):
        once, twice = (method_intervals([sure] * count)[name] for count in (1, 2))
        assert vars(twice) == pytest.approx(vars(once), abs=1e-4)
        assert once.high > 0.009  # 1.96 ** 2 / 400


def test_other_examples_are_refused():
    with pytest.raises(InputError, match="expected predictions on the same examples"):
        method_intervals([run(0), replace(run(1), ids=[f"x{k}" for k in range(N)])])
    with pytest.raises(InputError, match="runs: expected at least one, got none"):
        method_intervals([])
