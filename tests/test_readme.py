"""Every block of the README is executed, word for word, in a folder that holds what it speaks of."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from textmix.cli import COMMANDS, main
from textmix.predictions import Predictions, save

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
QUICK = ["--train.epochs", "1", "--train.max_steps", "2", "--train.threads", "1", "--eval.resamples", "100"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, topics):
    """A folder with my.csv, a tiny bert-base-uncased, and two runs."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(topics / "train.csv", folder / "my.csv")
    shutil.copy(topics / "test.csv", folder / "new.csv")
    words = sorted(
        {word for line in (topics / "train.csv").read_text().splitlines() for word in re.findall(r"\w+", line)}
    )
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=128
    )
    fast.save_pretrained(folder / "bert-base-uncased")
    tiny_bert(len(vocabulary)).save_pretrained(folder / "bert-base-uncased")
    return folder


def tiny_bert(vocab_size):
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=vocab_size,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            num_labels=3,
        )
    )


def small_predictions(seed):
    rng = np.random.default_rng(seed)
    return Predictions(rng.normal(size=(60, 3)), rng.integers(0, 3, 60), ("a", "b", "c"), [str(i) for i in range(60)])


def test_there_is_something_to_test():
    assert len(PYTHON) == 5
    assert len(SHELL) >= 8


@pytest.mark.parametrize("words", [w for w in SHELL if w[0] == "bash"], ids=" ".join)
def test_scripts_are_there(words):
    assert (ROOT / words[1]).is_file()
    assert subprocess.run(["bash", "-n", words[1]], cwd=ROOT, check=False).returncode == 0


def test_training_commands(place, topics, monkeypatch):
    """Word for word, with less data and fewer steps."""
    monkeypatch.chdir(place)
    (launch,) = [words for words in SHELL if words[0] == "accelerate"]
    config = [
        *launch,
        "--data.path",
        str(topics),
        "--data.tokenizer",
        "words",
        "--model.vectors",
        "random",
        "--output_dir",
        "runs/mixup",
    ]
    program = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--num_processes",
        "1",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ]
    config[2] = str(ROOT / config[2])
    config[config.index("--config") + 1] = str(ROOT / config[config.index("--config") + 1])
    done = subprocess.run([*program, *config[2:], *QUICK], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "done; see runs/mixup/report.html" in done.stdout
    for words in SHELL:
        if words[:2] == ["textmix", "train"]:
            assert main([*words[1:], *QUICK]) == 0
    assert (
        main(
            ["train", "--data.path", str(topics), "--model.embedding_dim", "8", "--output_dir", "runs/no-mixup", *QUICK]
        )
        == 0
    )


def test_measuring_commands(place, topics, monkeypatch, capsys):
    monkeypatch.chdir(place)
    save(small_predictions(0), Path("predictions.parquet"))
    save(small_predictions(1), Path("validation.parquet"))
    for alpha, name in ((0, "no-mixup"), (0.4, "mixup")):
        run = ["--data.path", str(topics), "--model.embedding_dim", "8", "--output_dir", f"runs/compared-{name}"]
        assert main(["train", *run, "--mixup.alpha", str(alpha), *QUICK]) == 0
    for words in SHELL:
        if words[0] == "textmix" and words[1] != "train":
            assert words[1] in COMMANDS
            assert main([word.replace("runs/", "runs/compared-") for word in words[1:]]) == 0, words
    assert "not distinguishable" in capsys.readouterr().out


def test_python_blocks(place, topics, monkeypatch, capsys):
    monkeypatch.chdir(place)
    own_loop, scaling, predicting, metrics, pipeline = PYTHON
    generator = torch.Generator().manual_seed(0)
    rows = [
        {
            "input_ids": torch.randint(1, 30, (8,), generator=generator),
            "attention_mask": torch.ones(8, dtype=torch.long),
            "labels": torch.tensor(i % 3),
        }
        for i in range(24)
    ]
    model = tiny_bert(40)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    namespace = {
        "model": model,
        "loader": DataLoader(rows, 8),
        "num_classes": 3,
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3),
    }
    exec(own_loop, namespace)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())
    batch = next(iter(DataLoader(rows, 8)))
    logits, labels = model.eval()(**batch).logits.detach(), torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    scaled = {"model": model, "batch": batch, "validation_logits": logits, "validation_labels": labels}
    exec(scaling, scaled)
    torch.testing.assert_close(model(**batch).logits.detach(), logits / scaled["temperature"].value)
    exec(metrics, {"logits": torch.randn(50, 3, generator=generator), "labels": torch.arange(50) % 3})
    assert (
        main(
            ["train", "--data.path", str(topics), "--model.embedding_dim", "8", "--output_dir", "runs/tweets-0", *QUICK]
        )
        == 0
    )
    namespace = {}
    exec(pipeline, namespace)
    (answer,) = namespace["classify"]("salt and butter")
    assert answer["label"] in {"cooking", "music", "sailing"}
    exec(predicting.replace("runs/mixup", "runs/tweets-0"), {})
    assert "rows are left to a human" in capsys.readouterr().out
