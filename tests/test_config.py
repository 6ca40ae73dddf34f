import dataclasses
import re
from pathlib import Path

import pytest

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

SOURCE = "".join(p.read_text(encoding="utf-8") for p in (Path(__file__).parents[1] / "textmix" / "config").glob("*.py"))


def test_defaults_are_a_run():
    config = Config()
    assert config.data.path == "packaged:tweets"
    assert config.mixup.active


def test_every_field_says_what_it_is():
    for section in [
        Config,
        *(f.default_factory for f in dataclasses.fields(Config) if f.name not in {"seed", "output_dir", "resume"}),
    ]:
        body = SOURCE.split(f"class {section.__name__}:")[1].split("\n@dataclass")[0]
        for field in dataclasses.fields(section):
            if not (section is Config and dataclasses.is_dataclass(field.default_factory)):
                assert re.search(rf'\n    {field.name}: .*(\n        .*|\n    \].*)*\n    """\w', body), (
                    f"{section.__name__}.{field.name}"
                )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(path=""), "data.path: expected a Hub id"),
        (
            lambda: DataConfig(validation_fraction=1.0),
            r"data.validation_fraction: expected a share in \(0, 1\), got 1.0",
        ),
        (
            lambda: DataConfig(label_column="text"),
            "data.label_column: expected another name in each, got .'text', 'text'",
        ),
        (lambda: DataConfig(text_column=("text", "b"), text_pair_column="b"), "expected another name in each"),
        (lambda: DataConfig(text_column=("title", "label")), "expected another name in each"),
        (lambda: DataConfig(max_length=0), r"data.max_length: expected an integer in \[1, 2\^31\), got 0"),
        (lambda: DataConfig(train_examples=1), "data.train_examples: expected at least 2, got 1"),
        (lambda: ModelConfig(name="pretrained"), "model.path: expected .* got None"),
        (lambda: ModelConfig(filter_widths=()), "model.filter_widths: expected one or more widths"),
        (lambda: ModelConfig(dropout=1.0), r"model.dropout: expected a probability in \[0, 1\), got 1.0"),
        (lambda: MixupConfig(alpha=-0.1), "mixup.alpha: expected a finite number >= 0, got -0.1"),
        (lambda: MixupConfig(alpha=float("nan")), "mixup.alpha: expected a finite number >= 0, got nan"),
        (lambda: MixupConfig(alpha=float("inf")), "mixup.alpha: expected a finite number >= 0, got inf"),
        (lambda: MixupConfig(clean_weight=-1), "mixup.clean_weight: expected a finite number >= 0, got -1"),
        (lambda: LossConfig(label_smoothing=1.1), r"loss.label_smoothing: expected a share in \[0, 1\], got 1.1"),
        (lambda: LossConfig(entropy_penalty=-1), "loss.entropy_penalty: expected a finite number >= 0"),
        (lambda: LossConfig(class_weights=(1.0, 0.0)), "loss.class_weights: expected finite weights > 0"),
        (lambda: TrainConfig(epochs=0), "train.epochs: expected an integer >= 1, got 0"),
        (lambda: TrainConfig(max_steps=0), "train.max_steps: expected an integer >= 1, or null, got 0"),
        (lambda: TrainConfig(learning_rate=0.0), "train.learning_rate: expected a finite number > 0, or null, got 0.0"),
        (lambda: TrainConfig(warmup=1.5), r"train.warmup: expected a share in \[0, 1\], got 1.5"),
        (lambda: Config(data=DataConfig(image_column="image")), "model.name: expected one of vgg16, .* got 'cnn'"),
        (lambda: Config(model=ModelConfig(name="vgg16")), "model.name: expected one of cnn, lstm, .* got 'vgg16'"),
        (
            lambda: Config(
                data=DataConfig(image_column="image"),
                model=ModelConfig(name="vgg16"),
                mixup=MixupConfig(alpha=0.3, site="embedding"),
            ),
            r"mixup.site: expected input \(the pixels\), .* for images, got 'embedding'",
        ),
        (
            lambda: Config(mixup=MixupConfig(alpha=0.3, site="input")),
            "mixup.site: expected embedding, .* for texts, got 'input'",
        ),
        (
            lambda: Config(
                data=DataConfig(image_column="image"),
                model=ModelConfig(name="vgg16"),
                eval=EvalConfig(ood=("noise:embeddings",)),
            ),
            "eval.ood: expected noise, for images have no embeddings of tokens, got 'noise:embeddings'",
        ),
        (lambda: Config(seed=-1), "seed: expected an integer in"),
    ],
)
def test_values_out_of_bounds_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_row_needs_a_partner():
    train = TrainConfig(batch_size=1)
    Config(train=train, mixup=MixupConfig(alpha=0))
    Config(train=train, mixup=MixupConfig(alpha=0.4, site="none"))
    with pytest.raises(InputError, match=r"train.batch_size: expected at least 2 with mixup.alpha > 0"):
        Config(train=train, mixup=MixupConfig(alpha=0.4))


def test_some_epoch_must_be_mixed():
    mixup = MixupConfig(alpha=0.4, start_epoch=2, off_last_epochs=3)
    Config(mixup=mixup, train=TrainConfig(epochs=6))
    with pytest.raises(InputError, match=r"mixup.off_last_epochs: expected less than the 5 epochs"):
        Config(mixup=mixup, train=TrainConfig(epochs=5))


def test_a_learning_rate_that_suits_the_model():
    pretrained = ModelConfig(name="pretrained", path="bert-base-uncased")
    assert (Config().learning_rate, Config(model=pretrained).learning_rate) == (1e-3, 5e-5)
    assert Config(model=pretrained, train=TrainConfig(learning_rate=0.1)).learning_rate == 0.1


def test_epochs_are_chosen_as_the_model_will_be_saved():
    unbaked = CalibrationConfig(bake=False)
    assert Config().select == "scaled_nll"
    assert Config(calibration=unbaked).select == "nll"
    assert Config(calibration=CalibrationConfig(temperature=False)).select == "nll"
    assert Config(calibration=unbaked, train=TrainConfig(select="scaled_nll")).select == "scaled_nll"


def test_texts_are_mixed_at_the_embedding_and_images_in_their_pixels():
    images = Config(data=DataConfig(image_column="image"), model=ModelConfig(name="vgg16"))
    assert (Config().mixup_site, images.mixup_site) == ("embedding", "input")
    assert Config(mixup=MixupConfig(site="head")).mixup_site == "head"
