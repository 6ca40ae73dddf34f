import numpy as np

from textmix.figures import confidence_histograms, mixed_label_entropy


def test_each_histogram_sums_to_one_and_ends_are_counted():
    chart = confidence_histograms({"a": {"in": np.array([0.0, 0.2, 1.0, 1.0]), "noise": np.array([0.5])}})
    for patch in chart.figure.axes[0].patches:
        assert patch.get_data().values.sum() == 1
    assert "a: in 0.55, noise 0.50" in chart.description


def test_one_row_an_alpha_in_order():
    chart = mixed_label_entropy({1.0: np.array([0.6, 0.7]), 0.1: np.array([0.0, 0.1])})
    assert [axes.get_ylabel() for axes in chart.figure.axes] == [r"$\alpha$ = 0.1", r"$\alpha$ = 1"]
    assert "0.05 at alpha 0.1, 0.65 at alpha 1" in chart.description


def test_labels_that_were_never_mixed_have_no_entropy():
    assert "0.00 at alpha 0" in mixed_label_entropy({0.0: np.zeros(10)}).description
