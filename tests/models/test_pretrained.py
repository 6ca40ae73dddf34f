import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from checkpoints_kit import checkpoint
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from textmix.config import Config, DataConfig, ModelConfig, PeftConfig
from textmix.data import load_splits
from textmix.errors import InputError
from textmix.mixup import Mix, Mixup
from textmix.models.build import build_model
from textmix.models.pretrained import (
    LeftPadded,
    fit_padding,
    fit_padding_outside,
    load_weights,
    pad_with,
    pools_last_token,
    proof_example,
)


def config_for(path, topics, max_length=32, **model) -> Config:
    return Config(
        data=DataConfig(path=str(topics), max_length=max_length),
        model=ModelConfig(name="pretrained", path=str(path), **model),
    )


def built(path, topics, **options):
    config = config_for(path, topics, **options)
    splits = load_splits(config)
    return build_model(config, splits), splits


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


@pytest.mark.parametrize(
    ("family", "decoder"),
    [("bert", False), ("roberta", False), ("distilbert", False), ("xlnet", False), ("bart", False), ("gpt2", True),
     ("llama", True)],
)  # fmt: skip
def test_decoders_are_told_from_other_models(tmp_path, topics, family, decoder):
    model, splits = built(checkpoint(tmp_path / family, family), topics)
    model.train()
    assert pools_last_token(model) is decoder
    assert model.training
    assert model.config.pad_token_id == splits.processor.pad_token_id


def test_our_own_models_are_no_decoders(topics):
    config = Config(data=DataConfig(path=str(topics)), model=ModelConfig(num_filters=2, embedding_dim=4))
    splits = load_splits(config)
    model = build_model(config, splits)
    assert fit_padding(model, splits) is splits


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_decoders_train_padded_on_the_left_and_predict_padded_on_the_right(tmp_path, topics, family):
    model, loaded = built(checkpoint(tmp_path / family, family), topics)
    model.eval()
    splits = fit_padding(model, loaded)
    assert splits.processor.padding_side == "right"
    assert isinstance(splits.train, LeftPadded)
    rows = np.argsort(splits.train.lengths)[[5, 150, 290]]
    batch = splits.train.batch(rows)
    labels = batch.pop("labels")
    assert labels.tolist() == loaded.train.labels[rows].tolist()
    assert batch["attention_mask"][:, -1].all()
    assert not batch["attention_mask"][0, 0]
    with torch.no_grad():
        padded = model(**batch).logits
        alone = [splits.train.batch(rows[i : i + 1])["input_ids"] for i in range(3)]
        clean = torch.cat([model(input_ids=ids).logits for ids in alone])
        right = {key: rows for key, rows in splits.validation.batch(np.arange(8)).items() if key != "labels"}
        assert right["attention_mask"][:, 0].all()
        expected = [model(input_ids=ids[None, : int(mask.sum())]).logits
                    for ids, mask in zip(right["input_ids"], right["attention_mask"], strict=True)]  # fmt: skip
        torch.testing.assert_close(model(**right).logits, torch.cat(expected), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded, clean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_texts_from_outside_are_padded_as_those_of_validation(tmp_path, topics, family):
    model, loaded = built(checkpoint(tmp_path / family, family), topics)
    left = replace(loaded.validation, pad_left=True)
    splits = fit_padding(model, replace(loaded, validation=left))
    assert fit_padding_outside(model, {"same": left})["same"].pad_left is splits.validation.pad_left
    assert splits.validation.pad_left is (family == "bert")


@pytest.mark.parametrize("family", ["gpt2", "llama", "xlnet"])
@pytest.mark.parametrize("site", ["embedding", "hidden:1"])
def test_texts_padded_on_the_left_are_mixed_right(tmp_path, topics, family, site):
    model, splits = built(checkpoint(tmp_path / family, family), topics)
    model.eval()
    splits = fit_padding(model, splits)
    mixup = Mixup(model, site, example=proof_example(splits.train))
    rows = np.argsort(splits.train.lengths)[[5, 150, 290]]
    batch = {name: values for name, values in splits.train.batch(rows).items() if name != "labels"}
    permutation = torch.tensor([1, 2, 0])
    with torch.no_grad():
        clean = torch.cat([
            model(**{k: v for k, v in splits.train.batch(rows[i : i + 1]).items() if k != "labels"}).logits
            for i in range(3)
        ])  # fmt: skip
        for weight, heavy in ((1.0, torch.arange(3)), (0.0, permutation)):
            with mixup.applied(Mix(permutation, torch.tensor(weight)), batch) as inputs:
                mixed = model(**inputs).logits
            longer = torch.tensor([int(h) == max(i, int(permutation[i])) for i, h in enumerate(heavy)])
            torch.testing.assert_close(mixed[longer], clean[heavy][longer], atol=1e-5, rtol=1e-5)
    mixup.remove()


def test_texts_of_one_length_are_mixed_too(tmp_path, topics):
    model, splits = built(checkpoint(tmp_path / "gpt2", "gpt2"), topics, max_length=4)
    splits = fit_padding(model, splits)
    long = np.flatnonzero(splits.train.lengths == 4)
    splits = replace(splits, train=replace(splits.train, **{
        name: getattr(splits.train, name)[long] for name in ("labels", "lengths", "starts", "truncated")
    }))  # fmt: skip
    example = proof_example(splits.train)
    assert example["attention_mask"].all()
    Mixup(model, "hidden:1", example=example).remove()


def test_mixing_is_proven_on_short_texts_of_different_lengths(tmp_path, topics):
    _, splits = built(checkpoint(tmp_path / "bert"), topics)
    shortest, *between, longest = proof_example(splits.train)["attention_mask"].sum(dim=1).tolist()
    assert (shortest, longest) == (splits.train.lengths.min(), splits.train.lengths.max())
    assert shortest < between[0] < between[1] < between[2] < longest
    longer = replace(splits.train, lengths=splits.train.lengths + 15)
    assert longer.lengths.max() > 32
    assert proof_example(longer)["attention_mask"].sum(dim=1).max() == 32


def test_inputs_that_a_tokenizer_does_not_make_are_not_missed_at_a_hidden_layer(tmp_path, topics):
    path = checkpoint(tmp_path / "bert")
    settings = json.loads((path / "tokenizer_config.json").read_text())
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    gradients, _ = step(config_for(path, topics), "hidden:1")
    assert gradients


def test_a_decoder_with_eyes_pools_where_its_tokenizer_says(topics):
    """Its text half has a configuration of its own."""
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 40, "pad_token_id": None}
    vision = {**small, "image_size": 8, "patch_size": 4}
    torch.manual_seed(0)
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, num_labels=3)
    model = transformers.Gemma3ForSequenceClassification(config).eval()
    pad_with(model, 7)
    assert pools_last_token(model)
    ids = torch.tensor([[9, 10, 11, 12, 13], [9, 10, 11, 7, 7]])
    with torch.no_grad():
        padded = model(input_ids=ids, attention_mask=(ids != 7).long()).logits
        torch.testing.assert_close(padded[1:], model(input_ids=ids[1:, :3]).logits, atol=1e-5, rtol=1e-5)


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
