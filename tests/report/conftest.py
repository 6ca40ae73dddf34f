"""Material of a report: simulated predictions of an overconfident model, with texts that try to be markup."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from textmix.config import EvalConfig
from textmix.metrics import score_examples
from textmix.predictions import Predictions
from textmix.report import Material, summarise, write_report
from textmix.temperature import fit_temperature

NAMES = ("negative", "<b>neutral</b>", "a | b & c")
WORDS = [
    "<script>window.ran = true</script>",
    "<img src=x onerror=alert(1)>",
    "https://example.com/" + "x" * 60,
    "\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "*bold* `code` [link](http://x.y)",
    "plain",
    "words",
]


def simulated(n: int, seed: int, sharpness: float = 2.0, shift: float = 1.5) -> Predictions:
    """Predictions whose logits are `sharpness` times those of a calibrated model."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(NAMES), n)
    scores = rng.normal(size=(n, len(NAMES)))
    scores[np.arange(n), labels] += shift
    texts = [f"{WORDS[i % len(WORDS)]} {WORDS[(i + 1) % len(WORDS)]} {i}" for i in range(n)]
    logits = (sharpness * shift * scores).astype(np.float32)
    return Predictions(logits, labels, NAMES, [f"{seed}-{i}" for i in range(n)], texts)


def outside(n: int, seed: int) -> Predictions:
    """Predictions on examples that belong to none of the classes."""
    p = simulated(n, seed, sharpness=0.5)
    return Predictions(p.logits, np.full(n, -1), p.label_names, p.ids, p.texts)


def epoch(seed: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    p = simulated(200, seed, sharpness)
    examples = score_examples(p.logits, p.labels)
    return examples.confidence.numpy().astype(np.float32), examples.correct.numpy()


@pytest.fixture(scope="session")
def material() -> Material:
    test, validation = simulated(900, 0), simulated(600, 1)
    ood = {"bbc": outside(300, 2), "noise": outside(200, 3)}
    fitted = fit_temperature(validation.logits, validation.labels)
    summary = summarise(test, validation, fitted, EvalConfig(resamples=200), ood=ood, seed=0)
    config = {"data": {"path": "packaged:tweets", "max_length": 128}, "model": {"name": "cnn"},
              "mixup": {"alpha": 0.4, "site": "embedding"}, "seed": 3}  # fmt: skip
    epochs = {k: epoch(k, 0.5 + k) for k in range(4)}
    history = [{"epochs": k, "accuracy": 0.5 + k / 10, "nll": 1.0, "ece": 0.1, "oe": 0.05} for k in range(4)]
    return Material("tweets <mixup>", summary, test, validation, ood, config, epochs, history, has_model=True)


class Outline(HTMLParser):
    """The tags of a page and the text of its headings and cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.cells: list[str] = []
        self.stack: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.stack.append(tag)
        if tag in {"h1", "h2"}:
            self.headings.append("")
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data):
        if {"h1", "h2"} & set(self.stack):
            self.headings[-1] += data
        elif "td" in self.stack:
            self.cells[-1] += data


@pytest.fixture
def outline() -> Callable[[str], Outline]:
    def parse(html: str) -> Outline:
        page = Outline()
        page.feed(html)
        return page

    return parse


@pytest.fixture(scope="session")
def written(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(material, folder)
    return folder
