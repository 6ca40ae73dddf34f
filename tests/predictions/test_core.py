import numpy as np
import pyarrow.parquet as pq
import pytest

from textmix.errors import InputError
from textmix.predictions import Predictions, aligned, load, save


def some(n: int = 6, names: tuple[str, ...] = ("neg", "neu", "pos"), dtype: str = "float32") -> Predictions:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, len(names))).astype(dtype)
    texts = [f"text {i}" for i in range(n)]
    return Predictions(logits, rng.integers(0, len(names), n), names, [f"test-{i}" for i in range(n)], texts)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_predictions_come_back_bit_for_bit(tmp_path, dtype):
    written = some(dtype=dtype)
    save(written, tmp_path / "test.parquet")
    read = load(tmp_path / "test.parquet")
    assert read.logits.dtype == written.logits.dtype
    np.testing.assert_array_equal(read.logits, written.logits)
    np.testing.assert_array_equal(read.labels, written.labels)
    assert (read.label_names, read.ids, read.texts) == (written.label_names, written.ids, written.texts)


def test_the_file_holds_the_label_by_name(tmp_path):
    written = some()
    save(written, tmp_path / "test.parquet")
    table = pq.read_table(tmp_path / "test.parquet")
    assert table.column_names == ["id", "label", "logit_neg", "logit_neu", "logit_pos", "text"]
    assert table["label"].to_pylist() == [written.label_names[k] for k in written.labels]


def test_a_set_outside_the_classes_has_no_labels(tmp_path):
    p = some()
    outside = Predictions(p.logits, np.full(len(p), -1), p.label_names, p.ids)
    save(outside, tmp_path / "ood_noise.parquet")
    assert not load(tmp_path / "ood_noise.parquet", labelled=False).labelled
    with pytest.raises(InputError, match=r"rows 0, 1, 2, 3, 4 and 1 more .*expected a label among .*got None"):
        load(tmp_path / "ood_noise.parquet")


def test_a_failed_save_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "test.parquet"
    save(some(), path)
    before = path.read_bytes()
    broken = some()
    object.__setattr__(broken, "texts", [object()] * len(broken))
    with pytest.raises(Exception, match="object"):
        save(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros((6, 2), "f4")}, r"got logits \(6, 2\), 3 names, 6 labels"),
        ({"ids": ["a"] * 5}, r"6 labels and \[5, 6\] ids or texts"),
        ({"ids": ["a", "b", "c", "d", "e", "b"]}, "every id once, got 'b' 2 times"),
        ({"label_names": ("x", "y", "x")}, "every label name once, got 'x' 2 times"),
        ({"labels": np.array([0, 1, 2, 3, 0, 1])}, r"row 3: expected a label in \[0, 3\), got 3"),
        ({"labels": np.array([0, 1, -1, 0, 0, 1])}, r"row 2: expected a label in \[0, 3\), got -1"),
    ],
)
def test_what_is_no_record_is_refused(change, message):
    fields = {**vars(some()), **change}
    with pytest.raises(InputError, match=message):
        Predictions(**fields)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(bad):
    p = some(12)
    p.logits[[2, 3, 5, 7, 8, 11], 1] = bad
    with pytest.raises(InputError, match=r"rows 2, 3, 5, 7, 8 and 1 more \(counted from 0\): expected finite logits"):
        Predictions(**vars(p))


def test_one_class_and_no_rows_are_refused():
    with pytest.raises(InputError, match="at least two classes"):
        Predictions(np.zeros((1, 1), "f4"), np.zeros(1, "i8"), ("only",), ["a"])
    with pytest.raises(InputError, match="at least one example"):
        Predictions(np.zeros((0, 2), "f4"), np.zeros(0, "i8"), ("a", "b"), [])


def test_aligned_moves_columns_and_labels_together():
    p = some()
    turned = aligned(p, ("pos", "neg", "neu"))
    np.testing.assert_array_equal(turned.logits, p.logits[:, [2, 0, 1]])
    assert [turned.label_names[k] for k in turned.labels] == [p.label_names[k] for k in p.labels]
    np.testing.assert_array_equal(aligned(turned, p.label_names).logits, p.logits)
    with pytest.raises(InputError, match=r"got \['neu'\] missing and \['other'\] besides"):
        aligned(Predictions(p.logits, p.labels, ("neg", "other", "pos"), p.ids), p.label_names)


def test_many_classes_are_shown_as_five_and_a_count():
    names = tuple(f"class {k:03}" for k in range(150))
    with pytest.raises(InputError) as raised:
        aligned(Predictions(np.zeros((1, 2), "f4"), np.zeros(1, "i8"), ("a", "b"), ["x"]), names)
    five = "['class 000', 'class 001', 'class 002', 'class 003', 'class 004'] and 145 more"
    assert str(raised.value) == f"expected the classes {five}, got {five} missing and ['a', 'b'] besides."
