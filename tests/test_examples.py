"""The example scripts run as they are."""

import re
import runpy
import sys
from pathlib import Path

import pytest
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

from textmix.mixup import mixer
from textmix.mixup.hook import blend


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
