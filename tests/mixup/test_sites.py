"""The embedding is found wherever a model keeps it."""

import peft
import pytest
import torch
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

from textmix.errors import InputError
from textmix.mixup.example import example_batch
from textmix.mixup.probe import probe, untouched
from textmix.mixup.sites import embedding, reads


def find(model, batch=None):
    with untouched(model):
        return embedding(probe(model, batch or example_batch(model, None)))


def described(site):
    pairs = zip(site.points, site.swaps, strict=True)
    return [(point.path, point.dim, *((a.leaf, a.dim, a.shift) for a in swap.arguments)) for point, swap in pairs]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("bert", [("bert.embeddings.word_embeddings", 0, (0, 0, 0))]),
        ("xlnet", [("transformer.word_embedding", 1, (0, 1, 0))]),
        ("bart", [("model.encoder.embed_tokens", 0, (0, 0, 0)), ("model.decoder.embed_tokens", 0, (0, 0, 1))]),
        (
            "t5",
            [("transformer.encoder.embed_tokens", 0, (0, 0, 0)), ("transformer.decoder.embed_tokens", 0, (0, 0, 1))],
        ),
        ("longformer", [("longformer.embeddings.word_embeddings", 0, (0, 0, 0))]),
        ("opt", [("model.decoder.embed_tokens", 0, (0, 0, 0))]),
        ("ibert", [("ibert.embeddings.word_embeddings", 0, (0, 0, 0))]),
    ],
)
def test_the_modules_that_read_the_tokens_are_found(tiny, family, expected):
    assert described(find(tiny(family))) == expected


def test_rows_and_columns_are_told_apart_in_a_square_batch(tiny):
    model = tiny("xlnet")
    batch = {"input_ids": torch.randint(3, 99, (6, 6)), "attention_mask": torch.ones(6, 6, dtype=torch.long)}
    assert described(find(model, batch)) == [("transformer.word_embedding", 1, (0, 1, 0))]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_an_adapter_stands_for_the_embedding_it_wraps(tiny):
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["word_embeddings", "query"])
    model = peft.get_peft_model(tiny("bert"), config)
    (point,) = find(model, example_batch(tiny("bert"), None)).points
    assert point.path == "base_model.model.bert.embeddings.word_embeddings"
    assert isinstance(point.module.base_layer, nn.Embedding)


def test_a_model_that_hashes_its_tokens_is_refused(tiny):
    batch = {"input_ids": torch.randint(1000, 2000, (4, 40)), "attention_mask": torch.ones(4, 40, dtype=torch.long)}
    with pytest.raises(
        InputError, match=r"no module of this model turns .* use mixup.site head, hidden:<k> or a module"
    ):
        find(tiny("canine"), batch)


def test_images_are_refused_with_the_site_that_they_have():
    model = ViTForImageClassification(ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                                intermediate_size=16, image_size=16, patch_size=8))  # fmt: skip
    with pytest.raises(InputError, match=r"mixup.site embedding: .* use mixup.site input, head, hidden:<k> or"):
        find(model, {"pixel_values": torch.randn(4, 3, 16, 16)})


class Twice(nn.Module):
    """Reads its tokens with one embedding, forwards and backwards."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(99, 8)

    def forward(self, input_ids):
        return self.embedding(input_ids).mean(dim=1) - self.embedding(input_ids).amax(dim=1)


def test_an_embedding_that_runs_twice_is_refused():
    with pytest.raises(InputError, match=r"embedding runs several times in one forward"):
        find(Twice(), {"input_ids": torch.randint(0, 99, (4, 5))})


def test_columns_that_the_model_puts_around_the_text_do_not_hide_it(tiny):
    model = tiny("longformer", attention_window=[4, 4])
    batch = example_batch(model, None)
    with untouched(model):
        call = probe(model, batch).clean["longformer.embeddings.word_embeddings", 0]
    assert call.inputs[0].shape[1] > batch["input_ids"].shape[1]
    assert reads(call, batch["input_ids"]) is not None
