import pyarrow as pa
import pytest

from textmix.data.labels import check_labelled, class_indices, class_names, label_strings, unlabelled
from textmix.errors import InputError


def column(*values):
    return pa.chunked_array([pa.array(values[:2], pa.string()), pa.array(values[2:], pa.string())])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pa.array(["a", None]), ["a", None]),
        (pa.array([10, 2, None]), ["10", "2", None]),
        (pa.array([7], pa.uint8()), ["7"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_label_strings(given, expected):
    assert label_strings(given, None, "x").to_pylist() == expected


def test_declared_names_stand_for_indices_and_minus_one_for_nothing():
    assert label_strings(pa.array([1, -1, 0, None]), ("no", "yes"), "x").to_pylist() == ["yes", None, "no", None]
    with pytest.raises(InputError, match=r"x: expected labels in \[0, 2\).*got 2"):
        label_strings(pa.array([1, 2]), ("no", "yes"), "x")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (pa.array([0.5, 1.0]), "regression"),
        (pa.array([[0], [1]]), "multi-label"),
        (pa.array([{"a": 1}]), "multi-label"),
    ],
)
def test_what_is_no_class_is_refused_by_name(given, why):
    with pytest.raises(InputError, match=f"x: .*{why}"):
        label_strings(given, None, "x")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["b", "a", "c"], ("a", "b", "c")),
        (["10", "2", "-1"], ("-1", "2", "10")),
        (["10", "2", "a"], ("10", "2", "a")),
        (["1.5", "beta"], ("1.5", "beta")),
        (["1" * 5001, "9" * 5000], ("9" * 5000, "1" * 5001)),
    ],
)
def test_class_names_are_sorted_numbers_by_value(given, names):
    assert class_names(column(*given), None, "x") == names


def test_declared_names_are_kept_in_their_order():
    assert class_names(column("b", "a"), ("b", "c", "a"), "x") == ("b", "c", "a")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["a", "a"], "two classes"),
        (["0.5", "1"], "regression"),
        (["1e-3", ".5"], "regression"),
        (["[0]", "[0, 1]"], "multi-label"),
    ],
)
def test_class_names_that_are_none(given, why):
    with pytest.raises(InputError, match=f"x: .*{why}"):
        class_names(column(*given), None, "x")


def test_class_indices():
    assert class_indices(column("b", "a", "b"), ("a", "b"), "x").tolist() == [1, 0, 1]
    with pytest.raises(InputError, match=r"x: rows 2, 3 \(counted from 0\).*got 'z'"):
        class_indices(column("b", "a", "z", "y"), ("a", "b"), "x")


def test_rows_without_a_label_are_named():
    assert unlabelled(column("a", "", None)).tolist() == [False, True, True]
    with pytest.raises(InputError, match=r"x: rows 1, 2 \(counted from 0\): expected a label, got none"):
        check_labelled(column("a", "", None), "x")
