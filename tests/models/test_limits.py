import pytest
import torch
from bad_input_kit import refused, train
from checkpoints_kit import built, checkpoint
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from textmix.cli import main
from textmix.errors import InputError
from textmix.models.limits import max_positions
from textmix.predict import load_classifier

LABELS = ("cooking", "music", "sailing")


def grown(path, token, **tokens):
    """Add a token to a checkpoint's tokenizer, and to nothing else."""
    words = AutoTokenizer.from_pretrained(path, **tokens)
    words.add_tokens([token])
    words.save_pretrained(path)
    return len(words) - 1


@pytest.mark.parametrize(("family", "limit"), [("bert", 64), ("roberta", 63), ("gpt2", 64), ("xlnet", None)])
def test_texts_longer_than_the_positions_are_refused(tmp_path, topics, family, limit):
    path = checkpoint(tmp_path / family, family)
    model, _ = built(path, topics)
    assert max_positions(model) == limit
    if limit is None:
        return
    with pytest.raises(InputError, match=f"data.max_length: expected at most the {limit} positions"):
        built(path, topics, max_length=limit + 1)
    # The limit is the true one: so long a text can be read, and no longer one.
    model(input_ids=torch.full((1, limit), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 5))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_token_without_a_vector_is_refused_before_anything_is_written(tmp_path, monkeypatch, topics, split, capsys):
    size = grown(checkpoint(tmp_path / "bert"), "zebra")
    for file in topics.iterdir():
        text = file.read_text()
        (tmp_path / file.name).write_text(text.replace("\n", "\nzebra ", 1) if file.stem == split else text)
    monkeypatch.chdir(tmp_path)
    model = "--model.name", "pretrained", "--model.path", "bert", "--data.max_length", "32"
    told = refused(train("--data.path", ".", *model), capsys, tmp_path)
    assert f"bert: expected token ids below {size}, of which BertForSequenceClassification has vectors" in told
    assert f"got {size} for 'zebra'; call resize_token_embeddings({size + 1}) on the model" in told


@pytest.mark.parametrize("command", ["train", "doctor"])
def test_a_token_without_a_vector_outside_the_classes_is_refused(tmp_path, topics, command, capsys):
    grown(checkpoint(tmp_path / "bert"), "zebra")
    (tmp_path / "other.csv").write_text("text\nzebra\n")
    settings = {
        "data.path": topics, "data.max_length": 32, "model.name": "pretrained", "model.path": tmp_path / "bert",
        "eval.ood": f'["{tmp_path / "other.csv"}"]', "train.threads": 1, "output_dir": tmp_path / "run",
    }  # fmt: skip
    argv = [command, *(str(part) for key, value in settings.items() for part in (f"--{key}", value))]
    assert main(argv) == 2
    assert "for 'zebra'; call resize_token_embeddings" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_token_without_a_vector_that_no_text_holds_is_fine(tmp_path, topics):
    path = checkpoint(tmp_path / "bert", labels=LABELS)
    grown(path, "zebra")
    built(path, topics)
    load_classifier(str(path))


def test_padding_without_a_vector_is_refused(tmp_path, topics):
    path = checkpoint(tmp_path / "gpt2", "gpt2", labels=LABELS)
    size = grown(path, "<pad>", pad_token="<pad>")
    for load in (lambda: built(path, topics), lambda: load_classifier(str(path))):
        with pytest.raises(InputError, match=f"got {size} for '<pad>'"):
            load()


def test_a_checkpoint_that_was_resized_with_its_tokenizer_is_taken(tmp_path, topics):
    path = checkpoint(tmp_path / "gpt2", "gpt2", labels=LABELS)
    size = grown(path, "<pad>", pad_token="<pad>")
    model = AutoModelForSequenceClassification.from_pretrained(path)
    model.resize_token_embeddings(size + 1)
    model.save_pretrained(path)
    built(path, topics)


def test_a_trained_model_meets_no_token_that_it_has_no_vector_for(tmp_path, topics, capsys):
    path = checkpoint(tmp_path / "bert", labels=LABELS)
    grown(path, "zebra")
    file = tmp_path / "test.csv"
    file.write_text((topics / "test.csv").read_text().replace("\n", "\nzebra ", 1))
    out = str(tmp_path / "out.csv")
    commands = (
        ["predict", "--model", str(path), "--input", str(file), "--output", out],
        ["evaluate", "--model", str(path), "--data.path", str(file), "--split", "train", "--output_dir", out],
    )
    for argv in commands:
        assert "for 'zebra'; call resize_token_embeddings" in refused([*argv, "--threads", "1"], capsys, tmp_path)
