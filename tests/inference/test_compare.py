from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from textmix.errors import InputError
from textmix.inference import compare
from textmix.metrics import CalibrationState, score_examples
from textmix.predictions import Predictions


def test_softer_logits_are_better_calibrated_and_no_more_accurate(predictions):
    sharp, soft = predictions(0, temperature=0.4), predictions(0)
    result = compare(sharp, soft)
    assert result.n == 500
    assert result.differences["ece"].high < 0
    assert result.differences["nll"].high < 0
    accuracy = result.differences["accuracy"]
    assert (accuracy.difference, accuracy.established, accuracy.p_value) == (0, False, 1)
    assert accuracy.low < 0 < accuracy.high  # no disagreement seen is no proof of none
    sentence = result.sentence("one-hot", "mixup")
    assert sentence.startswith("mixup against one-hot on 500 examples (one run each")
    assert "ECE lower by" in sentence
    assert "accuracy not distinguishable" in sentence


def test_differences_are_those_of_the_metrics_and_turn_with_the_models(predictions):
    a, b = predictions(1, temperature=0.5), predictions(1, noise_seed=9)
    forth, back = compare(a, b), compare(b, a)
    for metric, d in forth.differences.items():
        states = [CalibrationState(), CalibrationState()]
        for state, p in zip(states, (a, b), strict=True):
            state.update(p.logits, p.labels)
        values = [state.compute()[metric] for state in states]
        assert [d.a, d.b, d.difference] == pytest.approx([*values, values[1] - values[0]], abs=1e-12)
        mirrored = back.differences[metric]
        assert (-mirrored.high, -mirrored.low, mirrored.p_value) == pytest.approx((d.low, d.high, d.p_value), abs=1e-9)
        assert d.established == (d.p_value < 0.05)
        assert all(type(value) is float for value in vars(d).values())


def test_nll_is_the_paired_t_test(predictions):
    a, b = predictions(2, n=80), predictions(2, n=80, noise_seed=1)
    expected = ttest_rel(*(score_examples(p.logits, p.labels).nll.numpy() for p in (b, a)))
    got = compare(a, b, metrics=["nll"], level=0.9).differences["nll"]
    assert got.p_value == pytest.approx(expected.pvalue, abs=1e-12)
    assert (got.low, got.high) == pytest.approx(tuple(expected.confidence_interval(0.9)), abs=1e-12)


def test_accuracy_adds_a_discordant_pair_either_way():
    labels = np.zeros(50, dtype=np.int64)
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    ids = [str(i) for i in range(50)]
    a = Predictions(np.array([right] * 40 + [wrong] * 10), labels, ("x", "y"), ids)
    b = Predictions(np.array([wrong] * 2 + [right] * 48), labels, ("x", "y"), ids)  # gains 10, loses 2
    got = compare(a, b, metrics=["accuracy"]).differences["accuracy"]
    share = (11 - 3) / 52
    half = 2.0076 * np.sqrt((14 / 52 - share**2) / 51)
    assert (got.low, got.high) == pytest.approx((share - half, share + half), abs=1e-4)


def test_equal_models_are_seldom_told_apart(predictions):
    rejected = {"ece": 0, "accuracy": 0, "nll": 0}
    for seed in range(60):
        a, b = predictions(100 + seed, n=300, noise_seed=1), predictions(100 + seed, n=300, noise_seed=2)
        result = compare(a, b, metrics=list(rejected), resamples=200, seed=seed)
        for metric in rejected:
            rejected[metric] += result.differences[metric].established
    assert max(rejected.values()) <= 8, rejected  # 3 expected; P(more than 8) = 0.003
    same = compare(a, a)
    assert {d.p_value for d in same.differences.values()} == {1.0}


def test_the_interval_of_the_difference_in_ece_covers_it(simulate):
    # Model b is the calibrated a with 0.05 added to its confidence where there is room: its ECE is the mean of that.
    rng = np.random.default_rng(0)
    true = np.minimum(0.05, 0.5 - 0.5 * rng.beta(6, 1.2, 10**6)).mean()
    covered, ids = 0, [str(i) for i in range(1000)]
    for trial in range(60):
        logits, labels = simulate(1000, 0.0, rng)
        confidence = 1 / (1 + np.exp(-logits[:, 0]))
        shifted = np.minimum(confidence + 0.05, 1 - 1e-9)
        sharper = np.stack([np.log(shifted / (1 - shifted)), np.zeros(1000)], axis=1)
        a, b = (Predictions(x, labels, ("x", "y"), ids) for x in (logits, sharper))
        d = compare(a, b, metrics=["ece"], resamples=200, seed=trial).differences["ece"]
        covered += d.low <= true <= d.high
    assert covered >= 53, covered


@pytest.mark.parametrize("runs", [1, 2])
def test_models_without_a_mistake_are_not_told_apart_by_ece(runs):
    """Whether .99 or .9999 is nearer to their accuracy is not to be seen in 100 examples."""
    labels, ids = np.zeros(100, dtype=np.int64), [str(i) for i in range(100)]
    a, b = (Predictions(np.tile([np.log(p / (1 - p)), 0.0], (100, 1)), labels, ("x", "y"), ids) for p in (0.9999, 0.99))
    found = compare([a] * runs, [b] * runs, metrics=["ece"]).differences["ece"]
    assert found.difference == pytest.approx(0.0099)
    assert not found.established
    assert found.low < -0.0099


def test_over_runs_the_variance_between_seeds_counts(predictions):
    baseline = [predictions(3, temperature=0.5, noise_seed=s) for s in range(3)]
    mixed = [predictions(3, noise_seed=10 + s) for s in range(3)]
    result = compare(baseline, mixed)
    assert result.runs == (3, 3)
    assert "3 and 3 runs" in result.sentence()
    accuracies = [[(p.logits.argmax(1) == p.labels).mean() for p in runs] for runs in (baseline, mixed)]
    got = result.differences["accuracy"]
    assert [got.a, got.b] == pytest.approx([np.mean(accuracies[0]), np.mean(accuracies[1])], abs=1e-12)
    between = sum(np.var(a, ddof=1) / 3 for a in accuracies)
    assert got.high - got.low > 2 * 1.96 * np.sqrt(between)
    erratic = [predictions(3, temperature=t, noise_seed=4) for t in (0.3, 1.0, 3.0)]
    assert not compare(baseline, erratic).differences["nll"].established
    steady = compare(baseline, [erratic[1]] * 3).differences["nll"]
    assert steady.established


def test_rows_are_matched_by_id_and_labels_by_name(predictions):
    a, b = predictions(4), predictions(4, noise_seed=2)
    order = np.random.default_rng(0).permutation(len(b))
    turned = Predictions(
        b.logits[order][:, [2, 0, 1]],
        np.array([1, 2, 0])[b.labels[order]],
        ("yes", "no", "maybe"),
        [b.ids[i] for i in order],
        [f"text {i}" for i in order],
    )
    expected, got = compare(a, b), compare(a, turned)
    for metric, d in expected.differences.items():
        assert list(vars(got.differences[metric]).values()) == pytest.approx(list(vars(d).values()), abs=1e-9)


def test_other_examples_are_refused(predictions):
    a = predictions(5, n=20)
    with pytest.raises(InputError, match="got other ids in number 2: it has 19 ids, not 20"):
        compare(a, predictions(5, n=19))
    with pytest.raises(InputError, match="id 'stranger' is not in the first"):
        compare(a, replace(a, ids=["stranger", *a.ids[1:]]))
    other = a.labels.copy()
    other[3] = (other[3] + 1) % 3
    with pytest.raises(InputError, match="the same true labels, got 1 that differ in number 2: id 'row 3' is"):
        compare(a, replace(a, labels=other))


def test_bad_arguments_are_refused(predictions):
    a = predictions(6, n=20)
    with pytest.raises(InputError, match=r"metrics: expected some of accuracy.*got 'f1'"):
        compare(a, a, metrics=["ece", "f1"])
    with pytest.raises(InputError, match="one run of each model or several of both, got 2 and 1"):
        compare([a, a], a)
    with pytest.raises(InputError, match="got 0 and 0"):
        compare([], [])
    with pytest.raises(InputError, match="level"):
        compare(a, a, level=2)
    one = predictions(6, n=1)
    with pytest.raises(InputError, match="at least 2 examples"):
        compare(one, one)
