from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from checkpoints_kit import built, checkpoint

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data import load_splits
from textmix.mixup import Mix, Mixup
from textmix.models.build import build_model
from textmix.models.example import proof_example
from textmix.models.padding import LeftPadded, fit_padding, fit_padding_outside, pad_with, pools_last_token


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
