"""What the numbers of a summary say, in sentences for somebody who has to decide."""

from collections.abc import Mapping
from typing import Any

from textmix.report.page import number, percent, percent_range
from textmix.report.table import main_part

SIGNIFICANT = 0.05
"""p-value below which a calibration error is more than chance."""


def lead(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Say how often the model is right, whether its confidence can be believed, and what to do about it."""
    part = main_part(summary)
    metrics, interval = summary[part], summary["intervals"][part]["accuracy"]
    right = (
        f"On {metrics['n']:,} {part} examples the model is right {percent(metrics['accuracy'])} of the time (95 % "
        f"interval {percent_range(interval)}) and {percent(metrics['mean_confidence'])} confident on average."
    )
    sentences = [f"{right} Its probabilities {verdict(summary, part)}"]
    if "test_calibrated" in summary:
        value = summary["temperature"]
        sentences.append(f"With a temperature of {value:.2f} they {verdict(summary, 'test_calibrated')}")
    return (*sentences, *promises(summary, part)[:1])


def verdict(summary: Mapping[str, Any], part: str) -> str:
    """Say, as the end of a sentence about probabilities, whether those of `part` can be believed."""
    metrics, band = summary[part], summary["null_band"][part]["ece"]
    if band["p_value"] >= SIGNIFICANT:
        return (
            f"can be taken at their word: their calibration error, {percent(metrics['ece'])}, is no more than chance "
            f"gives a perfectly calibrated model ({percent_range((band['low'], band['high']))})."
        )
    direction = "overconfident" if metrics["over"] >= metrics["under"] else "underconfident"
    return (
        f"are {direction}: confidence and accuracy differ by {percent(metrics['ece'])} on average, where chance "
        f"alone would give {percent_range((band['low'], band['high']))}."
    )


def temperature_effect(summary: Mapping[str, Any]) -> str:
    """Say what dividing the logits by the fitted temperature does on test."""
    before, after = summary["test"], summary["test_calibrated"]
    effect = "Softening" if summary["temperature"] > 1 else "Sharpening"
    return (
        f"{effect} the probabilities with it takes ECE on test from {number(before['ece'])} to {number(after['ece'])}, "
        f"OE from {number(before['oe'])} to {number(after['oe'])} and NLL from {number(before['nll'])} to "
        f"{number(after['nll'])}; predictions, and so accuracy, stay."
    )


def promises(summary: Mapping[str, Any], part: str) -> list[str]:
    """Say for each target accuracy that takes a threshold which one, for how many examples, and how it turned out."""
    return [
        f"Of the {part} examples, {percent(target['coverage'])} reach a confidence of {target['threshold']:.3f}, and "
        f"on those it is right {percent(target['accuracy'])} of the time ({percent_range(target['interval'])}); the "
        f"others can go to a human."
        for target in summary["selective"][part]["targets"]
        if target["accuracy"] is not None and target["target"] > summary[part]["accuracy"]
    ]
