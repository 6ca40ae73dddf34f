"""Mixing inside whatever else is done to a model in training."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from textmix.config import MixupConfig
from textmix.errors import InputError
from textmix.mixup import Mix, Mixup, draw
from textmix.models.text import KimCNNConfig, KimCNNForSequenceClassification

# Never as many rows as classes: torch.compile would take the two for one number.
LENGTHS = [(4, 9, 13, 5), (3, 8, 5, 7), (12, 12, 12, 12), (2, 20, 11, 9), (7, 6, 5, 4, 9), (9, 17, 3, 3)]
CYCLE = torch.tensor([1, 2, 0])
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def batch(lengths=(4, 9, 13), seed=1):
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, 99, mask.shape, generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids * mask, "attention_mask": mask}


def mixed(model, mixup, weight=0.3, **given):
    with mixup.applied(Mix(CYCLE, torch.tensor(weight)), given or batch()) as inputs:
        return model(**inputs).logits


def gradients(model, mixup):
    model.zero_grad()
    mixed(model, mixup).square().sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("site", ["none", "embedding", "hidden:1"])
def test_alpha_zero_trains_the_same_weights_as_no_mixup(tiny, site):
    def trained(site):
        model = tiny("bert").train()
        mixup = Mixup(model, site)
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        torch.manual_seed(7)
        for step in range(3):
            mix = draw(MixupConfig(alpha=0.0), 3, seed=(0, 0, step, 0))
            with mixup.applied(mix, batch(seed=step)) as inputs:
                logits = model(**inputs).logits
            loss = torch.nn.functional.cross_entropy(logits, mix.targets(torch.tensor([0, 1, 2]), 3))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return model.state_dict()

    expected = trained("none")
    assert all(torch.equal(value, expected[name]) for name, value in trained(site).items())


def test_a_cnn_learns_from_mixed_batches():
    torch.manual_seed(0)
    model = KimCNNForSequenceClassification(KimCNNConfig(vocab_size=99, num_rows=99, embedding_dim=8, num_labels=3))
    mixup = Mixup(model.train())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    labels, losses = torch.tensor([0, 1, 2]), []
    for step in range(60):
        mix = draw(MixupConfig(alpha=0.4), 3, seed=(0, 0, step, 0))
        with mixup.applied(mix, {**batch(), "labels": labels}) as inputs:
            logits = model(**inputs).logits
        loss = torch.nn.functional.cross_entropy(logits, mix.targets(labels, 3))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert torch.equal(model.eval()(**batch()).logits.argmax(dim=1), labels)


@pytest.mark.parametrize("site", ["embedding", "hidden:1", "hidden:2", "head"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_computes_the_same_gradients(tiny, site, reentrant):
    model = tiny("bert", num_hidden_layers=3, **NO_DROPOUT).train()
    mixup = Mixup(model, site)
    plain = gradients(model, mixup)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    checkpointed = gradients(model, mixup)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=name)


def test_a_site_inside_a_checkpointed_layer_is_refused(tiny):
    model = tiny("bert").train()
    mixup = Mixup(model, "bert.encoder.layer.1.attention")
    mixed(model, mixup)
    model.activation_checkpointing_enable()
    message = r"lies inside a layer with gradient checkpointing, .* use a whole layer"
    with pytest.raises(InputError, match=message):
        mixed(model, mixup)
    with pytest.raises(InputError, match=message):
        Mixup(model, "bert.encoder.layer.1.attention")


@pytest.mark.parametrize("site", ["embedding", "hidden:random[1,2]", "head"])
def test_compiled_it_gives_the_same_logits_without_compiling_for_every_batch(tiny, site):
    model = tiny("bert")
    mixup = Mixup(model, site)
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, dynamic=True)
    with torch.no_grad():
        for step, lengths in enumerate(LENGTHS):
            given = batch(lengths)
            mix = draw(MixupConfig(alpha=1.0), len(lengths), seed=(0, 0, step, 0))
            with mixup.applied(mix, given) as inputs:
                fast = compiled(**inputs).logits
            with mixup.applied(mix, given) as inputs:
                torch.testing.assert_close(fast, model(**inputs).logits, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(compiled(**given).logits, model(**given).logits, atol=1e-5, rtol=1e-5)
    assert counter.frame_count <= 3  # clean, mixed, and one more site


def test_a_mixup_made_after_the_first_compiled_call_is_an_error(tiny):
    model = tiny("bert")
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", dynamic=True)
    with torch.no_grad():
        compiled(**batch())
        mixup = Mixup(model)
        with pytest.raises(InputError, match=r"ran 0 times .* make the Mixup before torch.compile"):
            mixed(compiled, mixup)


@pytest.fixture
def adapters():
    return peft.LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["word_embeddings", "query", "value"], init_lora_weights=False
    )


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.parametrize("site", ["embedding", "hidden:1", "head"])
def test_adapters_mix_as_the_model_they_are_merged_into(tiny, adapters, site):
    model = peft.get_peft_model(tiny("bert"), adapters).eval()
    merged = copy.deepcopy(model).merge_and_unload()
    with torch.no_grad():
        expected = mixed(merged, Mixup(merged, site))
        torch.testing.assert_close(mixed(model, Mixup(model, site)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_adapters_attached_after_the_mixup_are_an_error(tiny, adapters):
    model = tiny("bert")
    mixup = Mixup(model)
    adapted = peft.get_peft_model(model, adapters)
    with pytest.raises(InputError, match=r"word_embeddings has been replaced .* make it after get_peft_model"):
        mixed(adapted, mixup)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What both ranks computed, and the module that says what they were to compute."""
    script, folder = Path(__file__).with_name("distributed.py"), tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("site", ["embedding", "hidden:1"])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_mix_their_own_draws_and_average_their_gradients(two_processes, tiny, kind, site):
    gradients = []
    for rank, results in enumerate(two_processes):
        model = tiny("bert", **NO_DROPOUT).train()
        mix = draw(MixupConfig(alpha=1.0), 3, seed=(0, 0, 0, rank))
        given = batch(seed=rank)
        with Mixup(model, site).applied(mix, given) as inputs:
            logits = model(**inputs).logits
        torch.nn.functional.cross_entropy(logits, mix.targets(torch.tensor([0, 1, 2]), 3)).backward()
        torch.testing.assert_close(results[kind, site][0], logits.detach(), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(logits, model(**given).logits, atol=1e-2)
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    for rank in (0, 1):
        for name, gradient in two_processes[rank][kind, site][1].items():
            expected = (gradients[0][name] + gradients[1][name]) / 2
            torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-4, msg=name)
