"""The reliability diagram (DeGroot and Fienberg 1983), drawn so that noise can be told from miscalibration."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from textmix.figures.chart import BAND, BLUE, INK, MUTED, PAPER, WIDTH, Chart, look
from textmix.inference import wilson
from textmix.metrics import BinTable

LEVEL = 0.95
"""Confidence level of the intervals and of the band."""


def reliability_diagram(
    table: BinTable, name: str = "reliability", title: str = "Accuracy against confidence"
) -> Chart:
    """Draw accuracy against confidence, bin by bin.

    Bars stand at the mean confidence of their bin and carry the 95 % Wilson interval of its accuracy. The band around
    the diagonal is where 95 % of the bars of a perfectly calibrated model with these counts would end (binomial).
    With one bin filled, the band is as wide as the bin. Counts are below.
    """
    filled = table.count > 0
    n, confidence, accuracy = table.count[filled], table.confidence[filled], table.accuracy[filled]
    low, high = calibrated_band(n, confidence)
    with look():
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
        width = 1 / len(table.count)
        _draw_band(upper, confidence, low, high, width)
        _draw_bars(upper, n, confidence, accuracy, 0.6 * width)
        upper.set(ylabel="accuracy", ylim=(0, 1.02))
        lower.bar(table.lower, table.count, align="edge", width=width, color=MUTED, ec=PAPER, lw=0.5)
        lower.set(xlabel="confidence", ylabel="examples", xlim=(0, 1.02))
        lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        lower.yaxis.set_major_formatter("{x:,.0f}")
    outside = int(((accuracy < low) | (accuracy > high)).sum())
    worst = int(np.argmax(np.abs(confidence - accuracy) * n))
    return Chart(
        name, figure, title,
        f"{len(n)} bins hold {n.sum():,} examples; in {outside} of them accuracy lies outside the 95 % band of a "
        f"perfectly calibrated model. The bin that adds most to the calibration error has mean confidence "
        f"{confidence[worst]:.2f} and accuracy {accuracy[worst]:.2f} over {n[worst]:,} examples.",
    )  # fmt: skip


def calibrated_band(
    count: npt.NDArray[np.int64], confidence: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return between which accuracies 95 % of bins (B,) of these counts and confidences fall, if confidence is true."""
    tail = (1 - LEVEL) / 2
    return binom.ppf(tail, count, confidence) / count, binom.ppf(1 - tail, count, confidence) / count


def _draw_band(
    axes: Axes,
    confidence: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    width: float,
) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1.2)
    if len(confidence) == 1:  # one point has no area
        confidence = confidence + np.array([-width / 2, width / 2])
        low, high = low.repeat(2), high.repeat(2)
    axes.fill_between(confidence, low, high, color=BAND, linewidth=0, label="95 % if perfectly calibrated")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _draw_bars(
    axes: Axes,
    n: npt.NDArray[np.int64],
    confidence: npt.NDArray[np.float64],
    accuracy: npt.NDArray[np.float64],
    width: float,
) -> None:
    low, high = wilson(accuracy * n, n, LEVEL)
    axes.bar(confidence, accuracy, width=width, color=BLUE, alpha=0.75, linewidth=0)
    spread = [accuracy - low, high - accuracy]
    axes.errorbar(confidence, accuracy, yerr=spread, fmt="none", color=INK, elinewidth=1, capsize=2)
