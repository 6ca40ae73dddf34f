"""Metrics of predictions: every function takes logits (N, C) and labels (N,), and logits always.

`state` holds what merges by addition; what needs sorted confidences is a function of saved predictions.
"""

from textmix.metrics.binned import ece, mce, oe, over, reliability_table, rms_calibration_error, under
from textmix.metrics.bins import BinTable, binned_statistics
from textmix.metrics.examples import Array, Examples, Mode, score_examples
from textmix.metrics.scores import accuracy, brier, nll
from textmix.metrics.state import CalibrationState

__all__ = [
    "Array",
    "BinTable",
    "CalibrationState",
    "Examples",
    "Mode",
    "accuracy",
    "binned_statistics",
    "brier",
    "ece",
    "mce",
    "nll",
    "oe",
    "over",
    "reliability_table",
    "rms_calibration_error",
    "score_examples",
    "under",
]
