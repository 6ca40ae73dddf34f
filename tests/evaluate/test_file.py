import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from textmix.errors import InputError
from textmix.evaluate import evaluate_file
from textmix.options import EvaluateConfig
from textmix.predictions import Predictions, load, save

NAMES = ("ham", "spam")


def simulated(n: int, seed: int, sharpness: float) -> Predictions:
    """Logits that are `sharpness` times those of a calibrated model."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = rng.normal(size=(n, 2))
    scores[np.arange(n), labels] += 1.5
    return Predictions(1.5 * sharpness * scores, labels, NAMES, [f"{seed}-{i}" for i in range(n)])


@pytest.fixture
def folder(tmp_path):
    save(simulated(1000, 0, 2.0), tmp_path / "test.parquet")
    save(simulated(1500, 1, 2.0), tmp_path / "validation.parquet")
    outside = simulated(300, 2, 0.4)
    save(Predictions(outside.logits, np.full(300, -1), NAMES, outside.ids), tmp_path / "ood_news.parquet")
    return tmp_path


def config(folder, **options) -> EvaluateConfig:
    options = {"file": str(folder / "test.parquet"), "output_dir": str(folder / "out"), "resamples": 200, **options}
    return EvaluateConfig(**options)


def test_writes_summary_report_and_card(folder):
    result = evaluate_file(config(folder))
    assert sorted(path.name for path in result.folder.iterdir()) == ["README.md", "report.html", "summary.json"]
    assert json.loads((result.folder / "summary.json").read_text()) == json.loads(json.dumps(result.summary))
    assert set(result.summary) >= {"test", "intervals", "null_band", "selective", "versions", "seed", "bins"}
    assert "validation" not in result.summary
    assert "test_calibrated" not in result.summary
    assert f"{result.summary['test']['ece']:.4f}" in result.table


def test_numbers_are_those_of_plain_numpy(folder):
    test = load(folder / "test.parquet")
    metrics = evaluate_file(config(folder, bins=10)).summary["test"]
    probabilities = softmax(test.logits, axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == test.labels
    bins = np.digitize(confidence, np.arange(1, 10) / 10, right=True)
    gaps = [abs(confidence[bins == b].sum() - correct[bins == b].sum()) for b in range(10)]
    assert metrics["n"] == 1000
    assert metrics["accuracy"] == correct.mean()
    assert metrics["ece"] == pytest.approx(sum(gaps) / 1000, abs=1e-12)
    assert metrics["nll"] == pytest.approx(-np.log(probabilities[np.arange(1000), test.labels]).mean(), abs=1e-12)
    assert metrics["brier"] == pytest.approx(((probabilities - np.eye(2)[test.labels]) ** 2).sum(axis=1).mean())


def test_calibrate_on_finds_the_temperature_and_restores_calibration(folder):
    summary = evaluate_file(config(folder, calibrate_on=str(folder / "validation.parquet"))).summary
    low, high = summary["temperature_interval"]
    assert low < 2.0 < high
    assert summary["test_calibrated"]["accuracy"] == summary["test"]["accuracy"]
    assert (
        summary["null_band"]["test"]["ece"]["p_value"]
        < 0.05
        < summary["null_band"]["test_calibrated"]["ece"]["p_value"]
    )
    low, high = summary["intervals"]["test"]["ece"]
    assert low < summary["test"]["ece"] < high


def test_outside_sets_are_read_without_labels_and_matched_by_name(folder):
    frame = pd.read_parquet(folder / "ood_news.parquet")[["logit_spam", "logit_ham", "id"]]
    frame.to_csv(folder / "turned.csv", index=False)
    summary = evaluate_file(config(folder, ood=(str(folder / "ood_news.parquet"), str(folder / "turned.csv")))).summary
    assert list(summary["ood"]) == ["news", "turned"]
    assert summary["ood"]["news"]["scores"]["msp"] == pytest.approx(summary["ood"]["turned"]["scores"]["msp"])
    assert summary["ood"]["news"]["scores"]["msp"]["auroc"] > 0.7


def test_probabilities_give_the_same_but_no_energy(folder):
    test = load(folder / "test.parquet")
    frame = pd.DataFrame({"label": [NAMES[k] for k in test.labels]})
    frame[["prob_ham", "prob_spam"]] = softmax(test.logits, axis=1)
    frame.to_csv(folder / "probabilities.csv", index=False)
    frame.drop(columns="label").to_csv(folder / "other.csv", index=False)
    from_logits = evaluate_file(config(folder)).summary
    options = {"source": "probabilities", "ood": (str(folder / "other.csv"),)}
    summary = evaluate_file(config(folder, file=str(folder / "probabilities.csv"), **options)).summary
    for name, value in from_logits["test"].items():
        assert summary["test"][name] == pytest.approx(value, rel=1e-6), name
    assert "energy" in summary["notes"][0]
    assert "energy" not in summary["ood"]["other"]["scores"]
    assert summary["ood"]["other"]["scores"]["msp"]["auroc"] == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_report(folder):
    first, second = (evaluate_file(config(folder, output_dir=str(folder / name))).folder for name in "ab")
    for name in ("summary.json", "report.html", "README.md"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_fitting_a_temperature_on_the_test_set_is_refused(folder):
    with pytest.raises(InputError, match="told the answers"):
        evaluate_file(config(folder, calibrate_on=str(folder / "test.parquet")))


def test_other_classes_and_repeated_names_are_refused(folder):
    p = simulated(10, 3, 1.0)
    save(Predictions(p.logits, p.labels, ("ham", "eggs"), p.ids), folder / "eggs.parquet")
    with pytest.raises(InputError, match=r"eggs.parquet: expected the classes \['ham', 'spam'\]"):
        evaluate_file(config(folder, calibrate_on=str(folder / "eggs.parquet")))
    with pytest.raises(InputError, match="a second 'news'"):
        evaluate_file(config(folder, ood=(str(folder / "ood_news.parquet"),) * 2))
    assert not (folder / "out").exists()


def test_files_below_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    options = {"calibrate_on": "~/validation.parquet", "ood": ("~/ood_news.parquet",), "output_dir": "~/out"}
    assert evaluate_file(config(folder, file="~/test.parquet", **options)).folder == folder / "out"
    assert (folder / "out" / "README.md").exists()


def test_a_run_is_not_overwritten(folder):
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("seed: 0")
    with pytest.raises(InputError, match="expected a folder without a run"):
        evaluate_file(config(folder, output_dir=str(folder / "run")))


@pytest.mark.parametrize("name", ["README.md", "report.html", "summary.json"])
def test_a_file_that_no_evaluation_wrote_is_not_overwritten(folder, name):
    (folder / name).write_text('{"mine": 1}')
    with pytest.raises(InputError, match=f"expected a folder without {name}, or that of an earlier evaluation"):
        evaluate_file(config(folder, output_dir=str(folder)))
    assert (folder / name).read_text() == '{"mine": 1}'
    (folder / name).unlink()
    first = evaluate_file(config(folder, output_dir=str(folder))).summary
    assert evaluate_file(config(folder, output_dir=str(folder))).summary == first


def test_a_single_row_and_a_place_that_is_no_folder_are_refused(folder):
    p = simulated(1, 3, 1.0)
    save(p, folder / "one.parquet")
    with pytest.raises(InputError, match=r"one.parquet: expected at least two examples"):
        evaluate_file(config(folder, file=str(folder / "one.parquet")))
    with pytest.raises(InputError, match=r"test.parquet: expected a folder that can be written to"):
        evaluate_file(config(folder, output_dir=str(folder / "test.parquet")))
