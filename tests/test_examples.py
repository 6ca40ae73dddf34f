"""The example scripts run as they are, and the page of results says what its runs say."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from trainer_kit import (
    EXAMPLES,
    bert,
    make_tokenizer,
)
from transformers import (
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessorPil,
)

from textmix.config import Config, DataConfig, EvalConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.metrics import oe
from textmix.mixup import mixer
from textmix.mixup.hook import blend
from textmix.predictions import load
from textmix.train import run


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture
def saved(tmp_path, tokenizer, topics) -> Path:
    """A folder with a tiny BERT and a tokenizer of the words of some texts."""
    folder = tmp_path / "tiny"
    core = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]"]
    core.train([str(topics / "train.csv")], trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    bert(vocab_size=core.get_vocab_size(), initializer_range=0.1).save_pretrained(folder)
    return folder


def run_script(monkeypatch, script, *flags, **options) -> None:
    pairs = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", [str(script), *flags, *pairs])
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("trainer", ["mixup", "plain"])
def test_example_of_a_trainer_script(tmp_path, topics, saved, monkeypatch, capsys, trainer):
    """Without its import and its argument for mixup it is a script for transformers.Trainer."""
    script = EXAMPLES / "run_classification_mixup.py"
    if trainer == "plain":
        text = script.read_text().replace("from textmix import MixupTrainer as", "from transformers import")
        script = tmp_path / "plain.py"
        script.write_text(re.sub(r"from textmix .*\n|.* mixup=.*\n", "", text))
        assert "mixup=" not in script.read_text()
    run_script(
        monkeypatch, script, "--do_train", "--do_eval", "--use_cpu", "--disable_tqdm=True",
        model_name_or_path=saved, train_file=topics / "train.csv", validation_file=topics / "validation.csv",
        output_dir=tmp_path / "out", num_train_epochs=4, learning_rate=0.01, report_to="none",
        dataloader_pin_memory=False,
    )  # fmt: skip
    names = BertForSequenceClassification.from_pretrained(tmp_path / "out").config.id2label
    assert names == {0: "cooking", 1: "music", 2: "sailing"}
    assert float(re.search(r"eval_accuracy\s+= +(\S+)", capsys.readouterr().out)[1]) > 0.5


def test_example_of_a_loop(topics, saved, monkeypatch, capsys):
    train, validation = topics / "train.csv", topics / "validation.csv"
    run_script(monkeypatch, EXAMPLES / "custom_loop.py", model=saved, train=train, validation=validation, epochs=2)
    assert re.search(r"epoch 2: loss .*\naccuracy 0\.\d+, expected calibration", capsys.readouterr().out)


def test_the_same_loop_on_images(tmp_path, pictures, monkeypatch, capsys):
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "tiny")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "tiny")
    mixed = []
    monkeypatch.setattr(mixer, "blend", lambda *args, **named: mixed.append(args[0].shape) or blend(*args, **named))
    run_script(
        monkeypatch, EXAMPLES / "custom_loop.py", model=tmp_path / "tiny", train=pictures / "train",
        validation=pictures / "test", epochs=2,
    )  # fmt: skip
    assert mixed == [(32, 3, 32, 32)] * 2
    assert re.search(r"epoch 2: loss .*\naccuracy \d\.\d+, expected calibration", capsys.readouterr().out)


@pytest.fixture
def paper(monkeypatch):
    """The script of a results page, as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES.parent / "paper"))
    return importlib.import_module("cifar10_subset")


def test_the_results_page_is_computed_from_its_runs(paper, pictures, tmp_path):
    for alpha in (0.0, 0.3):
        for seed in (0, 1):
            run(
                Config(
                    data=DataConfig(path=str(pictures), image_column="image"),
                    model=ModelConfig(name="resnet20", width=4),
                    mixup=MixupConfig(site="input", alpha=alpha),
                    train=TrainConfig(epochs=2, batch_size=8, learning_rate=0.01, threads=1, select="last"),
                    eval=EvalConfig(resamples=100, ood=("packaged:digits", "noise")),
                    seed=seed,
                ),
                tmp_path / f"cifar10-subset-alpha-{alpha:g}-{seed}",
            )
    arguments = ["--runs", str(tmp_path), "--results", str(tmp_path / "results"), "--seeds", "0", "1"]
    paper.main(arguments)
    page = (tmp_path / "results" / "cifar10_subset.md").read_text(encoding="utf-8")
    tests = [
        [load(tmp_path / f"cifar10-subset-alpha-{alpha}-{seed}" / "predictions" / "test.parquet") for seed in (0, 1)]
        for alpha in ("0", "0.3")
    ]
    before, after = (np.mean([oe(p.logits, p.labels) for p in group]) for group in tests)
    assert f"from {before:.4f} to {after:.4f}" in page
    right = [np.mean([(p.logits.argmax(axis=1) == p.labels).mean() for p in group]) for group in tests]
    assert f"| accuracy | {right[0]:.4f} | {right[1]:.4f} | {right[1] - right[0]:+.4f} [" in page
    for figure in re.findall(r"!\[.*\]\((.*)\)", page):
        assert (tmp_path / "results" / figure).read_text(encoding="utf-8").startswith("<")
    other = tmp_path / "cifar10-subset-alpha-0-1" / "config.yaml"
    other.write_text(other.read_text().replace("epochs: 2", "epochs: 3"))
    with pytest.raises(SystemExit, match="alpha-0-1: has other settings or versions"):
        paper.main(arguments)


def test_without_noise_of_examples_an_interval_is_welch_s(paper):
    a, b = np.array([0.1, 0.14, 0.15]), np.array([0.3, 0.31, 0.38])
    found = importlib.import_module("contrasts").contrast(
        np.stack([a, b]), np.repeat(np.stack([a, b])[..., None], 50, axis=2), (-1.0, 1.0)
    )
    welch = ttest_ind(b, a, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))
    assert found.value == pytest.approx(b.mean() - a.mean())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((0.0, -0.02, 0.02), "established: the"),
        ((0.0, -0.04, 0.02), "not established"),
        ((0.05, 0.04, 0.06), "refuted"),
    ],
)
def test_what_is_kept_is_told_by_the_interval(paper, change, said):
    assert f"is {said}" in paper.kept(paper.Finding(0.7, 0.7, paper.Estimate(*change)))
