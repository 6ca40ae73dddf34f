import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints_kit import checkpoint
from PIL import Image
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from textmix import outcome
from textmix.config import CalibrationConfig, Config, DataConfig, EvalConfig, ExportConfig, ModelConfig, PeftConfig
from textmix.config import TrainConfig as Train
from textmix.data import load_splits
from textmix.errors import RunError
from textmix.metrics import nll, score_examples
from textmix.models.build import build_model
from textmix.predictions import load, load_thumbnails
from textmix.report.decisions import selective_numbers
from textmix.train import run

THUMBNAILS = "predictions/thumbnails.parquet"


def config_for(path, topics, **sections) -> Config:
    return Config(
        data=DataConfig(path=str(topics), max_length=16),
        model=ModelConfig(name="pretrained", path=str(path)),
        train=Train(epochs=8, batch_size=16, learning_rate=3e-3, select="accuracy", threads=1),
        eval=EvalConfig(resamples=100),
        **sections,
    )


def shown(folder, predictions):
    """The logits that the saved model gives the saved texts, with the tokenizer beside it."""
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    words = AutoTokenizer.from_pretrained(folder / "model")
    encoded = words(list(predictions.texts), truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(**encoded).logits.numpy()


@pytest.fixture(scope="module")
def baked(tmp_path_factory, topics):
    folder = tmp_path_factory.mktemp("baked")
    config = config_for(checkpoint(folder / "bert"), topics, calibration=CalibrationConfig(bake=True))
    run(config, folder / "run")
    return config, folder / "run"


def test_what_the_baked_model_shows_is_test_calibrated(baked):
    _, folder = baked
    test, summary = load(folder / "predictions" / "test.parquet"), json.loads((folder / "summary.json").read_text())
    assert summary["baked"] is True
    logits = shown(folder, test)
    np.testing.assert_allclose(logits, test.logits / summary["temperature"], atol=1e-5)
    assert summary["test_calibrated"]["nll"] == pytest.approx(nll(logits, test.labels), abs=1e-5)
    assert summary["test"]["nll"] == pytest.approx(nll(test.logits, test.labels), abs=1e-9)


def test_without_a_test_split_the_card_and_the_thresholds_are_those_of_the_saved_model(tmp_path, topics):
    config = config_for(checkpoint(tmp_path / "bert"), topics / "train.csv")
    run(config, tmp_path / "run")
    validation = load(tmp_path / "run" / "predictions" / "validation.parquet")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["baked"] is True
    seen = score_examples(shown(tmp_path / "run", validation), validation.labels)
    card = (tmp_path / "run" / "README.md").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert f"and {seen.confidence.mean():.1%} confident".replace("%", " %") in card
    assert "The temperature was fitted on these very examples, which flatters it." in card
    targets = summary["selective"]["validation_calibrated"]["targets"]
    assert [target["threshold"] for target in targets] == pytest.approx(
        [target["threshold"] for target in selective_numbers(seen, seen)["targets"]], abs=1e-5
    )


@pytest.mark.parametrize(("own", "expected"), [(None, "mit"), ("apache-2.0", "apache-2.0")])
def test_the_card_names_the_licence_of_the_base_model_unless_told_another(tmp_path, topics, own, expected):
    base = checkpoint(tmp_path / "bert")
    (base / "README.md").write_text("---\nlicense: mit\n---\n")
    config = config_for(base, topics, export=ExportConfig(license=own))
    run(replace(config, train=replace(config.train, max_steps=1)), tmp_path / "run")
    assert f"\nlicense: {expected}\n" in (tmp_path / "run" / "README.md").read_text()


def test_training_on_from_a_baked_model_starts_without_its_temperature(baked):
    config, folder = baked
    config = replace(config, model=replace(config.model, path=str(folder / "model")))
    model = build_model(config, load_splits(config))
    assert "calibration_temperature" not in model.config.to_dict()


def test_a_model_that_can_not_be_baked_is_saved_as_it_was_trained(tmp_path, topics, monkeypatch, caplog):
    def with_a_curved_end(config, splits):
        model = build_model(config, splits)
        model.classifier = torch.nn.Sequential(model.classifier, torch.nn.Tanh())
        return model

    monkeypatch.setattr("textmix.models.build.build_model", with_a_curved_end)
    run(config_for(checkpoint(tmp_path / "bert"), topics), tmp_path / "run")
    assert "calibration.bake: expected a linear layer" in caplog.text
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["baked"] is False
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_without_a_temperature_nothing_is_baked(tmp_path, topics):
    calibration = CalibrationConfig(temperature=False)
    run(config_for(checkpoint(tmp_path / "bert"), topics, calibration=calibration), tmp_path / "run")
    test = load(tmp_path / "run" / "predictions" / "test.parquet")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["baked"] is False
    np.testing.assert_allclose(shown(tmp_path / "run", test), test.logits, atol=1e-5)


def test_adapters_are_part_of_the_saved_weights(tmp_path, topics):
    pytest.importorskip("peft", reason="needs peft (textmix[peft])")
    sections = {"peft": PeftConfig(kind="lora", r=2), "calibration": CalibrationConfig(bake=False)}
    run(config_for(checkpoint(tmp_path / "bert"), topics, **sections), tmp_path / "run")
    test = load(tmp_path / "run" / "predictions" / "test.parquet")
    np.testing.assert_allclose(shown(tmp_path / "run", test), test.logits, atol=1e-5)
    assert not list((tmp_path / "run" / "model").glob("adapter*"))


def test_a_failed_upload_leaves_a_finished_run(tmp_path, topics):
    export = ExportConfig(push_to_hub="me/it")
    with pytest.raises(RunError, match="the run is finished, but"):
        run(config_for(checkpoint(tmp_path / "bert"), topics, export=export), tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"summary.json", "report.html", "README.md", "model", "predictions"} <= names


def test_confident_mistakes_on_images_are_there_to_be_seen(tmp_path, pictures):
    config = Config(
        data=DataConfig(path=str(pictures), image_column="image"),
        model=ModelConfig(name="resnet20", width=4),
        train=Train(epochs=1, batch_size=8, learning_rate=1e-5, threads=1),
        eval=EvalConfig(resamples=100),
    )
    folder = tmp_path / "run"
    run(config, folder)
    test, shown = load(folder / "predictions" / "test.parquet"), load_thumbnails(folder / THUMBNAILS)
    wrong = [test.ids[row] for row in np.flatnonzero(test.logits.argmax(1) != test.labels)]
    assert sorted(shown) == sorted(wrong) != []
    for identifier, data in shown.items():
        whole = Image.open(io.BytesIO(data)).resize((32, 32), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(np.asarray(whole), np.asarray(Image.open(pictures / identifier)))
    assert (folder / "report.html").read_text().count("<img ") == len(wrong)


def test_embeddings_of_noise_are_one_of_the_sets_outside(tmp_path, topics):
    config = Config(
        data=DataConfig(path=str(topics), max_length=16),
        model=ModelConfig(embedding_dim=16, num_filters=8),
        train=Train(epochs=1, batch_size=16, threads=1),
        eval=EvalConfig(resamples=100, ood=("noise", "noise:embeddings")),
    )
    folder = tmp_path / "run"
    run(config, folder)
    tokens, vectors = (load(folder / "predictions" / f"ood_{name}.parquet", labelled=False)
                       for name in ("noise", "noise_embeddings"))  # fmt: skip
    assert len(tokens) == len(vectors) == 1000
    assert len(np.unique(vectors.logits, axis=0)) == 1000
    assert not np.isclose(tokens.logits, vectors.logits).all(axis=1).any()
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["ood"]) == {"noise", "noise_embeddings"}
    assert set(summary["ood"]["noise_embeddings"]["scores"]) == {"msp", "entropy", "energy", "margin"}


def test_the_commit_of_a_repository_around_an_installed_package_is_not_ours(tmp_path):
    """As in a project whose .venv holds textmix: git looks in the folders above."""
    package = tmp_path / "site-packages" / "textmix"
    shutil.copytree(Path(outcome.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *words], check=True)
    program = "from textmix.outcome import _git_revision; print(_git_revision())"
    ask = {"args": [sys.executable, "-c", program], "capture_output": True, "text": True, "check": True}
    ask |= {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(package.parent)}}
    assert subprocess.run(**ask).stdout == "None\n"
    subprocess.run([*git, "add", "."], check=True)  # now it is a checkout
    assert len(subprocess.run(**ask).stdout.strip()) == 40
