import numpy as np
import pytest
from scipy.special import softmax

from textmix.figures.reliability import calibrated_band, reliability_diagram
from textmix.metrics import BinTable, reliability_table


def test_bars_stand_at_the_mean_confidence():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 3)) * 2, rng.integers(0, 3, 500)
    chart = reliability_diagram(reliability_table(logits, labels, num_bins=10))
    probabilities = softmax(logits, axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.ceil(confidence * 10).astype(int) - 1
    bars = [bar for bar in chart.figure.axes[0].patches if bar.get_height() > 0]
    centres = [bar.get_x() + bar.get_width() / 2 for bar in bars]
    expected = [(confidence[bins == b].mean(), correct[bins == b].mean()) for b in np.unique(bins)]
    expected = [e for e in expected if e[1] > 0]
    np.testing.assert_allclose(centres, [e[0] for e in expected], atol=1e-12)
    np.testing.assert_allclose([bar.get_height() for bar in bars], [e[1] for e in expected], atol=1e-12)


def test_bars_carry_their_wilson_intervals():
    edges = np.arange(3) / 2
    count, accuracy = np.array([40, 200]), np.array([0.3, 0.95])
    chart = reliability_diagram(BinTable(edges[:-1], edges[1:], count, np.array([0.4, 0.9]), accuracy))
    whiskers = [c for c in chart.figure.axes[0].collections if len(c.get_paths()) == 2]
    drawn = np.array([path.vertices[:, 1] for path in whiskers[-1].get_paths()])
    z = 1.959963984540054
    centre = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(accuracy * (1 - accuracy) / count + z**2 / (4 * count**2))
    np.testing.assert_allclose(drawn, np.stack([centre - half, centre + half], axis=1), atol=1e-9)


def test_the_band_holds_95_percent_of_calibrated_bins():
    rng = np.random.default_rng(1)
    n, confidence = np.array([400, 60]), np.array([0.8, 0.97])
    low, high = calibrated_band(n, confidence)
    accuracy = rng.binomial(n, confidence, (20_000, 2)) / n
    inside = ((accuracy >= low) & (accuracy <= high)).mean(axis=0)
    assert (inside >= 0.945).all()
    assert inside[0] <= 0.97


def test_description_counts_bins_outside_the_band():
    edges = np.arange(3) / 2
    table = BinTable(edges[:-1], edges[1:], np.array([100, 1000]), np.array([0.4, 0.9]), np.array([0.42, 0.7]))
    description = reliability_diagram(table).description
    assert "2 bins hold 1,100 examples; in 1 of them" in description
    assert "mean confidence 0.90 and accuracy 0.70 over 1,000 examples" in description


@pytest.mark.parametrize("confidence", [1.0, 0.5])
def test_a_single_filled_bin_is_drawn(confidence):
    edges = np.arange(16) / 15
    empty = np.full(15, np.nan)
    count = np.zeros(15, dtype=np.int64)
    count[-1] = 3
    mean, accuracy = empty.copy(), empty.copy()
    mean[-1], accuracy[-1] = confidence, 1.0
    chart = reliability_diagram(BinTable(edges[:-1], edges[1:], count, mean, accuracy))
    assert "1 bins" in chart.description
    axes = chart.figure.axes[0]
    (low,), (high,) = calibrated_band(count[-1:], mean[-1:])
    corners = axes.collections[0].get_paths()[0].get_extents().get_points()
    np.testing.assert_allclose(corners, [[confidence - 1 / 30, low], [confidence + 1 / 30, high]])
    assert [text.get_text() for text in axes.get_legend().texts] == ["95 % if perfectly calibrated"]
