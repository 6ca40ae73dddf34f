"""Layers are found by running the model; what a site needs is found with them."""

import pytest
import torch
from transformers import ResNetConfig, ResNetForImageClassification

from textmix.config import ModelConfig
from textmix.errors import InputError
from textmix.mixup.example import example_batch
from textmix.mixup.layers import find
from textmix.mixup.probe import probe, untouched
from textmix.mixup.sites import Carried, Own
from textmix.models.build_image import RESNETS, build_resnet, build_vgg16


def sites(model, name, batch=None):
    with untouched(model):
        return find(model, name, probe(model, batch or example_batch(model, None)))


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("bert", "bert.encoder.layer.1"),
        ("distilbert", "distilbert.transformer.layer.1"),
        ("gpt2", "transformer.h.1"),
        ("xlnet", "transformer.layer.1"),
        ("mixtral", "model.layers.1"),
        ("bart", "model.encoder.layers.1"),
    ],
)
def test_hidden_k_is_the_kth_layer(tiny, family, path):
    (site,) = sites(tiny(family), "hidden:2")
    assert [point.path for point in site.points] == [path]


@pytest.mark.parametrize("name", [*RESNETS, "vgg16"])
def test_hidden_k_is_the_kth_stage_of_images_whatever_their_stem(name):
    build = build_vgg16 if name == "vgg16" else build_resnet
    model = build(ModelConfig(name=name, width=16), {"num_labels": 3})
    batch = {"pixel_values": torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))}
    assert [site.points[0].path for site in sites(model, "hidden:random[1,2,3]", batch)] == [
        "stages.0",
        "stages.1",
        "stages.2",
    ]


def test_a_list_of_single_operations_is_layers_where_there_is_no_other():
    class Network(torch.nn.Sequential):
        def forward(self, pixel_values):
            return super().forward(pixel_values)

    model = Network(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 3))
    (site,) = sites(model, "hidden:2", {"pixel_values": torch.rand(3, 3, 8, 8)})
    assert site.points[0].path == "1"


def test_rows_run_where_the_layer_has_them(tiny):
    assert sites(tiny("xlnet"), "hidden:1")[0].points[0].dim == 1
    assert sites(tiny("bert"), "hidden:1")[0].points[0].dim == 0


def test_random_layers_are_sites_of_their_own(tiny):
    model = tiny("bert", num_hidden_layers=4)
    assert [site.name for site in sites(model, "hidden:random[1, 3,4,3]")] == ["hidden:1", "hidden:3", "hidden:4"]


def test_the_model_around_a_layer_reads_the_rows_own_and_later_layers_the_carriers(tiny):
    batch = example_batch(tiny("bert"), None)
    (site,) = sites(tiny("bert", num_hidden_layers=4), "hidden:2")
    base, *later = site.swaps
    assert base.path == "bert"
    assert {argument.name for argument in base.arguments if isinstance(argument, Own)} == set(batch)
    assert [swap.path for swap in later] == ["bert.encoder.layer.2", "bert.encoder.layer.3"]
    assert all(isinstance(argument, Carried) for swap in later for argument in swap.arguments)


def test_positions_that_heads_share_a_row_of_are_carried_together(tiny):
    (site,) = sites(tiny("bloom"), "hidden:1")
    assert {argument.repeat for swap in site.swaps[1:] for argument in swap.arguments} == {1, 2}


@pytest.mark.parametrize(
    "name", ["hidden:0", "hidden:3", "hidden:", "hidden:x", "hidden:random[]", "hidden:random[1,9]", "hidden:-1"]
)
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(tiny, name):
    with pytest.raises(InputError, match=r"mixup.site: expected hidden:<k> .* layers from 1 to 2, got 'hidden"):
        sites(tiny("bert"), name)


def test_a_model_without_layers_says_so(tiny):
    with pytest.raises(InputError, match=r"this model has no list of layers, got 'hidden:1'; use head"):
        sites(tiny("squeezebert"), "hidden:1")


def test_a_path_that_does_not_run_is_refused_with_some_that_do(tiny):
    with pytest.raises(InputError, match=r"no module 'embeding' runs .* embedding, head, bert.encoder.layer.0, "):
        sites(tiny("bert"), "embeding")
    with pytest.raises(InputError, match=r"no module 'transformer.shared' runs"):
        sites(tiny("t5"), "transformer.shared")


def test_an_empty_path_is_refused(tiny):
    with pytest.raises(InputError, match=r"mixup.site: no module '' runs in this model; expected a path as in"):
        sites(tiny("bert"), "")


def test_a_module_without_rows_is_refused(tiny):
    with pytest.raises(InputError, match=r"output of bert.embeddings.position_embeddings has not one entry a row"):
        sites(tiny("bert"), "bert.embeddings.position_embeddings")


def test_a_layer_that_runs_several_times_is_refused(tiny):
    with pytest.raises(InputError, match=r"albert_layer_groups.0 runs several times in one forward"):
        sites(tiny("albert"), "hidden:1")


def test_the_path_of_the_embedding_is_the_embedding(tiny):
    (named,) = sites(tiny("bert"), "bert.embeddings.word_embeddings")
    (found,) = sites(tiny("bert"), "embedding")
    assert [point.path for point in named.points] == [point.path for point in found.points]
    assert [swap.arguments for swap in named.swaps] == [swap.arguments for swap in found.swaps]


def test_images_have_nothing_to_carry(tiny):
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 8], depths=[1, 1], num_labels=3)
    model = ResNetForImageClassification(config)
    (site,) = sites(model, "resnet.encoder.stages.0", {"pixel_values": torch.rand(5, 3, 32, 32)})
    assert site.swaps == ()
    assert site.points[0].dim == 0
