import pytest
import torch
from transformers import AutoModelForImageClassification

from textmix.config import ModelConfig
from textmix.errors import InputError
from textmix.models.build_image import build_resnet, build_vgg16, load_image_classifier


def labels(count):
    names = {i: f"class {i}" for i in range(count)}
    return {"num_labels": count, "id2label": names, "label2id": {name: i for i, name in names.items()}}


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("vgg16", 10, 14_728_266),
        ("resnet18", 10, 11_173_962),
        ("resnet20", 10, 272_474),
        ("resnet34", 10, 21_282_122),
        ("resnet50", 1000, 25_557_032),
        ("resnext101", 1000, 44_177_704),
    ],
)
def test_the_published_numbers_of_parameters(name, classes, parameters):
    build = build_vgg16 if name == "vgg16" else build_resnet
    with torch.device("meta"):
        model = build(ModelConfig(name=name), labels(classes))
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_width_makes_a_tiny_variant():
    with torch.device("meta"):  # shapes alone
        model = build_resnet(ModelConfig(name="resnext101", width=16), labels(3))
        assert model(torch.randn(2, 3, 32, 32)).logits.shape == (2, 3)
    assert [len(stage) for stage in model.stages] == [3, 4, 23, 3]
    small = build_vgg16(ModelConfig(name="vgg16", width=2), labels(3))
    assert small.config.widths == [2, 4, 8, 16, 16]
    assert small(torch.randn(2, 3, 32, 32)).logits.shape == (2, 3)


def test_a_pretrained_body_with_a_new_last_layer(tmp_path):
    torch.manual_seed(0)
    pretrained = build_resnet(ModelConfig(name="resnet18", width=4), labels(5))
    pretrained.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"was trained for 5 labels and the data has 3; set model\.new_head true"):
        load_image_classifier(ModelConfig(name="pretrained", path=str(tmp_path)), labels(3))
    model = load_image_classifier(ModelConfig(name="pretrained", path=str(tmp_path), new_head=True), labels(3))
    assert model.classifier.out_features == 3
    assert model.config.id2label == {0: "class 0", 1: "class 1", 2: "class 2"}
    for name, value in pretrained.state_dict().items():
        if not name.startswith("classifier"):
            torch.testing.assert_close(model.state_dict()[name], value, atol=0, rtol=0)


def test_checkpointing_is_an_option(tmp_path):
    config = ModelConfig(name="resnet20", width=4, gradient_checkpointing=True)
    assert build_resnet(config, labels(3)).is_activation_checkpointing
    build_resnet(config, labels(3)).save_pretrained(tmp_path)
    assert not AutoModelForImageClassification.from_pretrained(tmp_path).is_activation_checkpointing


def test_no_model_there(tmp_path):
    with pytest.raises(InputError, match=r"model\.path: expected a Hugging Face image classifier, got"):
        load_image_classifier(ModelConfig(name="pretrained", path=str(tmp_path / "none")), labels(3))
