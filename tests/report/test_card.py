import re
from dataclasses import replace

import numpy as np
import yaml

from textmix.config import EvalConfig
from textmix.predictions import Predictions
from textmix.report import Material, summarise, write_report


def test_card_and_page_show_the_same_cells(written, outline):
    cells = [" ".join(cell.split()) for cell in outline((written / "report.html").read_text()).cells]
    card = (written / "README.md").read_text()
    numbers = [cell for cell in cells if re.fullmatch(r"[\d.,]+( \[.*\])?", cell)]
    assert len(numbers) > 50
    for cell in numbers:
        assert cell in card.replace("\N{NO-BREAK SPACE}", " ")


def test_card_begins_with_metadata_the_hub_reads(written, material):
    head = yaml.safe_load((written / "README.md").read_text().split("---")[1])
    assert head["pipeline_tag"] == "text-classification"
    assert head["library_name"] == "transformers"
    assert head["tags"] == ["textmix", "calibration", "mixup"]
    assert "base_model" not in head
    (result,) = head["model-index"][0]["results"]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {name: material.summary["test"][name] for name in ("accuracy", "nll", "brier", "ece", "oe")}
    assert result["dataset"]["split"] == "test"


def test_card_shows_the_metrics_of_the_model_that_was_saved(material, tmp_path):
    write_report(replace(material, summary={**material.summary, "baked": True}), tmp_path)
    card = (tmp_path / "README.md").read_text()
    (result,) = yaml.safe_load(card.split("---")[1])["model-index"][0]["results"]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    scaled = material.summary["test_calibrated"]
    assert values == {name: scaled[name] for name in ("accuracy", "nll", "brier", "ece", "oe")}
    assert result["dataset"]["split"] == "test"
    assert f"saved with its temperature of {material.summary['temperature']:.2f}" in card
    for said in (
        "on noise (200), before the temperature.",
        "that of the best order, before the temperature.",
        "**The most confident first, before the temperature**",
        "**Errors allowed, before the temperature**",
        "**Thresholds chosen on validation, before the temperature**",
        "over all examples, before the temperature; it is largest for",
        "**On validation, before the temperature**",
    ):
        assert said in card, said


def test_card_without_a_temperature_speaks_of_none(material, tmp_path):
    test = material.test
    write_report(replace(material, summary=summarise(test, None, None, EvalConfig(resamples=100))), tmp_path)
    assert "before the temperature" not in (tmp_path / "README.md").read_text()


def test_card_says_nothing_twice_within_a_section(tmp_path):
    """The mistakes are the less confident ones, so that one threshold serves every target accuracy."""
    labels, wrong = np.arange(60) % 2, np.arange(60) < 9
    logits = np.eye(2)[labels ^ wrong] * np.where(wrong, 2.0, 4.0)[:, None]
    some = Predictions(logits, labels, ("no", "yes"), [str(i) for i in range(60)])
    write_report(Material("v", summarise(some, None, None, EvalConfig(resamples=100)), some), tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.count("For an accuracy of") == 2  # in the lead, and in its section
    for section in card.split("\n## "):
        paragraphs = section.split("\n\n")
        assert len(set(paragraphs)) == len(paragraphs)


def test_card_of_images_says_images(material, tmp_path):
    config = {"data": {"path": "uoft-cs/cifar10", "image_column": "image"}, "model": {"name": "vgg16"}}
    write_report(replace(material, config=config), tmp_path)
    card = (tmp_path / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "image-classification"
    assert head["model-index"][0]["results"][0]["task"]["type"] == "image-classification"
    assert 'pipeline("image-classification", model="model")' in card
    assert "import textmix.models" in card


def test_card_names_what_the_hub_has(material, tmp_path):
    config = {"data": {"path": "SetFit/TREC-QC"}, "model": {"name": "pretrained", "path": "bert-base-uncased"}}
    write_report(replace(material, config=config), tmp_path)
    card = (tmp_path / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["base_model"], head["datasets"]) == ("bert-base-uncased", ["SetFit/TREC-QC"])
    assert "import textmix.models" not in card


def test_card_names_the_licence_and_where_a_packaged_model_comes_from(material, tmp_path):
    config = {"data": {"path": "my/texts.csv"}, "model": {"name": "pretrained", "path": "packaged:minilm"}}
    summary = {**material.summary, "license": "apache-2.0"}
    write_report(replace(material, config=config, summary=summary), tmp_path)
    head = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])
    assert (head["base_model"], head["license"]) == ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")
    assert "datasets" not in head
    assert head["model-index"][0]["results"][0]["dataset"]["name"] == "texts.csv"  # whosever disk it lies on
