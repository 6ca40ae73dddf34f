import json

import pytest
import torch
from checkpoints_kit import checkpoint

from textmix.errors import InputError
from textmix.models.text import KimCNNConfig, KimCNNForSequenceClassification
from textmix.predict import load_classifier

LABELS = ("bad", "good")


def changed(path, **values):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | values))
    return str(path)


def test_the_folder_of_a_run_stands_for_its_model(tmp_path):
    checkpoint(tmp_path / "model", "bert", LABELS)
    one, other = load_classifier(str(tmp_path)), load_classifier(str(tmp_path / "model"))
    assert one.label_names == other.label_names == LABELS
    assert one.max_length == 64
    assert torch.equal(one.model.classifier.weight, other.model.classifier.weight)


@pytest.mark.parametrize(("family", "longest"), [("roberta", 63), ("xlnet", 1024), ("gpt2", 64)])
def test_as_much_is_read_as_model_and_tokenizer_allow(tmp_path, family, longest):
    path = str(checkpoint(tmp_path / family, family, LABELS))
    assert load_classifier(path).max_length == longest
    assert load_classifier(path, 20).max_length == 20
    with pytest.raises(InputError, match=f"max_length: expected at most the {longest} tokens"):
        load_classifier(path, longest + 1)


def test_a_decoder_gets_something_to_pad_with_on_the_right(tmp_path, caplog):
    path = checkpoint(tmp_path / "gpt2", "gpt2", LABELS)
    tokenizer = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps(tokenizer | {"padding_side": "left"}))
    classifier = load_classifier(str(path))
    assert classifier.tokenizer.padding_side == "right"
    assert classifier.model.config.pad_token_id == classifier.tokenizer.pad_token_id == 0
    assert "has no padding token; it pads with '<end>'" in caplog.text


def test_our_own_models_load(tmp_path):
    path = checkpoint(tmp_path / "cnn", "bert", LABELS)  # for its tokenizer
    for name in ("config.json", "model.safetensors"):
        (path / name).unlink()
    KimCNNForSequenceClassification(KimCNNConfig(vocab_size=40, num_rows=40, num_labels=2)).save_pretrained(path)
    assert load_classifier(str(path)).label_names == ("LABEL_0", "LABEL_1")


def test_a_model_without_a_trained_classifier_is_refused(tmp_path):
    path = checkpoint(tmp_path / "bert")
    with pytest.raises(InputError, match=r"has no weights for classifier.bias, classifier.weight; train it first"):
        load_classifier(str(path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"problem_type": "multi_label_classification"}, "problem_type 'multi_label_classification'"),
        ({"id2label": {"0": "x", "1": "x"}}, r"expected different names for the labels of .* got \['x', 'x'\]"),
        ({"model_type": "unheard-of"}, "expected a Hub id or the folder of a classifier"),
    ],
)
def test_other_models_are_refused(tmp_path, values, message):
    path = checkpoint(tmp_path / "bert", "bert", LABELS)
    with pytest.raises(InputError, match=message) as error:
        load_classifier(changed(path, **values))
    assert "\n" not in str(error.value)


def test_regression_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"got .* with 1 label\(s\)"):
        load_classifier(str(checkpoint(tmp_path / "bert", "bert", ("score",))))
