import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from textmix.config import LossConfig
from textmix.errors import InputError
from textmix.losses import (
    classification_loss,
    entropy_sum,
    resolve_class_weights,
    smooth_labels,
    soft_cross_entropy,
    target_mass,
)


@st.composite
def batches(draw):
    """Logits (B, C), labels (B,), class weights (C,), float64."""
    rows, classes = draw(st.integers(1, 9)), draw(st.integers(2, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = 5 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (rows,), generator=generator)
    weights = torch.rand(classes, generator=generator, dtype=torch.float64) + 0.1
    return logits, labels, weights


def one_hot(labels, classes):
    return F.one_hot(labels, classes).double()


@given(batches())
@settings(deadline=None)
def test_hard_labels_give_torchs_cross_entropy(batch):
    logits, labels, weights = batch
    targets = one_hot(labels, logits.shape[1])
    torch.testing.assert_close(soft_cross_entropy(logits, targets), F.cross_entropy(logits, labels))
    torch.testing.assert_close(
        soft_cross_entropy(logits, targets, weights), F.cross_entropy(logits, labels, weight=weights)
    )


@given(batches(), st.floats(0, 1))
@settings(deadline=None)
def test_smoothing_over_all_classes_is_torchs(batch, epsilon):
    logits, labels, weights = batch
    config = LossConfig(label_smoothing=epsilon, smoothing_convention="all")
    loss = classification_loss(logits, one_hot(labels, logits.shape[1]), config, weights)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels, weight=weights, label_smoothing=epsilon))


@given(batches(), st.floats(0, 0.5))
@settings(deadline=None)
def test_the_two_conventions_are_related_by_k_over_k_minus_1(batch, epsilon):
    _, labels, weights = batch
    classes = len(weights)
    targets = one_hot(labels, classes)
    in_torchs = min(1.0, epsilon * classes / (classes - 1))  # 0.5 of two classes may round to just above 1
    torch.testing.assert_close(smooth_labels(targets, epsilon, "others"), smooth_labels(targets, in_torchs, "all"))
    kept = smooth_labels(targets, epsilon, "others").gather(1, labels[:, None])
    torch.testing.assert_close(kept, torch.full_like(kept, 1 - epsilon))


@given(batches(), st.floats(0, 1))
@settings(deadline=None)
def test_cross_entropy_is_linear_in_the_targets(batch, weight):
    logits, labels, _ = batch
    own, other = one_hot(labels, logits.shape[1]), one_hot(labels.flip(0), logits.shape[1])
    mixed = soft_cross_entropy(logits, weight * own + (1 - weight) * other)
    apart = weight * soft_cross_entropy(logits, own) + (1 - weight) * soft_cross_entropy(logits, other)
    torch.testing.assert_close(mixed, apart)


@given(batches(), st.floats(0, 2))
@settings(deadline=None)
def test_the_entropy_penalty_is_that_of_torchs_categorical(batch, kappa):
    logits, labels, _ = batch
    targets = one_hot(labels, logits.shape[1])
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
    loss = classification_loss(logits, targets, LossConfig(entropy_penalty=kappa))
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels) - kappa * entropy)


@given(batches(), st.integers(0, 9))
@settings(deadline=None)
def test_parts_divided_by_the_wholes_counts_add_up_to_the_whole(batch, cut):
    logits, labels, weights = batch
    targets, config = one_hot(labels, len(weights)), LossConfig(label_smoothing=0.1, entropy_penalty=0.3)
    whole = classification_loss(logits, targets, config, weights)
    mass = target_mass(targets, weights)
    parts = [
        classification_loss(logits[part], targets[part], config, weights, rows=len(logits), mass=mass)
        for part in (slice(None, cut), slice(cut, None))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_saturated_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    config = LossConfig(label_smoothing=0.1, entropy_penalty=0.1)
    assert classification_loss(logits, torch.eye(2), config).isfinite()
    assert entropy_sum(logits) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(dtype):
    logits = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    targets = torch.eye(5)[torch.arange(64) % 5]
    loss = soft_cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, soft_cross_entropy(logits.float(), targets))


@pytest.mark.parametrize(("epsilon", "convention", "classes"), [(0.6, "others", 2), (1.2, "all", 2), (-0.1, "all", 3)])
def test_smoothing_out_of_bounds_is_refused(epsilon, convention, classes):
    with pytest.raises(InputError, match=r"loss\.label_smoothing: expected a share in \[0, .*\] for"):
        smooth_labels(torch.eye(classes), epsilon, convention)


def test_targets_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"expected the shape of the logits \(2, 3\), got \(2,\)"):
        soft_cross_entropy(torch.zeros(2, 3), torch.zeros(2))


def test_balanced_weights_are_scikit_learns():
    sklearn_utils = pytest.importorskip("sklearn.utils.class_weight")
    labels = [0] * 7 + [1] * 2 + [2] * 5
    expected = sklearn_utils.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    got = resolve_class_weights(LossConfig(class_weights="balanced"), torch.bincount(torch.tensor(labels)))
    torch.testing.assert_close(got.double(), torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_given_weights_are_taken_and_none_are_none():
    assert resolve_class_weights(LossConfig(), torch.tensor([1, 2])) is None
    got = resolve_class_weights(LossConfig(class_weights=(1.0, 3.0)), torch.tensor([1, 2]))
    assert got.tolist() == [1.0, 3.0]


def test_weights_that_do_not_fit_the_classes_are_refused():
    with pytest.raises(InputError, match="one weight for each of the 3 classes, got 2"):
        resolve_class_weights(LossConfig(class_weights=(1.0, 3.0)), torch.tensor([1, 2, 3]))
    with pytest.raises(InputError, match=r"balanced needs .* got none of classes \[1\]"):
        resolve_class_weights(LossConfig(class_weights="balanced"), torch.tensor([1, 0, 3]))
