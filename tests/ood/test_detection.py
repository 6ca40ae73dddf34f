import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from textmix.errors import InputError
from textmix.ood import aupr_in, aupr_out, auroc, detection, fpr95, placements


def score_sets():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        inside, outside = rng.normal(1, 1, rng.integers(1, 60)), rng.normal(0, 1, rng.integers(1, 60))
        yield (inside, outside) if seed % 2 else (inside.round(), outside.round())  # with ties
    yield np.ones(20), np.ones(7)
    yield np.ones(20), np.zeros(3)
    yield np.zeros(20), np.ones(3)


def test_agree_with_scikit_learn_ties_or_not():
    for inside, outside in score_sets():
        truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
        scores = np.r_[inside, outside]
        fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
        assert auroc(inside, outside) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert aupr_in(inside, outside) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
        assert aupr_out(inside, outside) == pytest.approx(average_precision_score(1 - truth, -scores), abs=1e-12)
        assert fpr95(inside, outside) == pytest.approx(fpr[np.flatnonzero(tpr >= 0.95 - 1e-12)[0]], abs=1e-12)


def test_no_separation_is_chance_and_full_separation_is_one():
    chance = detection(np.full(30, 0.5), np.full(10, 0.5))
    assert (chance.auroc, chance.aupr_in, chance.aupr_out, chance.fpr95) == (0.5, 0.75, 0.25, 1)
    clear = detection([3.0, 2.0], [1.0])
    assert (clear.auroc, clear.aupr_in, clear.aupr_out, clear.fpr95) == (1, 1, 1, 0)


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 5, 40) / 4, rng.integers(0, 4, 40) / 4
    assert detection(rng.permutation(inside), rng.permutation(outside)) == detection(inside, outside)


def test_bad_scores_are_refused():
    with pytest.raises(InputError, match="in_scores: expected one score an example"):
        auroc([], [1.0])
    with pytest.raises(InputError, match=r"out_scores: expected one score an example, .* got shape \(2, 2\)"):
        aupr_in([1.0], np.ones((2, 2)))
    with pytest.raises(InputError, match="out_scores: expected finite numbers, got nan in row 1"):
        fpr95([1.0], [0.0, float("nan")])


def test_placements_average_to_the_auroc_and_give_its_standard_error():
    rng = np.random.default_rng(0)
    auc = []
    for _ in range(300):
        inside, outside = rng.normal(1, 1, 60).round(1), rng.normal(0, 2, 40).round(1)
        own, others = placements(inside, outside)
        assert own.mean() == pytest.approx(auroc(inside, outside))
        assert others.mean() == pytest.approx(auroc(inside, outside))
        auc.append((own.mean(), own.var(ddof=1) / 60 + others.var(ddof=1) / 40))
    estimates, variances = np.array(auc).T
    assert variances.mean() == pytest.approx(estimates.var(), rel=0.2)
