"""summary.json: every number about a set of predictions, with its interval and what chance alone would give."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from textmix.config import EvalConfig
from textmix.inference import confidence_intervals, null_band, spiegelhalter
from textmix.metrics import (
    CalibrationState,
    classwise_table,
    debiased_squared_error,
    equal_mass_ece,
    score_examples,
    smooth_ece,
)
from textmix.predictions import Predictions
from textmix.report.decisions import ood_numbers, selective_numbers
from textmix.temperature import Temperature, apply_temperature

PAPER_BINS = 100
"""Bins of ECE and OE in Thulasidasan et al. 2019."""

MCE_COUNT = 30
"""Examples a bin needs to count for the maximum calibration error: in smaller ones wide gaps are chance."""

MEASURED = (
    "test", "validation", "test_calibrated", "validation_calibrated", "intervals", "null_band", "selective", "ood",
)  # fmt: skip
"""Keys of the summary that hold measurements; the others are single numbers and facts about the run."""

Logits = npt.NDArray[np.floating]
LabelledLogits = tuple[Logits, npt.NDArray[np.int64]]
Numbers = dict[str, float]


@dataclass(frozen=True)
class Description:
    """What is said of one set: `metrics`, an interval [low, high] for most of them, and the null bands of some."""

    metrics: Numbers
    intervals: dict[str, list[float]]
    null_band: dict[str, Numbers]


def describe(logits: Logits, labels: npt.NDArray[np.int64], config: EvalConfig, seed: int) -> Description:
    """Measure predictions.

    :param logits: (N, C). :param labels: (N,) class indices.
    :param config: gives the bins of ECE and OE and the number of resamples. :param seed: seed of the resampling.
    :raises InputError: fewer than two examples, or a label that is no class index.
    """
    options: dict[str, Any] = {"num_bins": config.bins, "resamples": config.resamples, "seed": seed}
    paper = _binned(logits, labels, PAPER_BINS)
    by_class = classwise_table(logits, labels, config.bins)
    binned = _binned(logits, labels, config.bins)
    metrics = {
        **{name: value for name, value in binned.items() if not isnan(value)},  # mce, where no bin is large enough
        f"ece_{PAPER_BINS}": paper["ece"],
        f"oe_{PAPER_BINS}": paper["oe"],
        "smooth_ece": smooth_ece(logits, labels),
        "equal_mass_ece": equal_mass_ece(logits, labels, config.bins),
        "static_ece": by_class.static_ece,
        "debiased_squared_error": debiased_squared_error(logits, labels, config.bins),
        "macro_f1": by_class.macro_f1,
        **{f"brier_{name}": value for name, value in asdict(by_class.brier_decomposition).items() if name != "brier"},
        "spiegelhalter_p_value": spiegelhalter(logits, labels).p_value,
    }
    intervals = confidence_intervals(logits, labels, **options)
    bands = null_band(logits, labels, **options)
    return Description(
        metrics,
        {name: [interval.low, interval.high] for name, interval in intervals.items()},
        {
            name: {"mean": band.mean, "low": band.low, "high": band.high, "p_value": band.p_value}
            for name, band in bands.items()
            if name != "mce"  # its band counts every bin
        },
    )


def summarise(
    test: Predictions | None,
    validation: Predictions | None,
    temperature: Temperature | None,
    config: EvalConfig,
    *,
    ood: Mapping[str, Predictions] | None = None,
    seed: int = 0,
    energy: bool = True,
) -> dict[str, Any]:
    """Return the numbers of summary.json that speak of predictions; a set that is None has no key in it.

    :param test: raw predictions on test. :param validation: raw predictions on validation.
    :param temperature: fitted on validation; adds `test_calibrated`, the test set at this temperature, or
        `validation_calibrated` where there is no test set, unless no temperature is best.
    :param ood: raw predictions on sets outside the classes, by name.
    :param seed: seed of the resampling. :param energy: false where the logits were made from probabilities, whose
        energy score is lost.
    :raises InputError: a set has fewer than two examples.
    """
    sets: dict[str, LabelledLogits] = {
        name: (part.logits, part.labels) for name, part in (("test", test), ("validation", validation)) if part
    }
    main = "test" if "test" in sets else "validation"
    if main in sets and temperature is not None and not temperature.at_bound:
        sets[f"{main}_calibrated"] = _scaled(sets[main], temperature)
    described = {name: describe(*part, config, seed) for name, part in sets.items()}
    summary: dict[str, Any] = {"bins": config.bins, "resamples": config.resamples}
    summary |= {name: part.metrics for name, part in described.items()}
    if temperature is not None:
        summary["temperature"] = temperature.value
        summary["temperature_interval"] = [temperature.low, temperature.high]
        if temperature.at_bound:
            summary["temperature_reason"] = temperature.reason
    summary["intervals"] = {name: part.intervals for name, part in described.items()}
    summary["null_band"] = {name: part.null_band for name, part in described.items()}
    summary["selective"] = _selective(sets, temperature)
    inside = test or validation
    summary["ood"] = {} if inside is None else ood_numbers(inside, ood or {}, energy=energy)
    return summary


def _selective(sets: Mapping[str, LabelledLogits], temperature: Temperature | None) -> dict[str, Any]:
    """Choose thresholds on validation, at the temperature of the set they are for; without one, on the set itself."""
    examples = {name: score_examples(*part) for name, part in sets.items()}
    chosen_on = {name: examples.get("validation", part) for name, part in examples.items()}
    if "validation_calibrated" in sets:
        chosen_on["validation_calibrated"] = examples["validation_calibrated"]
    elif "test_calibrated" in sets and "validation" in sets and temperature is not None:
        chosen_on["test_calibrated"] = score_examples(*_scaled(sets["validation"], temperature))
    return {name: selective_numbers(part, chosen_on[name]) for name, part in examples.items()}


def _scaled(part: LabelledLogits, temperature: Temperature) -> LabelledLogits:
    logits, labels = part
    return apply_temperature(logits, temperature), labels


def _binned(logits: Logits, labels: npt.NDArray[np.int64], num_bins: int) -> Numbers:
    state = CalibrationState(num_bins)
    state.update(logits, labels)
    return state.compute(MCE_COUNT)
