import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from textmix.cli import main
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


def run(folder, predictions, alpha: float = 0.0, seed: int = 0, part: str = "test", **summary):
    (folder / "predictions").mkdir(parents=True)
    save(predictions, folder / "predictions" / f"{part}.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "mixup": {"alpha": alpha, "site": "embedding"}}))
    (folder / "summary.json").write_text(json.dumps(summary))
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


def test_runs_are_compared_at_their_own_temperatures_as_the_saved_models_would_be(tmp_path, topics):
    model = {"model.embedding_dim": 8, "model.num_filters": 4, "train.batch_size": 16, "eval.resamples": 100}
    runs, files = [], []
    for alpha, epochs in ((0, 6), (1, 2)):
        options = {"data.path": topics, "mixup.alpha": alpha, "train.epochs": epochs, "train.threads": 1, **model}
        folder = tmp_path / f"alpha-{alpha}"
        assert (
            main(["train", "--output_dir", str(folder), *(f"--{key}={value}" for key, value in options.items())]) == 0
        )
        assert json.loads((folder / "summary.json").read_text())["baked"] is True
        runs.append(folder)
        arguments = ["--model", str(folder / "model"), "--data.path", str(topics), "--resamples", "100"]
        assert main(["evaluate", *arguments, "--output_dir", str(tmp_path / f"measured-{alpha}")]) == 0
        files.append(tmp_path / f"measured-{alpha}" / "predictions.parquet")
    of_runs, of_files = compared(*runs), compared(*files)
    assert of_files.scaled == ()
    expected = of_files.comparisons[0].differences
    for metric, difference in of_runs.scaled[0].differences.items():
        assert vars(difference) == pytest.approx(vars(expected[metric]), abs=1e-4)
    assert of_runs.comparisons[0].differences["nll"].a != pytest.approx(expected["nll"].a, abs=1e-3)


def test_what_is_raw_and_what_is_at_the_temperatures_is_told_apart(tmp_path):
    plain = [run(tmp_path / f"plain-{seed}", simulated(400, 3.0, seed), seed=seed, temperature=3.0) for seed in (0, 1)]
    mixup = [run(tmp_path / f"mixup-{seed}", simulated(400, 1.0, seed), 0.4, seed, temperature=1.0 + seed)
             for seed in (0, 1)]  # fmt: skip
    text = compared(*plain, *mixup).text
    table, raw, scaled = text.split("\n\n")
    assert "plain-0 and 1 more seeds, T = 3.00" in table
    assert "mixup-0 and 1 more seeds, T = 1.50" in table
    assert raw.startswith("Raw, mixup-0 and 1 more seeds against plain-0 and 1 more seeds on 400 examples")
    assert scaled.startswith("At each run's own temperature, mixup-0 and 1 more seeds against plain-0")
    assert text.count("Its settings: mixup.alpha 0.4 instead of 0.0.") == 1


def test_a_temperature_that_is_not_best_is_not_applied(tmp_path):
    reason = {"temperature": 0.01, "temperature_reason": "there is no mistake"}
    paths = [run(tmp_path / name, simulated(50, 1.0), alpha, **reason) for name, alpha in (("x", 0.0), ("y", 0.5))]
    result = compared(*paths)
    assert result.scaled == ()
    assert "T = " not in result.text
    assert "Raw" not in result.text


def test_a_temperature_that_is_no_number_is_refused_by_path(tmp_path):
    plain = run(tmp_path / "plain", simulated(50, 1.0))
    other = run(tmp_path / "other", simulated(50, 1.0), alpha=0.4, temperature="warm")
    with pytest.raises(InputError, match=r"other: expected summary.json, .* as textmix writes them"):
        compared(plain, other)


def test_a_copy_of_a_run_is_no_repetition(tmp_path):
    plain, again = (run(tmp_path / name, simulated(50, 1.0), seed=3) for name in ("plain", "copy"))
    mixup = run(tmp_path / "mixup", simulated(50, 2.0), alpha=0.4, seed=3)
    assert len(compared(plain, mixup).methods) == 2
    with pytest.raises(InputError, match=r"copy: expected another seed or other settings than those of .*plain, got"):
        compared(plain, mixup, again)


def test_equal_names_get_their_parents(tmp_path):
    for parent in "ab":
        run(tmp_path / parent / "run-0", simulated(50, 1.0), alpha=float(parent == "b"))
    methods = read_methods([tmp_path / "a" / "run-0", tmp_path / "b" / "run-0"], "test")
    assert [method.name for method in methods] == ["a/run-0", "b/run-0"]
    assert differences(*methods) == ["mixup.alpha 1.0 instead of 0.0"]


def test_validation_serves_where_a_run_has_no_test(tmp_path):
    paths = [
        run(tmp_path / name, simulated(50, 1.0), alpha=a, part="validation") for name, a in (("x", 0.0), ("y", 0.5))
    ]
    assert compared(*paths).comparisons[0].n == 50
    scaled = run(tmp_path / "z", simulated(50, 1.0), alpha=0.7, part="validation", temperature=2.0)
    text = compared(*paths, scaled).text
    assert "z (validation), T = 2.00" in text
    assert "At each run's own temperature (fitted on these very examples, which flatters it), z against x" in text


def test_other_examples_and_other_labels_are_refused_by_path(tmp_path):
    p = simulated(50, 1.0)
    save(p, tmp_path / "a.parquet")
    save(replace(p, ids=[f"x{i}" for i in range(50)]), tmp_path / "b.parquet")
    save(replace(p, labels=1 - p.labels), tmp_path / "c.parquet")
    for name, message in (("b", "same examples"), ("c", "same true labels")):
        with pytest.raises(InputError, match=rf"{name}.parquet.*{message}"):
            compared(tmp_path / "a.parquet", tmp_path / f"{name}.parquet")


def test_files_without_ids_in_another_order_are_told_of_by_their_texts(tmp_path, caplog):
    p = replace(simulated(50, 1.0), labels=np.zeros(50, np.int64), texts=[f"text {i}" for i in range(50)])
    save(p, tmp_path / "with_ids.parquet")
    table = pd.read_parquet(tmp_path / "with_ids.parquet").drop(columns="id")
    table.to_csv(tmp_path / "a.csv", index=False)
    table[::-1].to_csv(tmp_path / "b.csv", index=False)
    compared(tmp_path / "a.csv", tmp_path / "b.csv")
    assert "b.csv: other texts than in the first, such as 'text 49' instead of 'text 0' under id '0'" in caplog.text
    assert len(caplog.records) == 1


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
