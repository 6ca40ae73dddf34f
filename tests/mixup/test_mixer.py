"""A mixup's own behaviour: what it yields, mixes between the ends, and refuses."""

import pytest
import torch

from textmix.config import MixupConfig
from textmix.errors import InputError
from textmix.mixup import Mix, Mixup, draw

CYCLE = torch.tensor([1, 2, 0])
EXACT = {"atol": 1e-5, "rtol": 1e-5}


def test_between_the_ends_vectors_are_mixed_and_all_else_is_the_carrier_s(tiny, subject):
    """An independent way to the same logits: hand BERT the mixed vectors itself."""
    model = tiny("bert")
    it = subject(model, "right")
    batch = it.batch(it.rows((4, 9, 13)))
    batch["token_type_ids"] = (torch.rand(3, 13, generator=torch.Generator().manual_seed(0)) > 0.5).long()
    carrier, weight = torch.tensor([1, 2, 2]), torch.tensor([0.9, 0.3, 0.6])
    words, mask = model.bert.embeddings.word_embeddings(batch["input_ids"]), batch["attention_mask"]
    share = weight[:, None, None]
    with torch.no_grad():
        expected = model(
            inputs_embeds=share * words + (1 - share) * words[CYCLE],
            attention_mask=mask | mask[CYCLE],
            token_type_ids=batch["token_type_ids"][carrier],
        ).logits
        with Mixup(model).applied(Mix(CYCLE, weight), batch) as inputs:
            mixed = model(**inputs).logits
    torch.testing.assert_close(mixed, expected, **EXACT)


def test_between_the_ends_of_a_hidden_layer(tiny, subject):
    """The same for hidden states: run the layers by hand, each row's own mask up to the site, the union after it."""
    model = tiny("distilbert", num_hidden_layers=3)
    it = subject(model, "right")
    batch = it.batch(it.rows((4, 9, 13)))
    weight = torch.tensor([0.9, 0.3, 0.6])
    own = batch["attention_mask"].bool()
    union = own | own[CYCLE]
    with torch.no_grad():
        states = model.distilbert.embeddings(batch["input_ids"])
        for number, layer in enumerate(model.distilbert.transformer.layer):
            states = layer(states, attention_mask=(own if number < 2 else union)[:, None, None, :].expand(3, 1, 13, 13))
            if number == 1:
                states = weight[:, None, None] * states + (1 - weight[:, None, None]) * states[CYCLE]
        expected = model.classifier(model.pre_classifier(states[:, 0]).relu())
        with Mixup(model, "hidden:2").applied(Mix(CYCLE, weight), batch) as inputs:
            mixed = model(**inputs).logits
    torch.testing.assert_close(mixed, expected, **EXACT)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_head_mixes_the_sentence_vectors_which_sees_no_partner_before(tiny, family, subject):
    model = tiny(family)
    it = subject(model, "right")
    rows = it.rows((4, 9, 13))
    weight = torch.tensor([0.9, 0.3, 0.6])
    clean = it.clean(rows)
    expected = weight[:, None] * clean + (1 - weight[:, None]) * clean[CYCLE]
    torch.testing.assert_close(it.mixed(Mixup(model, "head"), Mix(CYCLE, weight), rows), expected, **EXACT)


def test_a_module_path_is_a_site(tiny, subject):
    model = tiny("bert")
    it = subject(model, "right")
    rows, mix = it.rows((4, 9, 13)), Mix(CYCLE, torch.tensor(0.3))
    named, numbered = Mixup(model, "bert.encoder.layer.0"), Mixup(model, "hidden:1")
    assert named.paths == numbered.paths == ("bert.encoder.layer.0",)
    assert torch.equal(it.mixed(named, mix, rows), it.mixed(numbered, mix, rows))


def test_the_draw_chooses_one_of_several_layers(tiny, subject):
    model = tiny("bert", num_hidden_layers=3)
    it = subject(model, "right")
    rows, weight = it.rows((4, 9, 13)), torch.tensor(0.3)
    several = Mixup(model, "hidden:random[1,3]")
    assert several.paths == ("bert.encoder.layer.0", "bert.encoder.layer.2")
    for choice, site in ((0.0, "hidden:1"), (0.49, "hidden:1"), (0.5, "hidden:3"), (0.99, "hidden:3")):
        single = Mixup(model, site)
        expected = it.mixed(single, Mix(CYCLE, weight), rows)
        single.remove()
        assert torch.equal(it.mixed(several, Mix(CYCLE, weight, choice=choice), rows), expected)


def test_pixels_are_mixed_in_the_batch():
    pixels = torch.rand(3, 1, 4, 4)
    model = torch.nn.Flatten()
    with Mixup(model, "input").applied(Mix(CYCLE, torch.tensor(0.3)), {"pixel_values": pixels}) as inputs:
        torch.testing.assert_close(inputs["pixel_values"], 0.3 * pixels + 0.7 * pixels[CYCLE])


def test_labels_never_reach_the_model(tiny, subject):
    model = tiny("bert")
    batch = {**subject(model, "right").batch([torch.tensor([4, 5, 6])] * 3), "labels": torch.tensor([0, 1, 2])}
    for site, mix in (
        ("embedding", Mix(CYCLE, torch.tensor(0.3))),
        ("none", draw(MixupConfig(alpha=0), 3, (0, 0, 0, 0))),
    ):
        with Mixup(model, site).applied(mix, batch) as inputs:
            assert set(inputs) == {"input_ids", "attention_mask"}
            assert type(inputs) is dict
            model(**inputs)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_mixed_outside_nor_after_an_error(tiny, subject, training):
    model = tiny("distilbert")
    it = subject(model, "right")
    model.train(training)
    batch = it.batch(it.rows((4, 9, 13)))

    def logits():
        torch.manual_seed(3)  # dropout
        with torch.no_grad():
            return model(**batch).logits

    bare = logits()
    mixup = Mixup(model)
    assert torch.equal(logits(), bare)
    with pytest.raises(ZeroDivisionError), mixup.applied(Mix(CYCLE, torch.tensor(0.3)), batch):
        raise ZeroDivisionError
    assert torch.equal(logits(), bare)
    with mixup.applied(Mix(CYCLE, torch.tensor(0.3)), batch) as inputs, torch.no_grad():
        model(**inputs)
    assert torch.equal(logits(), bare)


def test_two_mixups_of_one_model_keep_apart(tiny, subject):
    model = tiny("bert")
    it = subject(model, "right")
    rows, mix = it.rows((4, 9, 13)), Mix(CYCLE, torch.tensor(0.3))
    first = Mixup(model)
    alone = it.mixed(first, mix, rows)
    Mixup(model, "hidden:1")
    assert torch.equal(it.mixed(first, mix, rows), alone)


def test_the_proof_leaves_no_trace(tiny):
    model = tiny("bert").train()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Mixup(model)
    assert torch.equal(torch.rand(3), expected)
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs_embeds": torch.rand(3, 3, 16)}, "inputs_embeds: it bypasses the embedding"),
        ({"bbox": torch.zeros(3, 3, 4)}, "input 'bbox' can't be mixed with its row"),
        ({"input_ids": torch.ones(4, 3, dtype=torch.long)}, "'input_ids': expected 3 rows as the mix has, got 4"),
    ],
)
def test_a_batch_that_can_t_be_mixed_is_refused(tiny, change, message, subject):
    model = tiny("bert")
    batch = {**subject(model, "right").batch([torch.tensor([4, 5, 6])] * 3), **change}
    with pytest.raises(InputError, match=message), Mixup(model).applied(Mix(CYCLE, torch.tensor(0.3)), batch):
        pass


def test_inputs_that_a_hidden_site_was_not_proven_with_are_refused(tiny, subject):
    model = tiny("gpt2")
    it = subject(model, "left")
    batch = it.batch(it.rows((4, 9, 13)))
    with pytest.raises(InputError, match=r"input 'position_ids' can't be mixed .* make the Mixup with an example="):
        it.mixed(Mixup(model, "hidden:1"), Mix(CYCLE, torch.tensor(0.3)), it.rows((4, 9, 13)))
    Mixup(model, "hidden:1", example=batch)


def test_a_mix_without_a_site_is_refused(tiny):
    mixup, mix = Mixup(tiny("bert"), "none"), Mix(CYCLE, torch.tensor(0.3))
    with pytest.raises(InputError, match=r"mixup.site none mixes nothing; draw with"), mixup.applied(mix, {}):
        pass


def test_two_forwards_of_one_batch_are_refused(tiny, subject):
    model = tiny("bert")
    batch = subject(model, "right").batch([torch.tensor([4, 5, 6])] * 3)
    mixup, mix = Mixup(model), Mix(CYCLE, torch.tensor(0.3))
    message = r"bert.embeddings.word_embeddings ran 2 times where one forward was planned"
    with pytest.raises(InputError, match=message), mixup.applied(mix, batch) as inputs:
        [model(**inputs) for _ in range(2)]
