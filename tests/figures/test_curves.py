import numpy as np

from textmix.figures import against_alpha, along, risk_coverage, soft_against_dominant


def test_alphas_are_evenly_spaced_and_named():
    values = np.array([[0.9, 0.8, 0.95], [0.92, 0.9, 0.93], [0.91, 0.9, 0.92]])
    axes = against_alpha([0, 0.4, 2], {"accuracy": values}).figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.4", "2"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), values[:, 0])


def test_a_million_points_are_drawn_as_few_and_keep_their_ends():
    coverage = np.arange(1, 1_000_001) / 1_000_000
    chart = risk_coverage({"model": (coverage, coverage / 5)})
    x, y = chart.figure.axes[0].lines[0].get_data()
    assert len(x) <= 400
    assert (x[0], x[-1], y[-1]) == (coverage[0], 1.0, 0.2)
    assert "model: 0.100 for the most confident half, 0.200 for all" in chart.description


def test_a_curve_of_one_point_is_a_marker():
    coverage = np.arange(1, 11) / 10
    one, many = (
        risk_coverage({"flat": (np.ones(1), np.full(1, 0.3)), "curve": (coverage, coverage / 5)}).figure.axes[0].lines
    )
    assert (one.get_marker(), many.get_marker()) == ("o", "")


def test_methods_stand_in_order_with_their_intervals():
    chart = soft_against_dominant({"none": {"ECE": (0.1, 0.08, 0.13)}, "soft": {"ECE": (0.02, 0.01, 0.05)}})
    axes = chart.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "soft"]
    assert "none: ECE 0.100; soft: ECE 0.020" in chart.description


def test_methods_stand_side_by_side_along_the_axis_and_gaps_stay_open():
    some = np.array([[0.5, 0.4, 0.7], [np.nan] * 3, [0.3, 0.2, 0.35]])
    chart = along(["1", "2", "3"], {"NLL": {"a": some, "b": some + 0.1}, "ECE": {"a": some, "b": some}}, "epochs")
    axes = chart.figure.axes[0]
    assert [label.get_text() for label in chart.figure.axes[-1].get_xticklabels()] == ["1", "2", "3"]
    curves = {bars.get_label(): bars.lines[0].get_data() for bars in axes.containers}
    assert set(curves) == {"a", "b"}
    assert (curves["a"][0] < curves["b"][0]).all()
    np.testing.assert_array_equal(curves["a"][1], some[:, 0])
    bars = axes.containers[0].lines[2][0].get_segments()
    assert bars[0][:, 1].tolist() == [0.4, 0.7]
    assert "NLL, b: 0.600 at 1 and 0.400 at 3" in chart.description


def test_what_is_said_of_a_curve_begins_where_it_does():
    late = np.array([[np.nan] * 3, [0.5, 0.4, 0.6], [0.3, 0.2, 0.4]])
    alone = np.array([[0.7] * 3, [0.6] * 3, [np.nan] * 3])
    places = ["100", "300", "all"]
    said = along(places, {"NLL": {"late": late, "alone": alone, "never": late * np.nan}}, "size").description
    assert said == (
        "With 95 % intervals: NLL, late: 0.500 at 300 and 0.300 at all; NLL, alone: 0.700 at 100 and 0.600 at 300; "
        "NLL, never: nothing yet."
    )
    assert along(places, {"NLL": {"alone": alone}}, "size").description.startswith("One run each, so without intervals")
