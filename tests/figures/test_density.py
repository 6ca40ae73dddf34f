import numpy as np

from textmix.figures import accuracy_confidence_density

RNG = np.random.default_rng(0)


def epochs(count: int) -> dict:
    return {e: (np.full(300, 0.5 + 0.02 * e, "f4"), np.arange(300) % 2 == 0) for e in range(count)}


def titles(chart) -> list[str]:
    return [axes.get_title() for axes in chart.figure.axes if axes.get_title()]


def test_first_and_last_epoch_are_among_the_panels():
    assert titles(accuracy_confidence_density(epochs(20), panels=6))[::5] == ["untrained", "epoch 19"]
    assert len(titles(accuracy_confidence_density(epochs(20), panels=6))) == 6
    assert titles(accuracy_confidence_density(epochs(2))) == ["untrained", "epoch 1"]
    assert titles(accuracy_confidence_density(epochs(1))) == ["untrained"]


def test_description_tells_how_overconfidence_grew():
    description = accuracy_confidence_density(epochs(11)).description
    assert "is +0.000 after 0 epochs and +0.200 after 10" in description


def test_the_density_lies_where_the_batches_lie():
    chart = accuracy_confidence_density({3: (np.full(1000, 0.9, "f4"), np.arange(1000) % 10 < 6)})
    (axes,) = [axes for axes in chart.figure.axes if axes.get_title()]
    vertices = np.concatenate([path.vertices for path in axes.collections[-1].get_paths()])
    assert abs(vertices[:, 0].mean() - 0.9) < 0.01
    assert abs(vertices[:, 1].mean() - 0.6) < 0.03
