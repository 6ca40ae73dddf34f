"""Metrics of predictions: every function takes logits (N, C) and labels (N,), and logits always.

`state` holds what merges by addition; what needs sorted confidences is a function of saved predictions.
"""

from textmix.metrics.binned import (
    debiased_squared_error,
    ece,
    equal_mass_ece,
    mce,
    oe,
    over,
    reliability_table,
    rms_calibration_error,
    under,
)
from textmix.metrics.bins import BinTable, binned_statistics
from textmix.metrics.classwise import (
    BrierDecomposition,
    ClasswiseTable,
    brier_decomposition,
    classwise_ece,
    classwise_table,
    macro_f1,
    static_ece,
    worst_classes,
)
from textmix.metrics.examples import Array, Mode, Scores, score_examples
from textmix.metrics.scores import accuracy, brier, nll
from textmix.metrics.smooth import smooth_ece
from textmix.metrics.state import CalibrationState

__all__ = [
    "Array",
    "BinTable",
    "BrierDecomposition",
    "CalibrationState",
    "ClasswiseTable",
    "Mode",
    "Scores",
    "accuracy",
    "binned_statistics",
    "brier",
    "brier_decomposition",
    "classwise_ece",
    "classwise_table",
    "debiased_squared_error",
    "ece",
    "equal_mass_ece",
    "macro_f1",
    "mce",
    "nll",
    "oe",
    "over",
    "reliability_table",
    "rms_calibration_error",
    "score_examples",
    "smooth_ece",
    "static_ece",
    "under",
    "worst_classes",
]
