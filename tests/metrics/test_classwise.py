import netcal.metrics
import numpy as np
import pytest
from sklearn.metrics import f1_score

from textmix.errors import InputError
from textmix.metrics import (
    brier,
    brier_decomposition,
    classwise_ece,
    classwise_table,
    ece,
    macro_f1,
    static_ece,
    worst_classes,
)


def random_case(seed, n=150, classes=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)) * 2, rng.integers(0, classes, n)


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_each_class_is_a_positive_class_of_its_own():
    logits, labels = random_case(0)
    p = softmax(logits)
    for k, got in enumerate(classwise_ece(logits, labels, 10)):
        with np.errstate(divide="ignore"):
            binary = np.stack([np.log(1 - p[:, k]), np.log(p[:, k])], axis=1)
        assert got == pytest.approx(ece(binary, (labels == k).astype(int), 10, "positive"), abs=1e-12)


def test_the_static_error_is_the_mean_over_classes_also_where_one_never_occurs():
    logits, labels = random_case(1)
    labels[labels == 3] = 0
    per_class = classwise_ece(logits, labels)
    assert static_ece(logits, labels) == pytest.approx(per_class.mean(), abs=1e-15)
    assert per_class[3] == pytest.approx(softmax(logits)[:, 3].mean(), abs=1e-12)


def test_the_worst_class_comes_first():
    logits, labels = random_case(2)
    logits[:, 4] += 3
    worst = worst_classes(logits, labels, k=2)
    assert worst[0][0] == 4
    assert [error for _, error in worst] == sorted(classwise_ece(logits, labels), reverse=True)[:2]


def test_macro_f1_agrees_with_scikit_learn():
    for seed in range(8):
        logits, labels = random_case(seed, n=8 + 10 * seed, classes=6)  # small ones lack classes
        assert macro_f1(logits, labels) == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"), abs=1e-12)


@pytest.mark.parametrize("num_bins", [1, 5, 15])
def test_the_parts_make_up_the_brier_score(num_bins):
    for seed in range(10):
        logits, labels = random_case(seed, n=1 + 9 * seed)
        parts = brier_decomposition(logits, labels, num_bins)
        total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin
        assert total == pytest.approx(brier(logits, labels), abs=1e-12)
        assert parts.brier == pytest.approx(brier(logits, labels), abs=1e-12)
        assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0


def test_without_spread_inside_bins_the_decomposition_is_murphys():
    logits = np.log([[0.8, 0.2]] * 10 + [[0.3, 0.7]] * 10)
    labels = np.array([0] * 6 + [1] * 4 + [0] * 5 + [1] * 5)
    parts = brier_decomposition(logits, labels)
    assert parts.within_bin == pytest.approx(0, abs=1e-12)
    assert parts.reliability == pytest.approx(2 * (0.5 * 0.2**2 + 0.5 * 0.2**2), abs=1e-12)
    assert parts.resolution == pytest.approx(2 * 0.05**2, abs=1e-12)
    assert parts.uncertainty == pytest.approx(2 * 0.55 * 0.45, abs=1e-12)


def test_tables_of_pieces_add_up():
    logits, labels = random_case(3)
    whole = classwise_table(logits, labels)
    pieces = classwise_table(logits[:40], labels[:40]) + classwise_table(logits[40:], labels[40:])
    for name, value in vars(whole).items():
        np.testing.assert_allclose(vars(pieces)[name], value, rtol=1e-12)
    assert whole.n == 150
    assert whole.support.tolist() == np.bincount(labels, minlength=5).tolist()


def test_agrees_with_netcal_on_two_classes():
    logits, labels = random_case(4, classes=2)
    theirs = netcal.metrics.ECE(15).measure(softmax(logits)[:, 1], labels)
    assert classwise_ece(logits, labels)[1] == pytest.approx(theirs, abs=1e-9)


def test_saturated_float32_probabilities_stay_in_the_last_bin():
    logits = np.array([[200.0, 0.0, -200.0]] * 3, dtype=np.float32)
    assert classwise_ece(logits, [0, 0, 1]).tolist() == pytest.approx([1 / 3, 1 / 3, 0])


def test_empty_input_is_refused():
    with pytest.raises(InputError, match="at least one example"):
        static_ece(np.empty((0, 3)), np.empty(0, dtype=np.int64))
