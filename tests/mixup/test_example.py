"""Batches to prove on: every neighbour's length, the model's own special tokens, every ordinary token exchanged."""

import pytest
import torch
from torch import nn

from textmix.errors import InputError
from textmix.mixup.example import example_batch, few_rows, scrambled, special_ids


def test_neighbours_are_longer_equal_and_shorter(tiny):
    batch = example_batch(tiny("bert"), None)
    lengths = batch["attention_mask"].sum(dim=1)
    assert {-1, 0, 1} == set((lengths.roll(-1) - lengths).sign().tolist())
    assert len(batch["input_ids"]) != batch["input_ids"].shape[1]


def test_rows_end_at_the_end_token_and_are_padded_with_the_model_s_own(tiny):
    model = tiny("bart", pad_token_id=7)
    batch = example_batch(model, None)
    last = batch["attention_mask"].sum(dim=1, keepdim=True) - 1
    assert (batch["input_ids"].gather(1, last) == model.config.eos_token_id).all()
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 7).all()
    assert (example_batch(model, 9)["input_ids"][batch["attention_mask"] == 0] == 9).all()
    assert ((batch["input_ids"] == model.config.eos_token_id).sum(dim=1) == 1).all()


def test_it_holds_what_the_model_reads(tiny):
    assert set(example_batch(tiny("bert"), None)) == {"input_ids", "attention_mask", "token_type_ids"}
    assert set(example_batch(tiny("distilbert"), None)) == {"input_ids", "attention_mask"}
    assert set(example_batch(tiny("fnet"), None)) == {"input_ids", "token_type_ids"}


def test_it_leaves_the_global_generator_alone(tiny):
    model = tiny("bert")
    state = torch.get_rng_state()
    example_batch(model, None)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_without_vocabulary_or_padding_is_refused(tiny):
    with pytest.raises(InputError, match=r"Linear has no vocab_size in its configuration; pass"):
        example_batch(nn.Linear(2, 2), None)
    with pytest.raises(
        InputError, match=r"GPT2ForSequenceClassification has no padding token; set config.pad_token_id"
    ):
        example_batch(tiny("gpt2", pad_token_id=None), None)


def test_scrambling_exchanges_every_ordinary_token_and_no_other(tiny):
    model = tiny("bart")
    batch = example_batch(model, None)
    ids, other = batch["input_ids"], scrambled(batch, special_ids(model))["input_ids"]
    ordinary = (batch["attention_mask"] == 1) & (ids != model.config.eos_token_id)
    assert torch.equal(ids != other, ordinary)
    assert set(other[ordinary].tolist()) <= set(ids[ordinary].tolist())


def test_pixels_are_mirrored():
    batch = {"pixel_values": torch.rand(2, 1, 3, 4)}
    assert torch.equal(scrambled(batch, set())["pixel_values"], batch["pixel_values"].flip(-1))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"values": torch.ones(2, 3)}, "expected a batch with input_ids or pixel_values, got values; pass one"),
        ({"input_ids": torch.full((2, 3), 5)}, "two different tokens"),
    ],
)
def test_a_batch_with_nothing_to_exchange_is_refused(batch, message):
    with pytest.raises(InputError, match=message):
        scrambled(batch, {0})


def test_few_rows_go_from_the_shortest_to_the_longest_without_labels():
    lengths = torch.randperm(50) + 1
    mask = (torch.arange(50) < lengths[:, None]).long()
    rows = few_rows({"input_ids": mask * 3, "attention_mask": mask, "labels": lengths}, torch.device("cpu"), pad=0)
    assert set(rows) == {"input_ids", "attention_mask"}
    chosen = rows["attention_mask"].sum(dim=1).tolist()
    assert len(chosen) == 6
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (1, 50)
    assert torch.equal(rows["input_ids"], rows["attention_mask"] * 3)


@pytest.mark.parametrize("example", [{}, {"input_ids": [[1, 2]]}, {"input_ids": torch.ones(1, 4)}])
def test_an_example_that_is_no_batch_is_refused(example):
    with pytest.raises(InputError, match=r"example: expected a batch of tensors with two rows at least"):
        few_rows(example, torch.device("cpu"), pad=0)


def test_texts_of_one_length_are_shortened_for_something_to_be_proven_of_lengths():
    ids = torch.arange(20, 62).reshape(6, 7)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.ones_like(ids)}
    rows = few_rows(batch, torch.device("cpu"), pad=9)
    lengths = rows["attention_mask"].sum(dim=1).tolist()
    assert lengths == [3, 5, 6, 7, 7, 7]
    assert torch.equal(rows["token_type_ids"], rows["attention_mask"])
    for row, given, length in zip(rows["input_ids"], ids, lengths, strict=True):
        assert row.tolist() == [*given[: length - 1].tolist(), given[-1].item(), *[9] * (7 - length)]


def test_texts_without_a_mask_or_a_padding_token_stay_as_they_are():
    ids = torch.ones(3, 4, dtype=torch.long)
    assert torch.equal(few_rows({"input_ids": ids}, torch.device("cpu"), pad=0)["input_ids"], ids)
    rows = few_rows({"input_ids": ids, "attention_mask": ids}, torch.device("cpu"), pad=None)
    assert rows["attention_mask"].all()
