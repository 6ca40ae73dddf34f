import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from textmix.errors import InputError
from textmix.evaluate import compare_runs
from textmix.evaluate.methods import differences, read_methods
from textmix.options import CompareConfig
from textmix.predictions import Predictions, save

NAMES = ("ham", "spam")


def simulated(n: int, sharpness: float, noise: int = 0) -> Predictions:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    scores = rng.normal(size=(n, 2))
    scores[np.arange(n), labels] += 1.5
    scores += np.random.default_rng(noise).normal(size=(n, 2)) * 0.05
    return Predictions(1.5 * sharpness * scores, labels, NAMES, [f"test-{i}" for i in range(n)])


def run(folder, predictions, alpha: float = 0.0, seed: int = 0, part: str = "test"):
    (folder / "predictions").mkdir(parents=True)
    save(predictions, folder / "predictions" / f"{part}.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "mixup": {"alpha": alpha, "site": "embedding"}}))
    (folder / "summary.json").write_text(json.dumps({}))
    return str(folder)


def compared(*paths, **options):
    return compare_runs(CompareConfig(paths=tuple(str(path) for path in paths), resamples=200, **options))


def test_files_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, sharpness in (("a", 1.0), ("b", 2.0)):
        save(simulated(200, sharpness), tmp_path / f"{name}.parquet")
    assert len(compared("~/a.parquet", "~/b.parquet").methods) == 2


def test_says_what_is_and_what_is_not_established(tmp_path):
    save(simulated(2000, 3.0), tmp_path / "sharp.parquet")
    save(simulated(2000, 1.0), tmp_path / "calibrated.parquet")
    result = compared(tmp_path / "sharp.parquet", tmp_path / "calibrated.parquet")
    assert result.methods == ("sharp.parquet", "calibrated.parquet")
    (comparison,) = result.comparisons
    assert comparison.differences["ece"].high < 0
    assert "ECE lower by" in result.text
    assert "accuracy not distinguishable" in result.text
    assert result.text.count("sharp.parquet") >= 2


def test_rows_and_classes_in_another_order_are_the_same_examples(tmp_path):
    first, second = simulated(500, 3.0), simulated(500, 1.0)
    order = np.random.default_rng(2).permutation(500)
    turned = Predictions(
        second.logits[order][:, ::-1], 1 - second.labels[order], NAMES[::-1], [second.ids[i] for i in order]
    )
    for name, p in (("a", first), ("b", second), ("c", turned)):
        save(p, tmp_path / f"{name}.parquet")
    straight = compared(tmp_path / "a.parquet", tmp_path / "b.parquet").comparisons[0]
    again = compared(tmp_path / "a.parquet", tmp_path / "c.parquet").comparisons[0]
    for metric, difference in straight.differences.items():
        assert again.differences[metric].difference == pytest.approx(difference.difference, abs=1e-12)


def test_runs_that_differ_in_the_seed_alone_are_one_method(tmp_path):
    paths = [run(tmp_path / f"plain-{seed}", simulated(400, 3.0, seed), seed=seed) for seed in range(3)]
    paths += [run(tmp_path / f"mixup-{seed}", simulated(400, 1.0, seed), alpha=0.4, seed=seed) for seed in range(2)]
    result = compared(*paths)
    assert result.methods == ("plain-0 and 2 more seeds", "mixup-0 and 1 more seeds")
    assert result.comparisons[0].runs == (3, 2)
    assert "mixup.alpha 0.4 instead of 0.0" in result.text


def test_a_copy_of_a_run_is_no_repetition(tmp_path):
    plain, again = (run(tmp_path / name, simulated(50, 1.0), seed=3) for name in ("plain", "copy"))
    mixup = run(tmp_path / "mixup", simulated(50, 2.0), alpha=0.4, seed=3)
    assert len(compared(plain, mixup).methods) == 2
    with pytest.raises(InputError, match=r"copy: expected another seed or other settings than those of .*plain, got"):
        compared(plain, mixup, again)


def test_equal_names_get_their_parents(tmp_path):
    for parent in "ab":
        run(tmp_path / parent / "run-0", simulated(50, 1.0), alpha=float(parent == "b"))
    methods = read_methods([tmp_path / "a" / "run-0", tmp_path / "b" / "run-0"])
    assert [method.name for method in methods] == ["a/run-0", "b/run-0"]
    assert differences(*methods) == ["mixup.alpha 1.0 instead of 0.0"]


def test_validation_serves_where_a_run_has_no_test(tmp_path):
    paths = [
        run(tmp_path / name, simulated(50, 1.0), alpha=a, part="validation") for name, a in (("x", 0.0), ("y", 0.5))
    ]
    assert compared(*paths).comparisons[0].n == 50


def test_other_examples_and_other_labels_are_refused_by_path(tmp_path):
    p = simulated(50, 1.0)
    save(p, tmp_path / "a.parquet")
    save(replace(p, ids=[f"x{i}" for i in range(50)]), tmp_path / "b.parquet")
    save(replace(p, labels=1 - p.labels), tmp_path / "c.parquet")
    for name, message in (("b", "same examples"), ("c", "same true labels")):
        with pytest.raises(InputError, match=rf"{name}.parquet.*{message}"):
            compared(tmp_path / "a.parquet", tmp_path / f"{name}.parquet")


def test_what_can_not_be_compared_is_refused(tmp_path):
    path = run(tmp_path / "a-0", simulated(50, 1.0))
    other = run(tmp_path / "a-1", simulated(50, 1.0), seed=1)
    with pytest.raises(InputError, match="every run or file once"):
        compared(path, path)
    with pytest.raises(InputError, match="differ in the seed alone"):
        compared(path, other)
    with pytest.raises(InputError, match="two or more"):
        compared(path)
    (tmp_path / "a-1" / "summary.json").unlink()
    with pytest.raises(InputError, match="summary of a finished run"):
        compared(path, other)
