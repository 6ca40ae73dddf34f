import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from textmix.errors import InputError
from textmix.metrics import CalibrationState

EXACT = 1e-12


def state_of(logits, labels, num_bins=15, mode="top"):
    state = CalibrationState(num_bins, mode)
    state.update(logits, labels)
    return state


@st.composite
def predictions(draw, least=1):
    n, classes = draw(st.integers(least, 40)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = rng.normal(scale=draw(st.sampled_from([0.1, 2, 50])), size=(n, classes))
    if draw(st.booleans()):
        logits = logits.round()
    return logits, rng.integers(0, classes, n)


def test_agrees_with_a_plain_loop(case, reference):
    got = state_of(*case).compute()
    assert got == pytest.approx(reference(*case), rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("num_bins", [1, 2, 10, 100])
def test_agrees_with_a_plain_loop_for_any_number_of_bins(num_bins, reference):
    rng = np.random.default_rng(num_bins)
    logits, labels = rng.normal(size=(300, 4)) * 3, rng.integers(0, 4, 300)
    got = state_of(logits, labels, num_bins).compute()
    assert got == pytest.approx(reference(logits, labels, num_bins), rel=EXACT, abs=EXACT)


def test_positive_mode_bins_the_probability_of_class_one(reference):
    rng = np.random.default_rng(0)
    for n in (1, 5, 200):
        logits, labels = rng.normal(size=(n, 2)) * 4, rng.integers(0, 2, n)
        got = state_of(logits, labels, 15, "positive").compute()
        assert got == pytest.approx(reference(logits, labels, 15, "positive"), rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_less_precise_logits_agree_with_the_reference_on_the_same_numbers(dtype, reference):
    rng = np.random.default_rng(0)
    for classes in (2, 10, 50):
        logits = torch.tensor(rng.normal(size=(200, classes)) * 3).to(dtype)
        labels = torch.tensor(rng.integers(0, classes, 200))
        expected = reference(logits.double().numpy(), labels.numpy())
        assert state_of(logits, labels).compute() == pytest.approx(expected, abs=2e-6, rel=2e-6)


def test_arrays_tensors_and_lists_are_the_same():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    expected = state_of(logits, labels).compute()
    frozen = logits.copy()
    frozen.flags.writeable = False
    for same in (torch.tensor(logits), logits.tolist(), frozen, np.asfortranarray(logits), logits[::-1][::-1]):
        assert state_of(same, labels.astype(np.uint8)).compute() == expected
    assert state_of(torch.tensor(logits, requires_grad=True), torch.tensor(labels)).compute() == expected


def test_the_input_is_left_alone():
    for classes in (3, 100):
        for dtype in (torch.float32, torch.float64):
            logits = torch.randn(20, classes, dtype=dtype)
            before = logits.clone()
            state_of(logits, torch.zeros(20, dtype=torch.int64))
            state_of(logits.numpy(), np.zeros(20, dtype=np.int64))
            assert torch.equal(logits, before)


def test_the_prediction_is_the_first_of_tied_classes():
    assert state_of([[1.0, 1.0, 0.0]] * 2, [0, 1]).compute()["accuracy"] == 0.5
    assert state_of([[2.0] * 40] * 40, list(range(40))).compute()["accuracy"] == 1 / 40


def test_more_rows_than_a_chunk_holds():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(70_000, 2)), rng.integers(0, 2, 70_000)
    pieces = CalibrationState()
    for start in range(0, 70_000, 9_999):
        pieces.update(logits[start : start + 9_999], labels[start : start + 9_999])
    assert state_of(logits, labels).compute() == pytest.approx(pieces.compute(), rel=EXACT)


def test_twenty_million_predictions_merged_from_pieces():
    # Confidence 1 with 97 % right: float32 sums would have stopped counting at 2**24.
    piece = state_of(np.array([[800.0, 0.0]] * 1000), (np.arange(1000) < 30).astype(np.int64))
    state = piece
    total = CalibrationState()
    for bit in range(15):  # 20,000 = 0b100111000100000 pieces, by doubling
        if 20_000 >> bit & 1:
            total = total.merge(state)
        state = state.merge(state)
    metrics = total.compute()
    assert metrics["n"] == 20_000_000
    assert metrics["ece"] == pytest.approx(0.03, abs=EXACT)
    assert metrics["oe"] == pytest.approx(0.03, abs=EXACT)


@given(predictions(least=3), st.data())
@settings(deadline=None, max_examples=60)
def test_order_and_splits_do_not_matter(case, data):
    logits, labels = case
    order = np.array(data.draw(st.permutations(range(len(labels)))))
    cut = sorted(data.draw(st.lists(st.integers(0, len(labels)), min_size=2, max_size=2)))
    a, b, c = (state_of(x, y) for x, y in zip(np.split(logits[order], cut), np.split(labels[order], cut), strict=True))
    whole = state_of(logits, labels).compute()
    assert a.merge(b).merge(c).compute() == pytest.approx(whole, rel=EXACT, abs=EXACT)
    assert a.merge(b.merge(c)).compute() == pytest.approx(whole, rel=EXACT, abs=EXACT)
    assert c.merge(a).merge(b).compute() == pytest.approx(whole, rel=EXACT, abs=EXACT)


@given(predictions(), st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_halves_add_up_and_oe_is_the_lighter_one(case, num_bins):
    metrics = state_of(*case, num_bins).compute()
    assert metrics["over"] + metrics["under"] == pytest.approx(metrics["ece"], abs=EXACT)
    assert metrics["oe"] <= metrics["over"] + EXACT
    assert metrics["ece"] <= metrics["rms"] + EXACT
    assert metrics["rms"] <= metrics["mce"] + EXACT


@given(predictions(), st.integers(1, 12), st.integers(2, 5))
@settings(deadline=None, max_examples=60)
def test_nested_refinement_never_lowers_ece(case, num_bins, factor):
    coarse, fine = (state_of(*case, bins).compute() for bins in (num_bins, num_bins * factor))
    assert coarse["ece"] <= fine["ece"] + EXACT


@given(predictions(), st.data())
@settings(deadline=None, max_examples=60)
def test_names_of_classes_do_not_matter(case, data):
    logits, labels = case
    logits = logits + np.arange(logits.shape[1]) * 1e-7  # among tied classes the first one counts, so leave no ties
    order = np.array(data.draw(st.permutations(range(logits.shape[1]))))
    permuted = state_of(logits[:, order], np.argsort(order)[labels]).compute()
    assert permuted == pytest.approx(state_of(logits, labels).compute(), rel=EXACT, abs=EXACT)


@given(st.integers(1, 200), st.integers(0, 200), st.sampled_from([-1, 0, 1]))
@settings(deadline=None)
def test_bins_are_open_below_and_closed_above(num_bins, k, side):
    from textmix.metrics.bins import bin_index

    edge = min(k, num_bins) / num_bins
    value = min(max(np.nextafter(edge, side * 2) if side else edge, 0.0), 1.0)
    inside = [m for m in range(num_bins) if m / num_bins < value <= (m + 1) / num_bins] or [0]
    assert bin_index(torch.tensor([value]), num_bins).tolist() == inside


def test_table_holds_what_the_metrics_are_made_of():
    rng = np.random.default_rng(0)
    state = state_of(rng.normal(size=(400, 3)) * 2, rng.integers(0, 3, 400))
    table, metrics = state.table(), state.compute()
    filled = table.count > 0
    assert filled.sum() < 15
    assert np.isnan(table.confidence[~filled]).all()
    gap = np.abs(table.confidence - table.accuracy)[filled]
    assert metrics["ece"] == pytest.approx((table.count[filled] * gap).sum() / 400, abs=EXACT)
    assert ((table.lower < table.confidence) & (table.confidence <= table.upper))[filled].all()


def test_a_maximum_over_bins_of_enough_examples():
    state = state_of([[2.0, 0.0]] * 3 + [[0.2, 0.0]], [0, 0, 0, 1])
    assert state.compute()["mce"] == pytest.approx(0.549834, abs=1e-6)
    assert state.compute(min_count=3)["mce"] == pytest.approx(0.119203, abs=1e-6)
    assert np.isnan(state.compute(min_count=5)["mce"])


def test_sums_travel_through_accelerate_and_files(tmp_path):
    from accelerate import PartialState
    from accelerate.utils import reduce

    PartialState(cpu=True)
    state = state_of([[2.0, 0.0], [0.3, 0.1]], [0, 1], mode="positive")
    assert CalibrationState(mode="positive").load_sums(reduce(state.sums, "sum")).compute() == state.compute()
    state.save(tmp_path / "state.safetensors")
    loaded = CalibrationState.load(tmp_path / "state.safetensors")
    assert loaded.compute() == state.compute()
    assert (loaded.num_bins, loaded.mode) == (15, "positive")


def test_only_its_own_sums_are_loaded(tmp_path):
    state = CalibrationState(10)
    with pytest.raises(InputError, match="sums: expected"):
        CalibrationState(15).load_sums(state.sums)
    with pytest.raises(InputError, match="gone: expected a saved"):
        CalibrationState.load(tmp_path / "gone")
    (tmp_path / "text").write_text("not a state")
    with pytest.raises(InputError, match="expected a saved CalibrationState"):
        CalibrationState.load(tmp_path / "text")


def test_a_mode_that_there_is_not_is_not_loaded_as_another(tmp_path):
    save_file(CalibrationState(10).sums, tmp_path / "state", metadata={"num_bins": "10", "mode": "Positive"})
    with pytest.raises(InputError, match="mode"):
        CalibrationState.load(tmp_path / "state")


def test_states_of_different_kinds_do_not_merge():
    with pytest.raises(InputError, match="15 bins and mode 'top', got 10 bins"):
        CalibrationState(15).merge(CalibrationState(10))
    with pytest.raises(InputError, match="mode 'positive'"):
        CalibrationState(15).merge(CalibrationState(15, "positive"))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[1.0, float("nan")], [0.0, 1.0]], [0, 1], r"NaN or infinity in row 0 \(counted from 0\)"),
        ([[1.0, 0.0], [float("-inf"), 1.0], [float("inf"), 0.0]], [0, 0, 0], "rows 1, 2"),
        ([[0.0, 1.0]] * 7 + [[float("inf"), 0.0]] * 7, [0] * 14, "rows 7, 8, 9, 10, 11 and 2 more"),
        ([[1.0, 0.0]] * 3, [0, 1, 2], "indices from 0 to 1, got 2 in row 2"),
        ([[1.0, 0.0]] * 3, [0, -1, 0], "got -1 in row 1"),
        ([[1.0, 0.0]] * 3, [0.0, 1.0, 0.0], "expected integers"),
        ([[1.0, 0.0]] * 3, [0, 1], r"labels: expected shape \(3,\)"),
        ([1.0, 0.0], [0, 1], r"logits: expected shape \(N, C\)"),
        (np.empty((3, 0)), [0, 1, 0], r"C >= 1"),
    ],
)
def test_bad_input_is_refused_by_row_and_leaves_the_state_alone(logits, labels, message):
    state = state_of([[2.0, 0.0]], [0])
    before = state.compute()
    with pytest.raises(InputError, match=message):
        state.update(logits, labels)
    assert state.compute() == before


def test_rows_of_later_chunks_are_counted_from_the_start_and_undo_the_earlier_ones():
    logits = np.zeros((50_000, 2), dtype=np.float32)
    logits[40_001, 1] = np.nan
    state = state_of([[2.0, 0.0]], [0])
    with pytest.raises(InputError, match="row 40001 "):
        state.update(logits, np.zeros(50_000, dtype=np.int64))
    assert state.compute()["n"] == 1
    labels = np.zeros(50_000, dtype=np.int64)
    labels[40_002] = 5
    with pytest.raises(InputError, match="got 5 in row 40002 "):
        state_of(np.zeros((50_000, 2)), labels)


def test_logits_whose_sum_overflows_are_finite_all_the_same():
    huge = np.full((4, 2), 3e38, dtype=np.float32)
    huge[:, 1] = -3e38
    metrics = state_of(huge, [0, 0, 0, 1]).compute()
    assert [metrics[name] for name in ("accuracy", "brier", "ece")] == [0.75, 0.5, 0.25]


def test_nothing_seen_is_an_error_and_an_empty_batch_is_none():
    state = CalibrationState()
    state.update(np.empty((0, 3)), np.empty(0, dtype=np.int64))
    with pytest.raises(InputError, match="at least one example"):
        state.compute()


def test_options_are_checked():
    with pytest.raises(InputError, match="num_bins"):
        CalibrationState(0)
    with pytest.raises(InputError, match="mode"):
        CalibrationState(15, "bottom")
    with pytest.raises(InputError, match="expected 2 classes for mode 'positive', got 3"):
        state_of([[1.0, 0.0, 2.0]], [0], mode="positive")


def test_import_stays_light():
    code = "import sys, textmix.metrics; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["transformers", "datasets", "accelerate", "matplotlib", "sklearn", "torchmetrics", "netcal"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
