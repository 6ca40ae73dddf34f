"""What the numbers of a summary say, in sentences for somebody who has to decide."""

from collections.abc import Mapping
from typing import Any

from textmix.report.page import number, p_value, percent, percent_range
from textmix.report.table import calibrated_part, main_part, saved_part

SIGNIFICANT = 0.025
"""p-value below which a test of calibration finds more than chance: there are two, and bands are two-sided."""
FLATTERED = "The temperature was fitted on these very examples, which flatters it."


def lead(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Say how often the model is right, whether its confidence can be believed, and what to do about it."""
    part, calibrated, saved = main_part(summary), calibrated_part(summary), saved_part(summary)
    metrics, interval = summary[saved], summary["intervals"][saved]["accuracy"]
    scaled = saved != part
    model = f"model, saved with its temperature of {summary['temperature']:.2f}," if scaled else "model"
    right = (
        f"On {metrics['n']:,} {part} examples the {model} is right {percent(metrics['accuracy'])} of the time (95 % "
        f"interval {percent_range(interval)}) and {percent(metrics['mean_confidence'])} confident on average."
    )
    sentences = [f"{right} Its probabilities {verdict(summary, saved)}"]
    if scaled:
        sentences.append(f"Without the temperature they {verdict(summary, part)}")
    elif calibrated is not None:
        sentences.append(f"With a temperature of {summary['temperature']:.2f} they {verdict(summary, calibrated)}")
    if calibrated == "validation_calibrated":
        sentences.append(FLATTERED)
    return (*sentences, *promises(summary)[:1])


def verdict(summary: Mapping[str, Any], part: str) -> str:
    """Say, as the end of a sentence about probabilities, whether those of `part` can be believed.

    They can't where ECE lies above its null band, or where Spiegelhalter's z is significant. Where neither is so, the
    upper end of ECE's interval tells how much a set of this size may hide.
    """
    metrics, band = summary[part], summary["null_band"][part]["ece"]
    error, chance = percent(metrics["ece"]), percent_range((band["low"], band["high"]))
    direction = "overconfident" if metrics["over"] >= metrics["under"] else "underconfident"
    if metrics["ece"] > band["high"]:
        return (
            f"are {direction}: confidence and accuracy differ by {error} on average, where chance alone would give "
            f"{chance}."
        )
    if metrics["spiegelhalter_p_value"] < SIGNIFICANT:
        return (
            f"are {direction} by Spiegelhalter's z (p {p_value(metrics['spiegelhalter_p_value'])}), although their "
            f"calibration error, {error}, is one that chance gives a perfectly calibrated model ({chance})."
        )
    return (
        f"show no miscalibration: their calibration error, {error}, is no more than chance gives a perfectly "
        f"calibrated model ({chance}). A set of this size leaves room for one of up to "
        f"{percent(summary['intervals'][part]['ece'][1])}."
    )


def temperature_effect(summary: Mapping[str, Any]) -> str:
    """Say what dividing the logits by the fitted temperature does on test, or on validation where there is no test."""
    part = main_part(summary)
    before, after = summary[part], summary[f"{part}_calibrated"]
    effect = "Softening" if summary["temperature"] > 1 else "Sharpening"
    return (
        f"{effect} the probabilities with it takes ECE on {part} from {number(before['ece'])} to "
        f"{number(after['ece'])}, OE from {number(before['oe'])} to {number(after['oe'])} and NLL from "
        f"{number(before['nll'])} to {number(after['nll'])}; predictions, and so accuracy, stay."
    )


def promises(summary: Mapping[str, Any]) -> list[str]:
    """Say for each target accuracy that takes a threshold which one, for how many examples, and how it turned out."""
    examples, part = main_part(summary), saved_part(summary)
    return [
        f"Of the {examples} examples, {percent(target['coverage'])} reach a confidence of {target['threshold']:.3f}, "
        f"and on those it is right {percent(target['accuracy'])} of the time ({percent_range(target['interval'])}); "
        f"the others can go to a human."
        for target in summary["selective"][part]["targets"]
        if target["accuracy"] is not None and target["target"] > summary[part]["accuracy"]
    ]
