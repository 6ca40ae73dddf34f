"""The proof passes nothing that is wrong: neither a model nor a mutilated mixup."""

import pytest
import torch
from torch import nn

from textmix.errors import InputError
from textmix.mixup import Mixup, hook, lengths, proof

BATCH = {
    "input_ids": torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 0], [12, 13, 14, 15, 16], [17, 18, 19, 20, 21]]),
    "attention_mask": torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]),
}


class Bag(nn.Module):
    """Mean of masked word vectors; what else it does is said by `flaw`."""

    def __init__(self, flaw=None):
        super().__init__()
        torch.manual_seed(0)
        self.flaw = flaw
        self.embedding = nn.Embedding(30, 8)
        self.classifier = nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[..., None].float()
        vectors = self.embedding(input_ids) * mask
        pooled = vectors.sum(dim=1) / mask.sum(dim=1)
        if self.flaw == "reads tokens elsewhere":
            pooled = pooled + 0.01 * (input_ids * attention_mask).sum(dim=1, keepdim=True)
        if self.flaw == "rows influence each other":
            pooled = pooled - 0.1 * pooled.mean(dim=0)
        if self.flaw == "deaf":
            pooled = pooled * 0
        if self.flaw == "not finite":
            pooled = pooled / (attention_mask.min(dim=1, keepdim=True).values)
        return self.classifier(pooled)


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_a_plain_module_is_proven_on_an_example():
    model = Bag()
    mixup = Mixup(model, example=BATCH)
    assert hooks(model) == 2
    mixup.remove()
    assert hooks(model) == 0


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("reads tokens elsewhere", "it reads tokens elsewhere, too; use mixup.site head"),
        ("rows influence each other", "a row of weight . does not get the logits of the row that it then equals"),
        ("deaf", "its logits do not depend on the tokens"),
        ("not finite", "its logits on a batch with padding are not finite"),
    ],
)
def test_a_model_that_can_t_be_mixed_is_refused_and_left_as_it_was(flaw, message):
    model = Bag(flaw).train()
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=rf"mixup.site embedding can't be used with this model: {message}"):
        Mixup(model, example=BATCH)
    assert hooks(model) == 0
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_head_is_refused_with_none_left_to_use():
    with pytest.raises(InputError, match=r"mixup.site head can't be used .* use mixup.site none"):
        Mixup(Bag("deaf"), "head", example=BATCH)


def without_carrier(batch, mix, carrier):
    """What the model derives from a row would be the row's own."""
    inputs = dict(batch)
    if "attention_mask" in batch:
        mask = batch["attention_mask"]
        inputs["attention_mask"] = torch.maximum(mask, mask[mix.permutation])
    return inputs


def without_union(batch, mix, carrier):
    """The carriers' inputs, but each row sees its own mask."""
    inputs = {name: rows[carrier] for name, rows in batch.items()}
    return inputs if "attention_mask" not in batch else {**inputs, "attention_mask": batch["attention_mask"]}


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "gpt2", "llama", "bart", "t5"])
def test_dropping_the_carrier_is_caught(tiny, monkeypatch, family):
    monkeypatch.setattr(lengths, "carry", without_carrier)
    with pytest.raises(InputError, match=r"does not get the logits"):
        Mixup(tiny(family))


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "deberta-v2", "modernbert", "bloom", "t5", "opt"])
def test_dropping_the_union_of_the_masks_is_caught(tiny, monkeypatch, family):
    monkeypatch.setattr(lengths, "carry", without_union)
    with pytest.raises(InputError, match=r"does not get the logits"):
        Mixup(tiny(family))


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "xlnet", "gpt2", "bart", "t5", "longformer"])
def test_dropping_the_rows_own_ids_is_caught(tiny, monkeypatch, family):
    monkeypatch.setattr(hook, "_swap", lambda *_: None)
    with pytest.raises(InputError, match=r"reads tokens elsewhere|does not get the logits"):
        Mixup(tiny(family))


@pytest.mark.parametrize("family", ["distilbert", "gpt2", "bart"])
def test_dropping_the_rows_own_ids_is_caught_by_the_ends_alone(tiny, monkeypatch, family):
    monkeypatch.setattr(hook, "_swap", lambda *_: None)
    monkeypatch.setattr(proof, "_blind", lambda *_: torch.tensor(0.0))
    with pytest.raises(InputError, match=r"does not get the logits"):
        Mixup(tiny(family))


@pytest.mark.parametrize("family", ["bert", "llama", "modernbert", "deberta-v2"])
def test_the_union_mask_below_a_hidden_layer_is_caught(tiny, monkeypatch, family):
    def union(batch, mix, site, carried):
        plan, inputs = pair(batch, mix, site, carried)
        return lengths.Plan(plan.permutation, plan.weight, plan.carrier, {**plan.own, **inputs}, site), inputs

    pair = lengths.pair
    monkeypatch.setattr(proof, "pair", union)
    with pytest.raises(InputError, match=r"does not get the logits"):
        Mixup(tiny(family), "hidden:2")


@pytest.mark.parametrize("family", ["bert", "llama", "modernbert", "deberta-v2"])
def test_the_rows_own_masks_above_a_hidden_layer_are_caught(tiny, monkeypatch, family):
    monkeypatch.setattr("textmix.mixup.layers._carried", lambda *_: ())
    with pytest.raises(InputError, match=r"does not get the logits"):
        Mixup(tiny(family), "hidden:1")


def test_half_precision_is_proven_too(tiny):
    for family in ("bert", "llama"):
        Mixup(tiny(family).to(torch.bfloat16))
