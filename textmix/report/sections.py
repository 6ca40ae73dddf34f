"""The parts of a report that say what the summary says, each a function of the material."""

from collections.abc import Mapping
from typing import Any

from textmix import ood
from textmix.figures import Chart, confidence_histograms, reliability_diagram, risk_coverage
from textmix.metrics import reliability_table, score_examples
from textmix.ood import msp
from textmix.report.material import Material
from textmix.report.page import Section, Table, between, number, p_value, percent, percent_range
from textmix.report.summary import MCE_COUNT
from textmix.report.table import DASH, Row, calibrated_part, main_part, unscaled
from textmix.report.words import FLATTERED, promises, temperature_effect
from textmix.temperature import apply_temperature

MINUS = "\N{MINUS SIGN}"

QUALITY = {"accuracy": "accuracy", "macro_f1": "macro F1", "nll": "NLL (nats)", "brier": "Brier score (0 to 2)"}
BRIER = {
    "brier_reliability": "reliability",
    "brier_resolution": f"{MINUS} resolution",
    "brier_uncertainty": "+ uncertainty",
    "brier_within_bin": "+ within the bins",
}
CALIBRATION = {
    "ece": "ECE",
    "oe": "OE",
    "over": "over, a part of ECE",
    "under": "under, the other part",
    "smooth_ece": "smooth ECE",
    "equal_mass_ece": "ECE, bins of equal mass",
    "static_ece": "static ECE (all classes)",
    "mce": f"maximum calibration error (bins of {MCE_COUNT} or more)",
    "rms": "RMS calibration error",
    "debiased_squared_error": "squared error, debiased",
    "ece_100": "ECE, 100 bins (as in the paper)",
    "oe_100": "OE, 100 bins (as in the paper)",
}
"""Metrics of the summary in the order of their tables, and what they are called."""


def quality(material: Material) -> Section:
    """Show how often the model is right, and how good its probabilities are as a whole."""
    return Section(
        "Accuracy and proper scores",
        (
            "NLL and the Brier score reward probabilities that are both sharp and true; lower is better.",
            "The Brier score is taken apart after Murphy (1973): reliability is what miscalibration costs, resolution "
            "what telling the examples apart gains, uncertainty what the labels themselves leave open, and the last "
            "line what the bins blur.",
        ),
        tables=tuple(
            table
            for caption, metrics in {"With 95 % intervals": QUALITY, "The Brier score is": BRIER}.items()
            if (table := _metric_table(caption, material.summary, metrics)).rows
        ),
    )


def calibration(material: Material) -> Section:
    """Show whether confidence can be believed."""
    summary = material.summary
    explanation = (
        f"ECE is the mean distance between confidence and accuracy over {summary['bins']} bins of confidence; OE is "
        f"the part of overconfident bins (over), weighted by confidence. Both are above zero by chance alone: compare "
        f"ECE with the range that a perfectly calibrated model with these confidences would show. A small p says that "
        f"it is not chance, by ECE or by Spiegelhalter's z, which needs no bins."
    )
    tables = (_metric_table("Calibration errors", summary, CALIBRATION), _bands(summary))
    return Section("Calibration", (explanation,), tuple(_reliability(material)), tables)


def temperature(material: Material) -> Section | None:
    """Show what one number, fitted on validation, changes."""
    summary = material.summary
    if "temperature" not in summary:
        return None
    low, high = summary["temperature_interval"]
    said = [f"T = {summary['temperature']:.3f}, 95 % interval [{low:.3f}, {high:.3f}], fitted on validation."]
    if "temperature_reason" in summary:
        said.append(f"This is not used: {summary['temperature_reason']}.")
    if calibrated_part(summary) is not None:
        said.append(temperature_effect(summary))
    if calibrated_part(summary) == "validation_calibrated":
        said.append(FLATTERED)
    return Section("Temperature", tuple(said))


def selective(material: Material) -> Section:
    """Show what is gained by leaving the least confident examples to a human."""
    part, raw = main_part(material.summary), unscaled(material.summary)
    numbers = material.summary["selective"][part]
    area = (
        f"The area under the curve (AURC) is {number(numbers['aurc'])}, which is {number(numbers['e_aurc'])} more than "
        f"that of the best order{raw}."
    )
    chosen = f"on validation{raw}"
    if part == "validation" or "validation" not in material.summary:
        chosen = f"on these examples{raw}, so that they flatter a little"
    tables = [
        Table(
            f"The most confident first{raw}",
            [
                {"share answered": percent(float(share)), "accuracy": percent(value)}
                for share, value in numbers["accuracy_at_coverage"].items()
            ],
        ),
        Table(
            f"Errors allowed{raw}",
            [
                {"share of errors": percent(float(risk)), "can be answered": percent(value)}
                for risk, value in numbers["coverage_at_risk"].items()
            ],
        ),
        Table(f"Thresholds chosen {chosen}", [_target_row(target) for target in numbers["targets"]]),
    ]
    calibrated = calibrated_part(material.summary)
    if calibrated is not None:
        targets = material.summary["selective"][calibrated]["targets"]
        caption = f"The same at T = {material.summary['temperature']:.2f}"
        tables.append(Table(caption, [_target_row(target) for target in targets]))
    return Section(
        "Answering only when sure", (*promises(material.summary), area), _risk_coverage(material), tuple(tables)
    )


def out_of_distribution(material: Material) -> Section | None:
    """Show whether the model notices that an example is none of its business."""
    sets = material.summary["ood"]
    if not sets:
        return None
    part = main_part(material.summary)
    means = ", ".join(f"{entry['mean_confidence']:.2f} on {name} ({entry['n']:,})" for name, entry in sets.items())
    charts: tuple[Chart, ...] = ()
    if material.main is not None and material.ood:
        confidences = {part: msp(material.main.logits)}
        confidences |= {name: msp(predictions.logits) for name, predictions in material.ood.items()}
        charts = (confidence_histograms({material.name: confidences}, name="ood"),)
    explanation = (
        "AUROC is the chance that an example from outside looks less certain than one from inside: 0.5 is blind, 1 is "
        "perfect. FPR95 is the share of outside examples still let in where 95 % of the inside ones are."
    )
    return Section(
        "Out of distribution",
        (
            f"Mean confidence is {material.summary[part]['mean_confidence']:.2f} on {part} and {means}"
            f"{unscaled(material.summary)}.",
            explanation,
        ),
        charts,
        tuple(_ood_table(name, part, entry["scores"]) for name, entry in sets.items()),
    )


def _ood_table(name: str, part: str, scores: Mapping[str, Mapping[str, float]]) -> Table:
    headings = {"auroc": "AUROC", "aupr_in": "AUPR in", "aupr_out": "AUPR out", "fpr95": "FPR95"}
    rows = [
        {"score": score, **{heading: f"{values[key]:.3f}" for key, heading in headings.items()}}
        for score, values in scores.items()
    ]
    return Table(f"{name} against {part}", rows, ("score",))


def _metric_table(caption: str, summary: Mapping[str, Any], metrics: Mapping[str, str]) -> Table:
    """One row a metric, one column for the raw predictions and one for those at the fitted temperature."""
    part, calibrated = main_part(summary), calibrated_part(summary)
    rows = []
    for name, label in metrics.items():
        if name not in summary[part]:
            continue  # of a run from before there was such a metric
        row = {"metric": label, part: _with_interval(summary, part, name)}
        if calibrated is not None:
            row[f"T = {summary['temperature']:.2f}"] = _with_interval(summary, calibrated, name)
        rows.append(row)
    return Table(caption, rows, ("metric",))


def _with_interval(summary: Mapping[str, Any], part: str, name: str) -> str:
    bounds = summary["intervals"][part].get(name)
    if name not in summary[part]:
        return DASH
    return number(summary[part][name]) + ("" if bounds is None else f" {between(bounds)}")


def _bands(summary: Mapping[str, Any]) -> Table:
    rows = [
        {
            "predictions": part.replace("_", ", "),
            "ECE": number(summary[part]["ece"]),
            "if perfect": f"{band['ece']['low']:.3f}{DASH}{band['ece']['high']:.3f}",
            "p of ECE": p_value(band["ece"]["p_value"]),
            "p of z": p_value(summary[part]["spiegelhalter_p_value"]),
        }
        for part, band in summary["null_band"].items()
    ]
    return Table("Calibration against chance", rows, ("predictions",))


def _reliability(material: Material) -> list[Chart]:
    """Draw the reliability of the raw probabilities, and of those at the fitted temperature."""
    predictions, summary = material.main, material.summary
    if predictions is None:
        return []
    table = reliability_table(predictions.logits, predictions.labels, summary["bins"])
    charts = [reliability_diagram(table)]
    if calibrated_part(summary) is not None:
        value = summary["temperature"]
        calibrated = reliability_table(
            apply_temperature(predictions.logits, value), predictions.labels, summary["bins"]
        )
        charts.append(reliability_diagram(calibrated, "reliability-calibrated", f"The same at T = {value:.2f}"))
    return charts


def _risk_coverage(material: Material) -> tuple[Chart, ...]:
    if material.main is None:
        return ()
    examples = score_examples(material.main.logits, material.main.labels)
    curve = ood.risk_coverage(examples.confidence.numpy(), examples.correct.numpy())
    name = f"{main_part(material.summary)}{unscaled(material.summary)}"
    return (risk_coverage({name: (curve.coverage, curve.risk)}),)


def _target_row(target: Mapping[str, Any]) -> Row:
    reached = target["accuracy"] is not None
    return {
        "target": percent(target["target"]),
        "confidence": DASH if target["threshold"] is None else f"{target['threshold']:.4f}",
        "answered": percent(target["coverage"]),
        "accuracy": f"{percent(target['accuracy'])} ({percent_range(target['interval'])})" if reached else DASH,
    }
