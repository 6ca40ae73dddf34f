"""How sure we are: confidence intervals, what a calibrated model would show, and paired comparisons of two models."""

from textmix.inference.compare import Comparison, Difference, compare
from textmix.inference.intervals import Interval, confidence_intervals, wilson
from textmix.inference.null import NullBand, ZTest, null_band, spiegelhalter
from textmix.inference.repeated import method_intervals

__all__ = [
    "Comparison",
    "Difference",
    "Interval",
    "NullBand",
    "ZTest",
    "compare",
    "confidence_intervals",
    "method_intervals",
    "null_band",
    "spiegelhalter",
    "wilson",
]
