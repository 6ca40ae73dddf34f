"""How sure we are: confidence intervals, what a calibrated model would show, and paired comparisons of two models.

What they do over 500 simulated models a row, by ``scripts/bench/coverage.py``: of N = 1,000 examples the 95 %
interval of ECE in 15 bins covers the population's in 93.8 to 98 % (ten populations, their ECE between 0 and 0.1); a
test at 5 % calls a perfectly calibrated model uncalibrated in 4.2 to 6.2 % by ECE and in 4.8 to 6.6 % by
Spiegelhalter's z (N = 200, 872 and 7,600); and the interval of a difference in ECE covers it in 94.6 to 99 %.
"""

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
