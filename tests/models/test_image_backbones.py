"""Hugging Face's own image classifiers, and ours, through the whole of a run and back out of a pipeline."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    pipeline,
)

from textmix.config import (
    CalibrationConfig,
    Config,
    DataConfig,
    EvalConfig,
    LossConfig,
    MixupConfig,
    ModelConfig,
    TrainConfig,
)
from textmix.errors import InputError
from textmix.predictions import load
from textmix.train import run

NAMES = {"num_labels": 2, "id2label": {0: "dark", 1: "light"}, "label2id": {"dark": 0, "light": 1}}
SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
BACKBONES = {
    "resnet": lambda: ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic", **NAMES)
    ),
    "vit": lambda: ViTForImageClassification(ViTConfig(num_hidden_layers=3, **SMALL, **NAMES)),
    "convnext": lambda: ConvNextForImageClassification(
        ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2, **NAMES)
    ),
    "swin": lambda: SwinForImageClassification(
        SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, **NAMES)
    ),
}
OURS = ("resnet18", "resnet20", "vgg16", "resnext101")
CONFIG = Config(
    model=ModelConfig(name="resnet20", width=4),
    data=DataConfig(image_column="image", augment=("crop", "flip")),
    mixup=MixupConfig(site="input", alpha=0.3),
    train=TrainConfig(epochs=1, max_steps=3, batch_size=16, optimizer="sgd", learning_rate=0.01, threads=1),
    eval=EvalConfig(resamples=100),
    calibration=CalibrationConfig(bake=False),  # the predictions are raw
)
ABLATIONS = {
    "features only": {"mixup": {"labels": "dominant"}},
    "smoothing": {"loss": {"label_smoothing": 0.1}},
    "entropy": {"mixup": {"alpha": 0.0}, "loss": {"entropy_penalty": 0.1}},
    "first layer": {"mixup": {"site": "hidden:1"}},
    "any layer": {"mixup": {"site": "hidden:random[1,2]", "weight_per": "sample"}},
    "head": {"mixup": {"site": "head", "clean_weight": 1.0}},
}


def with_options(config, options):
    return replace(config, **{section: replace(getattr(config, section), **keys) for section, keys in options.items()})


@pytest.fixture(scope="module", params=BACKBONES)
def checkpoint(request, tmp_path_factory):
    """A folder with a tiny pretrained backbone of random weights, and its processor."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    BACKBONES[request.param]().save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def shown(folder, pictures):
    """Return what a pipeline says of the test images (N, 2), and what the run predicted."""
    test = load(folder / "predictions" / "test.parquet")
    classify = pipeline("image-classification", model=str(folder / "model"))
    answers = classify([Image.open(pictures / name) for name in test.ids])
    said = [[next(a["score"] for a in answer if a["label"] == name) for name in test.label_names] for answer in answers]
    exact = np.exp(test.logits - test.logits.max(axis=1, keepdims=True))
    return np.array(said), exact / exact.sum(axis=1, keepdims=True)


def test_any_backbone_trains_and_is_loaded_by_a_pipeline(checkpoint, pictures, tmp_path):
    config = with_options(
        CONFIG, {"data": {"path": str(pictures)}, "model": {"name": "pretrained", "path": str(checkpoint)}}
    )
    run(config, tmp_path / "run")
    before = AutoModelForImageClassification.from_pretrained(checkpoint).state_dict()
    after = AutoModelForImageClassification.from_pretrained(tmp_path / "run" / "model").state_dict()
    assert before.keys() == after.keys()
    assert sum(not torch.equal(before[name], after[name]) for name in before) > len(before) / 2
    said, predicted = shown(tmp_path / "run", pictures)
    np.testing.assert_allclose(said, predicted, atol=1e-5)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_vit_trains_with_every_ablation(pictures, tmp_path, ablation):
    torch.manual_seed(0)
    BACKBONES["vit"]().save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    config = with_options(
        CONFIG, {"data": {"path": str(pictures)}, "model": {"name": "pretrained", "path": str(tmp_path / "vit")}}
    )
    run(with_options(config, ABLATIONS[ablation]), tmp_path / "run")
    assert np.isfinite(load(tmp_path / "run" / "predictions" / "test.parquet").logits).all()


@pytest.mark.parametrize("name", OURS)
def test_our_networks_are_loaded_by_a_pipeline(pictures, tmp_path, name):
    config = with_options(CONFIG, {"data": {"path": str(pictures)}, "model": {"name": name, "width": 16}})
    run(config, tmp_path / "run")
    said, predicted = shown(tmp_path / "run", pictures)
    np.testing.assert_allclose(said, predicted, atol=1e-5)


def test_resnet18_with_all_options_at_once(pictures, tmp_path):
    config = Config(
        data=DataConfig(path=str(pictures), image_column="image", image_size=32, resize=36, skip_corrupt=True,
                        augment=("resized_crop", "flip")),
        model=ModelConfig(name="resnet18", width=8, gradient_checkpointing=True),
        mixup=MixupConfig(site="hidden:random[1,3,4]", alpha=0.4, labels="dominant", weight_per="sample",
                          clean_weight=0.5, start_epoch=1, off_last_epochs=1),
        loss=LossConfig(label_smoothing=0.1, smoothing_convention="all", entropy_penalty=0.1, class_weights="balanced"),
        train=TrainConfig(epochs=3, batch_size=8, gradient_accumulation_steps=2, optimizer="sgd", learning_rate=0.01,
                          schedule="steps", step_epochs=(2,), warmup=0.1, precision="fp32", workers=1, threads=1),
        eval=EvalConfig(resamples=100, ood=("packaged:digits", "noise")),
        calibration=CalibrationConfig(bake=False),
    )  # fmt: skip
    run(config, tmp_path / "run")
    said, predicted = shown(tmp_path / "run", pictures)
    np.testing.assert_allclose(said, predicted, atol=1e-5)
    epochs = sorted(path.name for path in (tmp_path / "run" / "epochs").iterdir())
    assert epochs == ["000.parquet", "001.parquet", "002.parquet", "003.parquet"]
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Accuracy against confidence on validation, epoch by epoch" in report
    assert {path.stem for path in (tmp_path / "run" / "predictions").iterdir()} == {
        "validation", "test", "ood_digits", "ood_noise", "thumbnails"
    }  # fmt: skip


def test_a_backbone_that_can_not_compute_again_says_so(pictures, tmp_path):
    BACKBONES["convnext"]().save_pretrained(tmp_path / "convnext")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "convnext")
    model = {"name": "pretrained", "path": str(tmp_path / "convnext"), "gradient_checkpointing": True}
    with pytest.raises(InputError, match=r"model\.gradient_checkpointing: ConvNextForImageClassification has none"):
        run(with_options(CONFIG, {"data": {"path": str(pictures)}, "model": model}), tmp_path / "run")
