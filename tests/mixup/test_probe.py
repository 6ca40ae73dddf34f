"""Looking into a model leaves no trace, and sees every call."""

import pytest
import torch
from torch import nn

from textmix.errors import InputError
from textmix.mixup.example import example_batch
from textmix.mixup.probe import logits, probe, trace, untouched


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_every_training_flag_and_random_state_is_put_back(tiny):
    model = tiny("bert").train()
    model.bert.embeddings.eval()
    flags = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    with untouched(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        torch.rand(10)
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_the_flags_come_back_when_the_body_raises(tiny):
    model = tiny("bert").train()
    with pytest.raises(RuntimeError), untouched(model):
        raise RuntimeError
    assert all(module.training for module in model.modules())


def test_a_trace_has_every_call_with_its_parent_and_leaves_no_hook(tiny):
    model = tiny("albert")
    before = hooks(model)
    calls = trace(model, example_batch(model, None))
    assert hooks(model) == before
    layers = [call for call in calls.values() if call.path == "albert.encoder.albert_layer_groups.0"]
    assert [call.number for call in layers] == [0, 1]
    assert all(call.parent is calls["albert.encoder", 0] for call in layers)
    assert layers[0].ended < layers[1].started
    assert all(call.parent is None or call in call.parent.children for call in calls.values())


def test_probes_know_what_follows_the_tokens(tiny):
    model = tiny("bert")
    with untouched(model):
        probes = probe(model, example_batch(model, None))
    assert probes.follows(probes.clean["bert.embeddings.word_embeddings", 0])
    assert probes.follows(probes.clean["bert.encoder.layer.1", 0])
    assert not probes.follows(probes.clean["bert.embeddings.position_embeddings", 0])
    assert not probes.follows(probes.clean["bert.embeddings.token_type_embeddings", 0])


def test_a_model_that_draws_gives_the_same_logits_twice(tiny):
    model, batch = tiny("reformer"), None
    batch = example_batch(model, None)
    with untouched(model):
        assert torch.equal(logits(model, batch), logits(model, batch))


def test_a_model_that_fails_is_refused_with_its_reason(tiny):
    model = tiny("bert")
    batch = {"input_ids": torch.full((2, 3), 10_000)}
    with pytest.raises(
        InputError, match=r"BertForSequenceClassification fails on a batch of input_ids: index out of range"
    ):
        logits(model, batch)


def test_a_model_may_return_its_logits_bare():
    model = nn.Linear(2, 3)
    x = torch.rand(4, 2)
    assert torch.equal(logits(model, {"input": x}), model(x))
