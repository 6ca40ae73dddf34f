"""What is drawn depends on the arguments alone and follows the distributions it should."""

import numpy as np
import pytest
import torch
from scipy import stats

from textmix.config import MixupConfig
from textmix.errors import InputError
from textmix.mixup import Mix, draw

CONFIG = MixupConfig(alpha=0.4)
SAMPLE = MixupConfig(alpha=0.4, weight_per="sample")


def same(a: Mix, b: Mix) -> bool:
    return torch.equal(a.permutation, b.permutation) and torch.equal(a.weight, b.weight) and a.choice == b.choice


def test_the_same_seed_draws_the_same_however_much_was_drawn_in_between():
    first = draw(SAMPLE, 32, seed=(1, 2, 3, 4))
    torch.nn.functional.dropout(torch.ones(1000))
    for step in range(5):
        draw(SAMPLE, 32, seed=(1, 2, step, 4))
    assert same(first, draw(SAMPLE, 32, seed=(1, 2, 3, 4)))


@pytest.mark.parametrize("part", range(4), ids=["seed", "epoch", "step", "rank"])
def test_seed_epoch_step_and_rank_each_change_the_draw(part):
    seed = [5, 6, 7, 8]
    mixes = []
    for _ in range(20):
        mixes.append(draw(SAMPLE, 32, seed=tuple(seed)))
        seed[part] += 1
    assert len({tuple(mix.weight.tolist()) for mix in mixes}) == 20
    assert len({tuple(mix.permutation.tolist()) for mix in mixes}) == 20
    assert len({mix.choice for mix in mixes}) == 20


def test_exchanging_epoch_step_and_rank_is_another_draw():
    orders = [(0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1), (1, 0, 2, 3)]
    assert len({draw(CONFIG, 8, seed=order).choice for order in orders}) == len(orders)


def test_drawing_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what must not move
    draw(SAMPLE, 16, seed=(0, 0, 0, 0))
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("config", "size"),
    [(MixupConfig(alpha=0.0), 8), (MixupConfig(alpha=0.4, site="none"), 8), (CONFIG, 1)],
    ids=["alpha 0", "site none", "one row"],
)
def test_nothing_to_mix_is_the_identity(config, size):
    mix = draw(config, size, seed=(0, 0, 0, 0))
    assert mix.identity
    assert torch.equal(mix.permutation, torch.arange(size))
    assert mix.weight == 1
    labels = torch.arange(size) % 3
    assert torch.equal(mix.targets(labels, 3), torch.eye(3)[labels])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_lambda_follows_the_beta_distribution_unfolded(alpha):
    per_sample = MixupConfig(alpha=alpha, weight_per="sample")
    weights = draw(per_sample, 4000, seed=(0, 0, 0, 0)).weight.double().numpy()
    assert weights.shape == (4000,)
    assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    config = MixupConfig(alpha=alpha)
    over_steps = [draw(config, 4, seed=(0, 0, step, 0)).weight for step in range(2000)]
    assert over_steps[0].shape == ()
    assert stats.kstest(torch.stack(over_steps).double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_every_permutation_and_every_choice_is_equally_likely():
    mixes = [draw(CONFIG, 3, seed=(3, 0, step, 0)) for step in range(3000)]
    _, counts = np.unique([mix.permutation.tolist() for mix in mixes], axis=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest([mix.choice for mix in mixes], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("weight", [torch.tensor(0.3), torch.tensor([0.9, 0.5, 0.2, 0.0])], ids=["batch", "sample"])
@pytest.mark.parametrize("labels", ["soft", "dominant"])
def test_targets_agree_with_a_loop_over_rows(weight, labels):
    permutation, classes = torch.tensor([2, 0, 3, 1]), torch.tensor([0, 1, 1, 2])
    targets = Mix(permutation, weight, labels).targets(classes, 3)
    expected = torch.zeros(4, 3)
    for row, share in enumerate(weight.expand(4).tolist()):
        partner = classes[permutation[row]]
        if labels == "soft":
            expected[row, classes[row]] += share
            expected[row, partner] += 1 - share
        else:
            expected[row, classes[row] if share >= 0.5 else partner] = 1
    assert targets.dtype == torch.float32
    torch.testing.assert_close(targets, expected)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize("kind", ["soft", "dominant", "identity"])
def test_targets_are_those_of_class_indices_of_any_integer_type(dtype, kind):
    identity = kind == "identity"
    mix = Mix(torch.tensor([1, 2, 0]), torch.tensor(0.3), "soft" if identity else kind, identity=identity)
    labels = torch.tensor([0, 1, 1])
    assert torch.equal(mix.targets(labels.to(dtype), 2), mix.targets(labels, 2))


def test_labels_that_are_no_indices_are_refused():
    with pytest.raises(InputError, match=r"labels: expected class indices .* got shape \(4,\) of torch.float32"):
        draw(CONFIG, 4, seed=(0, 0, 0, 0)).targets(torch.zeros(4), 2)


def test_the_mean_soft_target_is_the_class_frequencies():
    labels = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    means = [draw(SAMPLE, 10, seed=(0, 0, step, 0)).targets(labels, 3).mean(dim=0) for step in range(3000)]
    torch.testing.assert_close(torch.stack(means).mean(dim=0), torch.tensor([0.5, 0.3, 0.2]), atol=5e-3, rtol=0)


def test_labels_of_another_batch_are_refused():
    with pytest.raises(InputError, match=r"labels: expected .* \(4,\) .* got shape \(3,\)"):
        draw(CONFIG, 4, seed=(0, 0, 0, 0)).targets(torch.zeros(3, dtype=torch.long), 2)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match=r"seed: expected .* got \(0, 0, -1, 0\)"):
        draw(CONFIG, 4, seed=(0, 0, -1, 0))
