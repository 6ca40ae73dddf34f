import json
from dataclasses import replace

import numpy as np
import pytest

from textmix.errors import InputError
from textmix.options import SweepConfig
from textmix.predictions import Predictions, load, save
from textmix.sweep.grid import expand
from textmix.sweep.results import collect
from textmix.sweep.trained import Trained

SWEEP = SweepConfig(methods={"plain": {}}, seeds=(0, 1, 2), resamples=100)


@pytest.fixture
def runs(tmp_path):
    """Three runs, of which the second found no best temperature and the third has no test set."""
    runs = expand(SWEEP, tmp_path)
    for run in runs:
        labels = np.arange(20) % 2
        logits = np.random.default_rng(run.seed).normal(size=(20, 2))
        predictions = Predictions(logits, labels, ("no", "yes"), [str(k) for k in range(20)])
        save(predictions, run.folder / "predictions" / "validation.parquet")
        summary = {"temperature": 0.01 if run.seed == 1 else 2.0, "ood": {}, "validation": {},
                   "sizes": {"train": 9, "validation": 20}, "best_epoch": 1, "seconds": 1.0}  # fmt: skip
        if run.seed == 1:
            summary["temperature_reason"] = "the validation set is separable"
        if run.seed < 2:
            save(predictions, run.folder / "predictions" / "test.parquet")
            summary["test"] = {}
        (run.folder / "summary.json").write_text(json.dumps(summary))
    return runs


def test_a_temperature_at_its_bound_is_not_used(runs):
    trained = Trained(runs[:2])
    assert trained.temperatures == [2.0, 1.0]
    first, second = trained.calibrated(trained.raw)
    np.testing.assert_allclose(first.logits, trained.raw[0].logits / 2)
    np.testing.assert_array_equal(second.logits, trained.raw[1].logits)


def test_only_where_a_run_has_no_test_set_validation_stands_for_it(runs):
    assert Trained(runs[:2]).part == "test"
    without = Trained(runs[2:])
    assert without.part == "validation"
    assert without.raw == without.validation
    assert Trained(runs).part == "validation"


def test_one_run_is_comparable_with_one(runs):
    one, other, several = Trained(runs[:1]), Trained(runs[1:2]), Trained(runs[:2])
    assert one.comparable(other)
    assert several.comparable(several)
    assert not one.comparable(several)
    assert not several.comparable(one)


def test_runs_on_other_examples_are_named(runs):
    path = runs[1].folder / "predictions" / "test.parquet"
    save(replace(load(path), ids=[f"x{k}" for k in range(20)]), path)
    with pytest.raises(InputError, match=r"/tweets: 'plain', its seeds or beside the first: .* in number 2: id 'x0'"):
        collect(SWEEP, "small", runs, runs[:2])
