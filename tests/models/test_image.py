import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification
from transformers import ResNetForImageClassification as HubResNet
from transformers.models.resnet import ResNetConfig as HubResNetConfig

from textmix.errors import InputError
from textmix.mixup import Mix, Mixup
from textmix.models import ResNetConfig, ResNetForImageClassification, VGGConfig, VGGForImageClassification
from textmix.models.image import checkpoint_activations

TINY = {
    "vgg": VGGConfig(widths=[8, 8], depths=[1, 2], num_labels=3),
    "resnet": ResNetConfig(width=8, depths=[1, 2], num_labels=3),
    "resnext": ResNetConfig(
        stem="large", block="bottleneck", width=16, depths=[1, 2], groups=4, width_per_group=8, num_labels=3
    ),
}


def make(config):
    return (VGGForImageClassification if isinstance(config, VGGConfig) else ResNetForImageClassification)(config)


@pytest.fixture(params=TINY)
def model(request):
    """A tiny network with weights and running statistics that matter."""
    torch.manual_seed(0)
    model = make(TINY[request.param])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.fixture
def pixels():
    return torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_saved_and_loaded_with_the_auto_classes(model, pixels, tmp_path):
    model.to(memory_format=torch.channels_last)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    assert type(loaded) is type(model)
    torch.testing.assert_close(loaded(pixels).logits, model(pixels).logits, atol=1e-6, rtol=0)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == model.config.to_dict() | {
        "_name_or_path": str(tmp_path), "architectures": [type(model).__name__], "dtype": "float32",
    }  # fmt: skip


def test_rows_do_not_influence_each_other_and_every_pixel_counts(model, pixels):
    clean = model(pixels).logits
    changed = pixels.clone()
    changed[2, :, 7, 7] += 3
    moved = (model(changed).logits - clean).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == [False, False, True, False, False]


def test_bottlenecks_are_those_of_transformers():
    """Against transformers' own ResNet with the same weights; it lists a block's shortcut first, we do last."""
    torch.manual_seed(0)
    theirs = HubResNet(
        HubResNetConfig(embedding_size=8, hidden_sizes=[32, 64], depths=[1, 2], layer_type="bottleneck", num_labels=3)
    ).eval()
    ours = ResNetForImageClassification(
        ResNetConfig(stem="large", block="bottleneck", width=8, depths=[1, 2], num_labels=3)
    ).eval()
    for shortcut in (False, True):
        source, target = (
            [v for k, v in m.state_dict().items() if ("shortcut" in k) == shortcut and "num_batches" not in k]
            for m in (theirs, ours)
        )
        for value, copy in zip(source, target, strict=True):
            copy.copy_(value)
    pixels = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(pixels).logits, theirs(pixels).logits, atol=1e-5, rtol=1e-5)


def test_checkpointing_changes_neither_gradients_nor_statistics(model, pixels):
    def trained(network):
        network.train()
        network(pixels).logits.square().sum().backward()
        return {n: p.grad for n, p in network.named_parameters()}, {
            n: b.clone() for n, b in network.named_buffers() if "running" in n
        }

    twin = make(model.config)
    twin.load_state_dict(model.state_dict())
    checkpoint_activations(twin)
    inner = next(m for m in twin.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 3)
    runs = []
    inner.register_forward_hook(lambda *_: runs.append(1))
    plain, spared = trained(model), trained(twin)
    for ours, theirs in zip(plain, spared, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    assert len(runs) == 2  # in the forward and again in the backward pass


@pytest.mark.parametrize("site", ["input", "hidden:random[1,2]", "stages.1"])
def test_mixup_at_any_depth(model, pixels, site):
    mixup = Mixup(model, site, example={"pixel_values": pixels})
    order = torch.tensor([1, 2, 0, 4, 3])

    @torch.no_grad()
    def mixed(weight):
        with mixup.applied(Mix(order, torch.tensor(weight), choice=0.7), {"pixel_values": pixels}) as inputs:
            return model(**inputs).logits

    clean = model(pixels).logits.detach()
    torch.testing.assert_close(mixed(1.0), clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed(0.0), clean[order], atol=1e-5, rtol=1e-5)
    expected = model(0.3 * pixels + 0.7 * pixels[order]).logits
    assert torch.allclose(mixed(0.3), expected, atol=1e-5) == (site == "input")


def test_a_width_that_groups_cannot_share():
    with pytest.raises(InputError, match="width: expected a multiple of 16 with width_per_group 4, got 8"):
        ResNetForImageClassification(ResNetConfig(block="bottleneck", width=8, width_per_group=4, groups=32))
