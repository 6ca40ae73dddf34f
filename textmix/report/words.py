"""What the numbers of a summary say, in sentences for somebody who has to decide."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from textmix.report.page import NO_BREAK, number, p_value, percent, percent_range
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
    upper end of ECE's interval tells how much a set of this size may hide. Where the smaller of ECE's two halves is
    more than a third of it, confidence errs in both directions.
    """
    metrics, band = summary[part], summary["null_band"][part]["ece"]
    error, chance = percent(metrics["ece"]), percent_range((band["low"], band["high"]))
    over, under = metrics["over"], metrics["under"]
    mixed = min(over, under) > metrics["ece"] / 3
    direction = "miscalibrated" if mixed else "overconfident" if over >= under else "underconfident"
    if metrics["ece"] > band["high"]:
        if mixed:
            direction = (
                f"overconfident in some ranges of confidence ({percent(over)}) and underconfident in others "
                f"({percent(under)})"
            )
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
    """Say for each target accuracy that takes a threshold which one, for how many examples, and how it turned out.

    Targets that one threshold serves are one sentence. Where even the upper end of the interval is below a target, it
    was missed.
    """
    accuracy = summary[saved_part(summary)]["accuracy"]
    targets = [
        target
        for target in summary["selective"][saved_part(summary)]["targets"]
        if target["accuracy"] is not None and target["target"] > accuracy
    ]
    groups = groupby(targets, lambda target: (target["threshold"], target["interval"][1] < target["target"]))
    return [_promise(main_part(summary), list(group), missed=missed) for (_, missed), group in groups]


def _promise(examples: str, targets: Sequence[Mapping[str, Any]], *, missed: bool) -> str:
    """Say what the one threshold of these targets gave."""
    found = targets[0]
    accuracies = ", ".join(f"{100 * target['target']:g}" for target in targets)
    end = ": too rarely to rely on this threshold" if missed else "; the others can go to a human"
    return (
        f"For an accuracy of {accuracies}{NO_BREAK}%: {percent(found['coverage'])} of the {examples} examples reach a "
        f"confidence of {found['threshold']:.3f}, and on those it is right {percent(found['accuracy'])} of the time "
        f"({percent_range(found['interval'])}){end}."
    )
