from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest

from textmix.errors import InputError
from textmix.ood import (
    accuracy_at_coverage,
    aurc,
    coverage_at_risk,
    excess_aurc,
    risk_coverage,
    threshold_for_accuracy,
)


def aurc_of(order, correct):
    wrong = np.cumsum(1 - np.array(correct, dtype=float)[list(order)])
    return (wrong / np.arange(1, len(correct) + 1)).mean()


def test_aurc_is_its_definition_without_ties():
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.random(50) < 0.7
    assert aurc(confidence, correct) == pytest.approx(aurc_of(np.argsort(-confidence), correct), abs=1e-12)


def test_aurc_is_the_mean_over_all_orders_of_tied_examples():
    confidence = np.array([0.9, 0.7, 0.7, 0.7, 0.2, 0.2])
    correct = np.array([True, False, True, True, False, True])
    orders = [(0, *middle, *last) for middle in permutations((1, 2, 3)) for last in permutations((4, 5))]
    expected = np.mean([aurc_of(order, correct) for order in orders])
    for shuffle in (np.arange(6), np.arange(6)[::-1]):
        assert aurc(confidence[shuffle], correct[shuffle]) == pytest.approx(expected, abs=1e-12)


def test_excess_is_zero_for_the_best_order_and_aurc_itself_is_not():
    correct = np.array([True] * 6 + [False] * 4)
    best = np.arange(10)[::-1]
    assert excess_aurc(best, correct) == pytest.approx(0, abs=1e-12)
    assert aurc(best, correct) > 0
    assert excess_aurc(-best, correct) > 0.3


def test_the_curve_ends_at_the_error_and_knows_only_real_thresholds():
    rng = np.random.default_rng(1)
    confidence, correct = rng.integers(0, 6, 100) / 5, rng.random(100) < 0.8
    curve = risk_coverage(confidence, correct)
    assert curve.threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, risk in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
        answered = confidence >= threshold
        assert (coverage, risk) == pytest.approx((answered.mean(), 1 - correct[answered].mean()), abs=1e-12)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - correct.mean(), abs=1e-12)


def test_coverage_and_risk_look_each_other_up():
    rng = np.random.default_rng(2)
    confidence = rng.random(200).round(2)
    correct = rng.random(200) < confidence
    curve = risk_coverage(confidence, correct)
    for risk in (0.0, 0.1, 0.3, 1.0):
        good = curve.coverage[curve.risk <= risk]
        assert coverage_at_risk(confidence, correct, risk) == (good.max() if len(good) else 0)
    for coverage in (0.01, 0.5, 1.0):
        first = np.flatnonzero(curve.coverage >= coverage)[0]
        assert accuracy_at_coverage(confidence, correct, coverage) == 1 - curve.risk[first]
    assert coverage_at_risk([0.5, 0.4], [False, True], 0.1) == 0


def test_the_threshold_is_the_lowest_that_reaches_the_target():
    rng = np.random.default_rng(3)
    confidence = rng.random(300).round(2)
    correct = rng.random(300) < confidence
    found = threshold_for_accuracy(confidence, correct, 0.9, level=0.9)
    assert found is not None
    answered = confidence >= found.threshold
    assert correct[answered].mean() == pytest.approx(found.accuracy.estimate, abs=1e-12)
    assert found.accuracy.estimate >= 0.9
    assert found.coverage == answered.mean() == coverage_at_risk(confidence, correct, 0.1)
    for lower in np.unique(confidence[confidence < found.threshold]):
        assert correct[confidence >= lower].mean() < 0.9
    expected = binomtest(int(correct[answered].sum()), int(answered.sum())).proportion_ci(0.9, method="wilson")
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_threshold_reaches_what_is_out_of_reach():
    assert threshold_for_accuracy([0.9, 0.8], [False, True], 0.9) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aurc([], []), "with N >= 1"),
        (lambda: aurc([0.5], [True, False]), r"got \(1,\) and \(2,\)"),
        (lambda: risk_coverage([float("nan")], [True]), "finite numbers, got nan in row 0"),
        (lambda: accuracy_at_coverage([0.5], [True], 0.0), "coverage: expected a share"),
        (lambda: coverage_at_risk([0.5], [True], 1.5), "risk: expected a share"),
        (lambda: threshold_for_accuracy([0.5], [True], 90), "target: expected an accuracy"),
        (lambda: threshold_for_accuracy([0.5], [True], 0.9, level=1), "level"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
