"""The whole way, from files to a model folder."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from checkpoints_kit import checkpoint
from transformers import AutoTokenizer, pipeline

from textmix.config import CalibrationConfig, Config, DataConfig, EvalConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.errors import InputError
from textmix.predictions import load
from textmix.train import run

CONFIG = Config(
    model=ModelConfig(embedding_dim=16, num_filters=8),
    mixup=MixupConfig(alpha=0.4),
    train=TrainConfig(epochs=2, batch_size=32, learning_rate=0.01, threads=1),
    eval=EvalConfig(resamples=100),
    calibration=CalibrationConfig(bake=False),  # the predictions are raw
)


def shown(folder, texts):
    """Return the probabilities (N, C) that a pipeline gives, in the order of the predictions' labels."""
    classify = pipeline("text-classification", model=str(folder / "model"), top_k=None)
    names = load(folder / "predictions" / "test.parquet").label_names
    # XLNet's memory, an empty tuple, is more than a pipeline can take apart in batches.
    size = 1 if classify.model.config.model_type == "xlnet" else 16
    answers = classify(list(texts), batch_size=size, truncation=True)
    return np.array([[next(a["score"] for a in answer if a["label"] == name) for name in names] for answer in answers])


@pytest.mark.parametrize("family", ["cnn", "bert", "gpt2", "llama", "xlnet"])
def test_the_saved_model_says_what_the_predictions_say(tmp_path, topics, family):
    """Decoder-only models train padded on the left and must come out for pipelines that pad on the right."""
    config = replace(CONFIG, data=DataConfig(path=str(topics), max_length=32))
    if family != "cnn":
        model = ModelConfig(name="pretrained", path=str(checkpoint(tmp_path / family, family)))
        config = replace(config, model=model, train=replace(config.train, max_steps=4))
    folder = tmp_path / "run"
    run(config, folder)
    test = load(folder / "predictions" / "test.parquet")
    expected = np.exp(test.logits - test.logits.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(shown(folder, test.texts), expected, atol=1e-5)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test"]["n"] == len(test) == 81


def test_a_run_whose_epochs_max_steps_leaves_unmixed_is_refused_before_anything_is_written(tmp_path, topics):
    short = replace(CONFIG, data=DataConfig(path=str(topics)), train=replace(CONFIG.train, max_steps=5))  # of 10
    with pytest.raises(InputError, match=r"mixup.off_last_epochs: expected less than the 1 epochs .*, got 1"):
        run(replace(short, mixup=MixupConfig(alpha=0.4, off_last_epochs=1)), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rows", "bake", "warned"), [(30, True, True), (30, False, False), (100, True, False)])
def test_a_temperature_from_few_examples_is_warned_of_where_it_will_be_baked(
    tmp_path, topics, caplog, rows, bake, warned
):
    table = pd.read_csv(topics / "train.csv")
    for split, part in (("train", table), ("validation", table[:rows])):
        part.to_csv(tmp_path / f"{split}.csv", index=False)
    config = replace(CONFIG, data=DataConfig(path=str(tmp_path)), train=replace(CONFIG.train, max_steps=1))
    run(replace(config, calibration=CalibrationConfig(bake=bake)), tmp_path / "run")
    sentence = f"calibration.bake: the saved model's temperature will come from {rows} validation examples"
    assert (sentence in caplog.text) is warned


def test_texts_outside_the_classes_are_read_as_those_of_test(tmp_path, topics):
    """The tokenizer pads on the left, where a GPT-2 would count the padding among its positions."""
    path = checkpoint(tmp_path / "gpt2", "gpt2")
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(path)
    pd.read_csv(topics / "test.csv")[["text"]].to_csv(tmp_path / "outside.csv", index=False)
    config = replace(
        CONFIG,
        data=DataConfig(path=str(topics), max_length=32),
        model=ModelConfig(name="pretrained", path=str(path)),
        train=replace(CONFIG.train, max_steps=1),
        eval=replace(CONFIG.eval, ood=(str(tmp_path / "outside.csv"),)),
    )
    run(config, tmp_path / "run")
    test = load(tmp_path / "run" / "predictions" / "test.parquet")
    outside = load(tmp_path / "run" / "predictions" / "ood_outside.csv.parquet", labelled=False)
    assert list(outside.texts) == list(test.texts)
    assert len({len(text.split()) for text in test.texts}) > 1  # so that a batch is padded
    np.testing.assert_allclose(outside.logits, test.logits, atol=1e-5)


def test_the_run_is_repeated_by_its_configuration(tmp_path, topics, capsys, monkeypatch):
    from textmix.train import main

    config = replace(CONFIG, data=DataConfig(path=str(topics)))
    run(config, tmp_path / "first")
    main(["--config", str(tmp_path / "first" / "config.yaml"), "--output_dir", str(tmp_path / "again")])
    for name in ("metrics.jsonl", "predictions/test.parquet", "model/model.safetensors"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    main(["--config", str(tmp_path / "first" / "config.yaml"), "--output_dir", str(tmp_path / "again")])
    assert "this run is finished already" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "1")  # one of several processes says so
    main(["--config", str(tmp_path / "first" / "config.yaml"), "--output_dir", str(tmp_path / "again")])
    assert capsys.readouterr().out == ""


def test_pairs_are_trained_mixed_and_come_out_for_pipelines(tmp_path, topics):
    """Both texts and their token types."""
    table = pd.read_csv(topics / "train.csv")
    table["other"] = table["text"].to_numpy()[::-1]
    for split, rows in (("train", table[:200]), ("validation", table[200:240]), ("test", table[240:])):
        rows.to_csv(tmp_path / f"{split}.csv", index=False)
    model = ModelConfig(name="pretrained", path=str(checkpoint(tmp_path / "bert")))
    data = DataConfig(path=str(tmp_path), text_pair_column="other", max_length=48)
    run(replace(CONFIG, data=data, model=model, train=replace(CONFIG.train, max_steps=4)), tmp_path / "run")
    test = load(tmp_path / "run" / "predictions" / "test.parquet")
    classify = pipeline(
        "text-classification", model=str(tmp_path / "run" / "model"), top_k=None, function_to_apply="none"
    )
    names = ["text", "text_pair"]
    for logits, pair in zip(test.logits, table[["text", "other"]][240:].to_numpy(), strict=True):
        found = {answer["label"]: answer["score"] for answer in classify(dict(zip(names, pair, strict=True)))}
        np.testing.assert_allclose([found[name] for name in test.label_names], logits, atol=1e-5)
