"""The figures, each a function of plain arrays that returns a :class:`~textmix.figures.chart.Chart`.

They draw on figures of their own and never touch the matplotlib settings of the caller.
"""

from textmix.figures.chart import Chart
from textmix.figures.curves import against_alpha, along, risk_coverage, soft_against_dominant
from textmix.figures.density import accuracy_confidence_density
from textmix.figures.histograms import confidence_histograms, mixed_label_entropy
from textmix.figures.reliability import reliability_diagram

__all__ = [
    "Chart",
    "accuracy_confidence_density",
    "against_alpha",
    "along",
    "confidence_histograms",
    "mixed_label_entropy",
    "reliability_diagram",
    "risk_coverage",
    "soft_against_dominant",
]
