"""The carrier of a pair, what is taken from it, and which batches are refused."""

import pytest
import torch

from textmix.errors import InputError
from textmix.mixup import Mix
from textmix.mixup.lengths import CARRIED, carriers, carry, check, pair

CYCLE = torch.tensor([1, 2, 0])


def masked(*lengths: int, left: bool = False) -> torch.Tensor:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return mask.flip(1) if left else mask


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("left", [False, True])
def test_the_longer_row_carries_whatever_its_weight(weight, left):
    assert carriers(Mix(CYCLE, torch.tensor(weight)), masked(3, 5, 4, left=left)).tolist() == [1, 1, 2]


@pytest.mark.parametrize("mask", [masked(4, 4, 4), None, masked(4, 4, 4).bool(), masked(4, 4, 4).float()])
def test_the_heavier_row_carries_between_equals(mask):
    mix = Mix(CYCLE, torch.tensor([0.9, 0.2, 0.0]))
    assert carriers(mix, mask).tolist() == [0, 2, 0]


def test_one_token_more_outweighs_any_weight():
    mask = masked(*range(500, 503))
    assert carriers(Mix(CYCLE, torch.tensor(1.0)), mask).tolist() == [1, 2, 2]
    assert carriers(Mix(torch.tensor([2, 0, 1]), torch.tensor(0.0)), mask).tolist() == [2, 1, 2]


@pytest.mark.parametrize("kind", [torch.long, torch.bool, torch.float32])
def test_inputs_come_from_the_carrier_and_the_mask_is_the_union(kind):
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0]]).to(kind)
    batch = {"input_ids": torch.arange(12).view(3, 4), "attention_mask": mask}
    inputs = carry(batch, Mix(CYCLE, torch.tensor(0.5)), torch.tensor([1, 1, 2]))
    assert inputs["input_ids"].tolist() == [[4, 5, 6, 7], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]]
    assert inputs["attention_mask"].dtype == kind


def test_sites_that_are_not_texts_leave_the_batch_as_it_is():
    batch = {"pixel_values": torch.rand(3, 1, 2, 2)}
    plan, inputs = pair(batch, Mix(CYCLE, torch.tensor(0.3)), "hidden:1", carried=False)
    assert inputs["pixel_values"] is batch["pixel_values"]
    assert plan.carrier.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("inputs_embeds", "inputs_embeds: it bypasses the embedding"),
        ("bbox", "input 'bbox' can't be mixed with its row: expected input_ids, attention_mask"),
        ("decoder_input_ids", "input 'decoder_input_ids' can't be mixed"),
        ("global_attention_mask", "input 'global_attention_mask' can't be mixed"),
    ],
)
def test_an_input_that_no_proof_can_see_is_refused_by_name(name, message):
    batch = {"input_ids": torch.ones(3, 4), name: torch.ones(3, 4)}
    with pytest.raises(InputError, match=message):
        check(batch, Mix(CYCLE, torch.tensor(0.3)), CARRIED)
    check(batch, Mix(CYCLE, torch.tensor(0.3)), ())


@pytest.mark.parametrize("allowed", [CARRIED, ()])
def test_an_empty_batch_is_refused(allowed):
    with pytest.raises(InputError, match=r"batch: expected the model's inputs by name, got an empty one"):
        check({}, Mix(CYCLE, torch.tensor(0.3)), allowed)


def test_a_batch_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"'input_ids': expected 3 rows as the mix has, got 4"):
        check({"input_ids": torch.ones(4, 2)}, Mix(CYCLE, torch.tensor(0.3)), CARRIED)
