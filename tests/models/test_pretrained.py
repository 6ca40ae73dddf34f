import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints_kit import built, checkpoint, config_for
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from textmix.config import ModelConfig, PeftConfig
from textmix.data import load_splits
from textmix.errors import InputError
from textmix.mixup import Mix, Mixup
from textmix.models.build import build_model
from textmix.models.example import proof_example
from textmix.models.padding import fit_padding
from textmix.models.pretrained import load_weights


def test_a_backbone_gets_a_head_for_the_labels_and_keeps_its_weights(tmp_path, topics, caplog):
    path = checkpoint(tmp_path / "bert")
    with caplog.at_level("INFO", "textmix"):
        model, splits = built(path, topics)
    assert model.classifier.out_features == 3
    assert model.config.id2label == dict(enumerate(splits.label_names))
    assert model.config.label2id == {name: k for k, name in enumerate(splits.label_names)}
    assert model.config.problem_type == "single_label_classification"
    assert "therefore new: classifier.bias, classifier.weight" in caplog.text
    stored = AutoModelForSequenceClassification.from_pretrained(path)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, stored.bert.embeddings.word_embeddings.weight)


def test_a_head_for_another_number_of_labels_is_refused_unless_a_new_one_is_wanted(tmp_path, topics):
    path = checkpoint(tmp_path / "bert", labels=("bad", "good"))
    with pytest.raises(InputError, match=r"trained for 2 labels and the data has 3; set model.new_head true"):
        built(path, topics)
    model, _ = built(path, topics, new_head=True)
    assert model.classifier.out_features == 3


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2", "xlnet", "bart", "perceiver"])
def test_a_head_for_the_same_labels_in_another_order_says_what_it_said(tmp_path, topics, family):
    names = load_splits(config_for("packaged:minilm", topics)).label_names
    order = [1, 2, 0]
    path = checkpoint(tmp_path / family, family, labels=tuple(names[k] for k in order))
    model, splits = built(path, topics)
    stored = AutoModelForSequenceClassification.from_pretrained(path, pad_token_id=model.config.pad_token_id)
    model.eval()
    batch = proof_example(splits.train)
    del batch["labels"]
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits[:, order], stored(**batch).logits)
    assert model.config.id2label == dict(enumerate(names))


class Scaled(PreTrainedModel):
    """Has its encoder where its prefix does not say, as wide as there are labels, and a parameter of no dimension."""

    config_class = BertConfig
    base_model_prefix = "model"

    def __init__(self, config):
        super().__init__(config)
        self.encoder, self.scale = nn.Linear(5, 3), nn.Parameter(torch.tensor(2.0))
        self.head = nn.Linear(3, config.num_labels)
        self.post_init()

    def forward(self, inputs):
        return self.scale * self.head(self.encoder(inputs))


def test_only_the_head_gets_another_order(tmp_path):
    """It is what depends on the number of labels, wherever it is; nothing else that is as large."""
    Scaled(BertConfig(id2label={0: "c", 1: "a", 2: "b"})).save_pretrained(tmp_path)
    labels = {"num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    model = load_weights(Scaled, "classifier", ModelConfig(name="pretrained", path=str(tmp_path)), labels).model
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), Scaled.from_pretrained(tmp_path)(inputs)[:, [1, 2, 0]])


def test_a_head_for_as_many_labels_is_kept(tmp_path, topics):
    path = checkpoint(tmp_path / "bert", labels=("a", "b", "c"))
    model, _ = built(path, topics)
    assert torch.equal(
        model.classifier.weight, AutoModelForSequenceClassification.from_pretrained(path).classifier.weight
    )


def test_weights_of_another_architecture_are_refused(tmp_path, topics):
    path = checkpoint(tmp_path / "bert")
    other = checkpoint(tmp_path / "distilbert", "distilbert")
    (other / "config.json").rename(path / "config.json")
    with pytest.raises(InputError, match=r"expected the weights of a DistilBert.* got only \d+ of"):
        built(path, topics)


@pytest.mark.parametrize("break_it", ["config.json", "model.safetensors"])
def test_a_broken_checkpoint_is_one_sentence(tmp_path, topics, break_it):
    path = checkpoint(tmp_path / "bert")
    splits = load_splits(config_for(path, topics))
    (path / break_it).write_bytes(b"{}")
    with pytest.raises(InputError, match=r"model.path: expected a Hugging Face sequence classifier") as error:
        build_model(config_for(path, topics), splits)
    assert "\n" not in str(error.value)


def test_inputs_that_a_tokenizer_does_not_make_are_not_missed_at_a_hidden_layer(tmp_path, topics):
    path = checkpoint(tmp_path / "bert")
    settings = json.loads((path / "tokenizer_config.json").read_text())
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    gradients, _ = step(config_for(path, topics), "hidden:1")
    assert gradients


STILL = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}
"""Without dropout."""


def step(config, site="embedding"):
    """Return the gradients of one mixed batch, and how often a layer ran for them."""
    splits = load_splits(config)
    torch.manual_seed(0)
    model = build_model(config, splits).train()
    splits = fit_padding(model, splits)
    batch, mix = splits.train.batch(np.arange(3)), Mix(torch.tensor([1, 2, 0]), torch.tensor(0.3))
    labels, mixup = batch.pop("labels"), Mixup(model, site, example=proof_example(splits.train))
    runs = []
    for layer in (m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)):
        next(layer.children()).register_forward_hook(lambda *_: runs.append(1))
    with mixup.applied(mix, batch) as inputs:
        logits = model(**inputs).logits
    cross_entropy(logits, mix.targets(labels, 3)).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, len(runs)


@pytest.mark.parametrize("adapters", [PeftConfig(), PeftConfig(kind="lora", r=2)], ids=["all", "lora"])
@pytest.mark.parametrize("family", STILL)
def test_activations_are_computed_again_where_asked(tmp_path, topics, family, adapters):
    if adapters.kind == "lora":
        pytest.importorskip("peft")
    path = checkpoint(tmp_path / family, family, **STILL[family])
    kept, once = step(replace(config_for(path, topics), peft=adapters))
    again, twice = step(replace(config_for(path, topics, gradient_checkpointing=True), peft=adapters))
    assert twice == 2 * once > 0
    assert kept.keys() == again.keys()
    assert any(gradient.abs().max() > 1e-4 for gradient in kept.values())
    for name, gradient in kept.items():
        torch.testing.assert_close(again[name], gradient, msg=name)


def test_a_model_that_can_t_compute_them_again_is_refused(tmp_path, topics):
    with pytest.raises(InputError, match=r"model.gradient_checkpointing: XLNet.* has none; set it to false"):
        built(checkpoint(tmp_path / "xlnet", "xlnet"), topics, gradient_checkpointing=True)
    with pytest.raises(InputError, match=r"model.gradient_checkpointing: expected false for model.name cnn"):
        ModelConfig(gradient_checkpointing=True)
