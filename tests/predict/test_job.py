import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from checkpoints_kit import checkpoint
from scipy.special import softmax
from topics_kit import topic_texts
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from textmix.cli import main
from textmix.export import bake
from textmix.options import PredictConfig
from textmix.predict import job, predict_file
from textmix.predictions import Predictions, save

LABELS = ("cooking", "music", "sailing")
TEXTS = [text for text, _ in topic_texts(50, 3)]
TEXTS[7], TEXTS[9] = "", "butter " * 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run, as far as prediction reads it: a model, and validation predictions."""
    folder = tmp_path_factory.mktemp("run")
    checkpoint(folder / "model", "bert", LABELS)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    logits = rng.normal(size=(400, 3)) + 2 * np.eye(3)[labels]
    (folder / "predictions").mkdir()
    save(Predictions(logits, labels, LABELS, [str(i) for i in range(400)]), folder / "predictions/validation.parquet")
    return folder


@pytest.fixture
def table(tmp_path):
    pd.DataFrame({"id": range(50), "text": TEXTS, "pair": TEXTS[::-1]}).to_parquet(tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def predict(folder, table, *options, to="out.parquet"):
    code = main(["predict", "--model", str(folder), "--input", str(table), "--output", str(table.parent / to),
                 "--threads", "1", *options])  # fmt: skip
    return code, table.parent / to


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_texts_of_every_type_are_read(folder, tmp_path, kind):
    column = pa.chunked_array([pa.array(TEXTS[:3])]).cast(kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    code, output = predict(folder, tmp_path / "in.parquet")
    assert code == 0
    assert pd.read_parquet(output)["text"].tolist() == TEXTS[:3]


def reference(folder, texts, pairs=None):
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    rows = [(text,) for text in texts] if pairs is None else list(zip(texts, pairs, strict=True))
    with torch.no_grad():
        return np.concatenate([
            model(**words(*columns, truncation=True, max_length=64, return_tensors="pt")).logits.numpy()
            for columns in ([[text] for text in row] for row in rows)
        ])  # fmt: skip


@pytest.mark.parametrize("window", [7, 8192])
def test_every_row_gets_what_the_model_says_of_it_alone(folder, table, window, monkeypatch, capsys):
    monkeypatch.setattr(job, "_WINDOW", window)
    code, output = predict(folder, table, "--batch_size", "4")
    assert code == 0
    result, given = pd.read_parquet(output), pd.read_parquet(table)
    pd.testing.assert_frame_equal(result[given.columns], given)
    expected = reference(folder / "model", TEXTS)
    np.testing.assert_allclose(result[[f"logit_{name}" for name in LABELS]], expected, atol=1e-5)
    np.testing.assert_allclose(result[[f"prob_{name}" for name in LABELS]], softmax(expected, axis=1), atol=1e-5)
    assert result["prediction"].tolist() == [LABELS[k] for k in expected.argmax(axis=1)]
    np.testing.assert_allclose(result["confidence"], softmax(expected, axis=1).max(axis=1), atol=1e-5)
    assert "abstain" not in result
    assert "50 rows; 1 texts were cut at 64 tokens, 1 were empty" in capsys.readouterr().out


@pytest.fixture
def another_precision():
    """Let accelerate, which chooses its precision once for a process, choose again; before and after."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


def test_a_process_that_trained_in_another_precision_predicts_in_float32(folder, table, another_precision):
    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    assert predict_file(PredictConfig(str(folder), str(table), str(table.parent / "out.parquet"), threads=1)).rows == 50
    result = pd.read_parquet(table.parent / "out.parquet")
    np.testing.assert_allclose(
        result[[f"logit_{name}" for name in LABELS]], reference(folder / "model", TEXTS), atol=1e-5
    )
    assert accelerator.mixed_precision == "bf16"


def test_files_below_the_home_folder(folder, table, monkeypatch):
    monkeypatch.setenv("HOME", str(table.parent))
    (table.parent / "run").symlink_to(folder)
    command = ["predict", "--input", "~/in.parquet", "--threads", "1", "--target_accuracy", "0.9"]
    for model, output in (("~/run", "run.parquet"), ("~/run/model", "model.parquet")):
        assert main([*command, "--model", model, "--output", f"~/{output}"]) == 0
        assert (table.parent / output).is_file()


def test_pairs_are_read_as_the_model_reads_them(folder, table):
    _, output = predict(folder, table, "--text_pair_column", "pair")
    expected = reference(folder / "model", TEXTS, TEXTS[::-1])
    np.testing.assert_allclose(pd.read_parquet(output)[[f"logit_{name}" for name in LABELS]], expected, atol=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_any_kind_of_file_gives_any_other(folder, table, suffix):
    frame = pd.read_parquet(table)
    given = table.parent / f"in.{suffix}"
    if suffix == "jsonl":
        frame.to_json(given, orient="records", lines=True)
    else:
        frame.to_csv(given, index=False, sep="\t" if suffix == "tsv" else ",")
    code, output = predict(folder, given, to=f"out.{suffix}")
    assert code == 0
    read = (
        pd.read_json(output, lines=True)
        if suffix == "jsonl"
        else pd.read_csv(output, sep="\t" if suffix == "tsv" else ",")
    )
    assert read["id"].tolist() == list(range(50))
    np.testing.assert_allclose(read["logit_music"], reference(folder / "model", TEXTS)[:, 1], atol=1e-5)


def test_rows_below_a_threshold_are_left_to_a_human(folder, table, capsys):
    _, output = predict(folder, table, "--threshold", "0.6")
    result = pd.read_parquet(output)
    assert result["abstain"].tolist() == (result["confidence"] < 0.6).tolist()
    assert 0 < result["abstain"].sum() < 50
    assert f"below a confidence of 0.6000: {result['abstain'].sum()} rows" in capsys.readouterr().out


def lowest_threshold(logits, labels, target):
    """By trying all."""
    probabilities = softmax(logits, axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    return min(c for c in confidence if right[confidence >= c].mean() >= target)


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_a_target_accuracy_finds_its_threshold_on_validation(folder, table, tmp_path, temperature):
    """The predictions of a run are raw: where its model was baked, they have to be divided, too."""
    run = tmp_path / "run"
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model")
    if temperature is not None:
        bake(model, temperature, {"input_ids": torch.tensor([[5, 6, 7]])})
    model.save_pretrained(run / "model")
    AutoTokenizer.from_pretrained(folder / "model").save_pretrained(run / "model")
    validation = pd.read_parquet(folder / "predictions/validation.parquet")
    (run / "predictions").mkdir()
    validation.to_parquet(run / "predictions/validation.parquet")
    logits = validation[[f"logit_{name}" for name in LABELS]].to_numpy() / (temperature or 1)
    threshold = lowest_threshold(logits, validation["label"].map(LABELS.index).to_numpy(), 0.9)
    for model_path in (run, run / "model"):
        _, output = predict(model_path, table, "--target-accuracy", "0.9")
        result = pd.read_parquet(output)
        assert result["abstain"].tolist() == (result["confidence"] < threshold).tolist()
    shuffled = validation[["logit_sailing", "label", "logit_music", "id", "logit_cooking"]]
    shuffled = shuffled.assign(**{name: shuffled[name] / (temperature or 1) for name in shuffled if "logit" in name})
    shuffled.to_csv(tmp_path / "mine.csv", index=False)
    _, output = predict(run, table, "--target_accuracy", "0.9", "--validation", str(tmp_path / "mine.csv"))
    assert pd.read_parquet(output)["abstain"].tolist() == result["abstain"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text_column", "body"], "expected a column 'body' (--text_column), got ['id', 'text', 'pair']"),
        (["--text_pair_column", "id"], "expected text in column 'id', got int64"),
        (["--max_length", "65"], "max_length: expected at most the 64 tokens"),
        (["--max_length", "2"], "expected more than the 2 special tokens"),
        (["--threshold", "1.5"], "threshold: expected a share in [0, 1], got 1.5"),
        (["--threshold", "0.5", "--target_accuracy", "0.5"], "threshold: expected none beside target_accuracy"),
        (["--target_accuracy", "1.0", "--validation", "nowhere.parquet"], "validation predictions in nowhere.parquet"),
        (["--validation", "v.parquet"], "validation: expected target_accuracy beside it"),
        (["--batch_size", "0"], "batch_size: expected an integer >= 1, got 0"),
        (["--model", "/nothing/there"], "model: expected a Hub id or the folder of a classifier"),
        (["--output", "out.xlsx"], "output: expected one of .parquet, .csv, .tsv, .jsonl"),
        (["--input", "nothing.csv"], "nothing.csv: expected a file of texts, found none"),
        (["--input", "/dev/null"], "/dev/null: expected a file of texts, got a pipe or a device; write it to a file"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_leave_nothing(folder, table, options, message, capsys):
    code, _ = predict(folder, table, *options)
    error = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert message in error
    assert error.startswith("error: ")
    assert [path.name for path in table.parent.iterdir()] == ["in.parquet"]


def test_columns_of_the_same_name_and_the_same_file_are_refused(folder, table, capsys):
    assert predict(folder, table, to="in.parquet")[0] == 2
    assert "expected another file than the input" in capsys.readouterr().err
    _, output = predict(folder, table)
    assert predict(folder, output, to="again.parquet")[0] == 2
    assert "..., which are added, got ['confidence'," in capsys.readouterr().err


@pytest.mark.parametrize("name", ["logit_other", "prob_other", "prediction", "abstain"])
def test_columns_that_would_count_as_added_are_refused(folder, table, capsys, name):
    frame = pd.read_parquet(table)
    frame[name] = np.arange(50.0)
    frame.to_parquet(table)
    code, output = predict(folder, table, "--threshold", "0.5")
    assert code == 2
    assert (
        f"expected no columns abstain, confidence, prediction, logit_... and prob_..., which are added, got ['{name}']"
        in (capsys.readouterr().err)
    )
    assert not output.exists()


def test_a_column_abstain_is_passed_through_where_none_is_added(folder, table):
    frame = pd.read_parquet(table).assign(abstain="no")
    frame.to_parquet(table)
    code, output = predict(folder, table)
    assert code == 0
    assert pd.read_parquet(output)["abstain"].tolist() == ["no"] * 50


def test_an_accuracy_that_no_threshold_reaches_is_refused(folder, table, tmp_path, capsys):
    wrong = pd.read_parquet(folder / "predictions/validation.parquet")
    wrong["label"] = "music"
    wrong[["logit_music", "logit_cooking"]] = [0.0, 1.0]
    wrong.to_parquet(tmp_path / "wrong.parquet")
    code, _ = predict(folder, table, "--target_accuracy", "0.9", "--validation", str(tmp_path / "wrong.parquet"))
    assert code == 2
    assert "fall short of it" in capsys.readouterr().err


def test_a_model_that_gives_nan_stops_with_the_row(folder, table, tmp_path, capsys):
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint(tmp_path / "bad", "bert", LABELS))
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[5] = torch.nan
    model.save_pretrained(tmp_path / "bad")
    first = next(i for i, text in enumerate(TEXTS) if "oven" in text.split())  # the word of that id
    assert predict(tmp_path / "bad", table)[0] == 1
    assert f"row {first} (counted from 0): the model gives" in capsys.readouterr().err
    assert not (table.parent / "out.parquet").exists()


def test_a_file_is_never_in_memory_as_a_whole(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_WINDOW", 3)
    seen = []
    encoder = job.encoder

    def counting(*args, **kwargs):
        encode = encoder(*args, **kwargs)

        def encoded(texts, pairs):
            seen.append(len(texts))
            return encode(texts, pairs)

        return encoded

    monkeypatch.setattr(job, "encoder", counting)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS[:10]))
    code, output = predict(folder, tmp_path / "in.jsonl", to="out.jsonl")
    assert code == 0
    assert seen == [3, 3, 3, 1]
    assert len(output.read_text().splitlines()) == 10
