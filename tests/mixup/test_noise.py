import pytest
import torch

from textmix.errors import InputError
from textmix.mixup import EmbeddingNoise
from textmix.models.text import (
    BiLSTMConfig,
    BiLSTMForSequenceClassification,
    KimCNNConfig,
    KimCNNForSequenceClassification,
)

OWN = {
    "cnn": lambda: KimCNNForSequenceClassification(KimCNNConfig(vocab_size=99, embedding_dim=16, num_filters=8)),
    "lstm": lambda: BiLSTMForSequenceClassification(BiLSTMConfig(vocab_size=99, embedding_dim=16, hidden_size=8)),
}
FAMILIES = ["cnn", "lstm", "bert", "gpt2", "t5", "bart", "xlnet", "albert"]


@pytest.fixture
def made(request, tiny, subject):
    """A model, and six batches for it."""
    torch.manual_seed(0)
    family = request.param
    model = OWN[family]().eval() if family in OWN else tiny(family)
    one = subject(model, "left" if family in {"gpt2", "xlnet"} else "right")
    return model, one, [one.batch(one.rows((9, 5, 12, 12), seed)) for seed in range(6)]


def seen(noise, model, batch):
    """What the model's embeddings give, and which ids they are given, call by call."""
    found = []
    hooks = [
        reader.module.register_forward_hook(
            lambda _m, args, kwargs, out: found.append((next(iter((*args, *kwargs.values()))), out)), with_kwargs=True
        )
        for reader in noise._readers
    ]
    with torch.no_grad():
        logits = model(**batch).logits
    for hook in hooks:
        hook.remove()
    return logits, found


@pytest.mark.parametrize("made", FAMILIES, indirect=True)
def test_every_token_becomes_noise_with_the_moments_of_training(made):
    model, _, batches = made
    noise = EmbeddingNoise(model, pad_id=0)
    clean = [vectors[ids != 0] for batch in batches for ids, vectors in seen(noise, model, batch)[1]]
    expected = torch.cat(clean)
    with noise.like(batches, seed=1):
        drawn = []
        for batch in [{**b, "input_ids": b["input_ids"].clone()} for b in batches for _ in range(20)]:
            words = batch["input_ids"] > 2
            batch["input_ids"][words] = torch.randint(3, 99, (int(words.sum()),))
            for ids, vectors in seen(noise, model, batch)[1]:
                drawn.append(vectors[ids != 0])
    drawn = torch.cat(drawn)
    assert not (drawn[:, None] == expected[None, :20]).all(-1).any()
    torch.testing.assert_close(drawn.mean(0), expected.mean(0), atol=0.08 * float(expected.std()), rtol=0)
    torch.testing.assert_close(drawn.std(0, correction=0), expected.std(0, correction=0), rtol=0.1, atol=1e-4)


@pytest.mark.parametrize("made", FAMILIES, indirect=True)
def test_padding_stays_and_nothing_is_left_behind(made):
    model, _, batches = made
    noise = EmbeddingNoise(model, pad_id=0)
    before, clean = seen(noise, model, batches[0])
    with noise.like(batches[1:], seed=1):
        during, drawn = seen(noise, model, batches[0])
        again, _ = seen(noise, model, batches[0])
    after, _ = seen(noise, model, batches[0])
    assert torch.equal(before, after)
    assert torch.equal(during, again)  # the draws depend on the batch, not on what came before
    assert (during - before).abs().max() > 1e-3
    for (ids, own), (_, vectors) in zip(clean, drawn, strict=True):
        assert torch.equal(vectors[ids == 0], own[ids == 0])


@pytest.mark.parametrize("made", ["cnn"], indirect=True)
def test_the_draws_depend_on_the_seed_and_the_batch(made):
    model, one, batches = made
    noise = EmbeddingNoise(model, pad_id=0)
    results = []
    for seed, batch in ((1, batches[0]), (2, batches[0]), (1, one.batch(one.rows((9, 5, 12, 12), 77)))):
        with noise.like(batches, seed=seed), torch.no_grad():
            results.append(model(**batch).logits)
    assert not torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_a_model_without_embeddings_is_refused_and_left_alone():
    from textmix.models.image import ResNetConfig, ResNetForImageClassification

    model = ResNetForImageClassification(ResNetConfig(depths=(1, 1), num_labels=3))
    with pytest.raises(InputError, match="no module of this model turns"):
        EmbeddingNoise(model, example={"pixel_values": torch.randn(4, 3, 32, 32)})
    assert not any(module._forward_hooks for module in model.modules())
