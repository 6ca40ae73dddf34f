"""The parts of a report that look at examples and settings, each a function of the material."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from textmix.config.keys import flat
from textmix.figures import accuracy_confidence_density
from textmix.metrics import classwise_table, score_examples
from textmix.metrics.examples import FloatArray
from textmix.predictions import Predictions
from textmix.report.material import Material
from textmix.report.page import Section, Table, number
from textmix.report.summary import MEASURED
from textmix.report.table import DASH, unscaled

WORST_CLASSES = 3
"""Classes named for the ECE of their probability."""
MOST_CLASSES, MOST_MISTAKES, MOST_EPOCHS, LONGEST_TEXT = 50, 20, 20, 300
"""Rows of the tables of classes, of mistakes and of epochs, and characters of a text."""

_UNSEEN = dict.fromkeys(
    (*range(9), *range(11, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}"
)
"""Control characters, among them those that turn the direction of all that follows."""


def classes(material: Material) -> Section | None:
    """Show how the classes fare, the worst first."""
    predictions = material.main
    if predictions is None:
        return None
    names = predictions.label_names
    table = classwise_table(predictions.logits, predictions.labels, material.summary["bins"])
    rows = [
        {
            "class": names[k],
            "n": f"{table.support[k]:,}",
            "precision": _share(table.hits[k], table.predicted[k]),
            "recall": _share(table.hits[k], table.support[k]),
            "F1": DASH if np.isnan(table.f1[k]) else f"{table.f1[k]:.3f}",
            "ECE": f"{table.ece[k]:.3f}",
        }
        for k in np.argsort(table.f1, kind="stable")[:MOST_CLASSES]
    ]
    worst = ", ".join(f"{names[k]} ({table.ece[k]:.3f})" for k in np.argsort(-table.ece, kind="stable")[:WORST_CLASSES])
    explanation = (
        f"ECE here is that of the class's own probability, over all examples{unscaled(material.summary)}; it is "
        f"largest for {worst}."
    )
    shown = (
        f" The {MOST_CLASSES} classes with the lowest F1 of {len(names):,} are shown."
        if len(names) > MOST_CLASSES
        else ""
    )
    return Section("Classes", (explanation + shown,), tables=(Table("The lowest F1 first", rows, ("class",)),))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else DASH


def mistakes(material: Material) -> Section | None:
    """Show where the model was sure and wrong: label noise, or what it has not understood."""
    predictions = material.main
    if predictions is None:
        return None
    worst, confidence, count = worst_mistakes(predictions)
    if count == 0:
        return Section("Confident mistakes", ("There is no mistake.",))
    names = predictions.label_names
    rows = [
        {
            **_what(predictions, int(i)),
            "true label": names[predictions.labels[i]],
            "prediction": names[predictions.logits[i].argmax()],
            "confidence": f"{sure:.4f}",
        }
        for i, sure in zip(worst, confidence, strict=True)
    ]
    pictures = [material.thumbnails.get(predictions.ids[i]) for i in worst] if material.thumbnails else []
    words = ("text", "id", "true label", "prediction")
    table = Table(f"The most confident first{unscaled(material.summary)}", rows, words, stacked=True, pictures=pictures)
    return Section("Confident mistakes", (f"{len(rows)} of {count:,} mistakes.",), tables=(table,))


def worst_mistakes(predictions: Predictions) -> tuple[npt.NDArray[np.int64], FloatArray, int]:
    """Return the rows of the mistakes that a report shows and their confidence, the highest first, and how many
    mistakes there are in all.
    """
    examples = score_examples(predictions.logits, predictions.labels)
    confidence, wrong = examples.confidence.numpy(), np.flatnonzero(~examples.correct.numpy())
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")[:MOST_MISTAKES]]
    return rows, confidence[rows], len(wrong)


def _what(predictions: Predictions, row: int) -> dict[str, str]:
    if predictions.texts is None:
        return {"id": predictions.ids[row]}
    text = predictions.texts[row].translate(_UNSEEN)
    return {"text": text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rstrip() + " ..."}


def training(material: Material) -> Section | None:
    """Show how confidence and accuracy grew over the epochs."""
    charts = (accuracy_confidence_density(material.epochs),) if material.epochs else ()
    tables = (_history(material),) if material.history else ()
    if not (charts or tables):
        return None
    explanation = (
        "The shades hold the means of batches of 50 validation examples; below the diagonal confidence is too high.",
    )
    return Section("Over the epochs", explanation if charts else (), charts, tables)


def _history(material: Material) -> Table:
    records = material.history
    kept = np.unique(np.linspace(0, len(records) - 1, MOST_EPOCHS).round().astype(int))
    rows = [
        {
            "epochs": str(records[k]["epochs"]),
            "accuracy": number(records[k]["accuracy"]),
            "NLL": number(records[k]["nll"]),
            "ECE": number(records[k]["ece"]),
            "OE": number(records[k]["oe"]),
        }
        for k in kept
    ]
    return Table(f"On validation{unscaled(material.summary)}", rows)


def settings(material: Material) -> Section:
    """List everything that is needed to repeat this."""
    tables = [_pairs("Run", {key: value for key, value in material.summary.items() if key not in MEASURED})]
    if material.config:
        tables.append(_pairs("Configuration", material.config))
    return Section("Settings and versions", tables=tuple(tables))


def _pairs(caption: str, values: Mapping[str, Any]) -> Table:
    rows = [{"key": key, "value": _plain(value)} for key, value in flat(values).items()]
    return Table(caption, rows, ("key", "value"))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
