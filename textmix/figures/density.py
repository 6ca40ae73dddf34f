"""Accuracy against confidence over the epochs: how overconfidence grows (Thulasidasan et al. 2019, fig. 1)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from textmix.figures.chart import BLUE, MUTED, PAPER, WIDTH, Chart, look

Epoch = tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]
"""Confidences (N,) and correctness (N,) on the validation set after one epoch."""

BATCH, BATCHES, CELLS = 50, 2000, 100
"""Examples of a batch, batches of a panel, cells of its density along each side."""
SHARES = (0.95, 0.75, 0.5, 0.25)
"""Shares of the batches that the outlines of the density hold."""


def accuracy_confidence_density(
    epochs: Mapping[int, Epoch], seed: int = 0, panels: int = 9, name: str = "density"
) -> Chart:
    """Draw after each epoch where batches of validation examples lie: mean confidence across, accuracy up.

    The batches are drawn with replacement; below the diagonal the network is overconfident. Where there are more epochs
    than `panels`, evenly spaced ones are shown, the first and the last among them.
    """
    shown = [sorted(epochs)[i] for i in np.unique(np.linspace(0, len(epochs) - 1, panels).round().astype(int))[:panels]]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    with look():
        figure = Figure(figsize=(WIDTH, 0.5 + WIDTH / 3 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(shown) :]:
            axes.set_axis_off()
        for epoch, axes in zip(shown, grid.flat, strict=False):
            _draw_density(axes, epochs[epoch], np.random.default_rng((seed, epoch)))
            axes.set_title(f"epoch {epoch}" if epoch else "untrained")
            axes.tick_params(labelbottom=True)
        figure.supxlabel("mean confidence", fontsize=10)
        figure.supylabel("accuracy", fontsize=10)
    first, last = (_gap(epochs[epoch]) for epoch in (shown[0], shown[-1]))
    return Chart(
        name, figure, "Accuracy against confidence on validation, epoch by epoch",
        f"{len(shown)} panels, one an epoch. Mean confidence less accuracy is {first:+.3f} after {shown[0]} epochs "
        f"and {last:+.3f} after {shown[-1]}; above zero the network is overconfident.",
    )  # fmt: skip


def _gap(epoch: Epoch) -> float:
    confidence, correct = epoch
    return float(confidence.mean(dtype=np.float64) - correct.mean())


def _draw_density(axes: Axes, epoch: Epoch, rng: np.random.Generator) -> None:
    confidence, correct = epoch
    members = rng.integers(0, len(confidence), (BATCHES, BATCH))
    points = confidence[members].mean(axis=1), correct[members].mean(axis=1)
    counts, x_edges, y_edges = np.histogram2d(*points, bins=CELLS, range=[[0, 1], [0, 1]])
    smooth = gaussian_filter(counts, sigma=CELLS / 50).T
    ordered = np.sort(smooth.ravel())[::-1]
    levels = ordered[np.searchsorted(ordered.cumsum() / ordered.sum(), SHARES)]
    middles = (x_edges[:-1] + x_edges[1:]) / 2, (y_edges[:-1] + y_edges[1:]) / 2
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1.2)
    for level in np.unique(levels):
        axes.contourf(*middles, smooth, levels=[level, smooth.max() + 1], colors=[BLUE], alpha=0.3)
    axes.contour(*middles, smooth, levels=[levels[0]], colors=[BLUE], linewidths=0.8)
    axes.plot(points[0].mean(), points[1].mean(), marker="+", color=PAPER, markersize=6)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
