from textmix.report.table import DASH, markdown_table, metric_rows, text_table

METRICS = {"n": 1821, "accuracy": 0.8912, "nll": 0.51234, "brier": 0.3, "ece": 0.05, "oe": 0.04}
BAND = {"ece": {"low": 0.01, "high": 0.02}}
SUMMARY = {"test": METRICS, "null_band": {"test": BAND, "test_calibrated": BAND}}


def test_one_row_a_run_with_the_band_of_a_perfect_model():
    (row,) = metric_rows({"no mixup": SUMMARY})
    assert list(row) == ["run", "n", "accuracy", "NLL", "Brier", "ECE", "ECE if perfect", "OE"]
    assert list(row.values()) == [
        "no mixup",
        "1,821",
        "0.8912",
        "0.5123",
        "0.3000",
        "0.0500",
        f"0.0100{DASH}0.0200",
        "0.0400",
    ]


def test_a_temperature_adds_a_row_and_a_missing_test_is_said():
    calibrated = SUMMARY | {"test_calibrated": METRICS, "temperature": 1.5}
    assert [row["run"] for row in metric_rows({"a": calibrated})] == ["a", "a, T = 1.50"]
    validation = {"validation": METRICS, "null_band": {"validation": BAND, "validation_calibrated": BAND}}
    (row,) = metric_rows({"a": validation})
    assert row["run"] == "a (validation)"
    calibrated = validation | {"validation_calibrated": METRICS, "temperature": 1.5}
    assert [row["run"] for row in metric_rows({"a": calibrated})] == ["a (validation)", "a (validation), T = 1.50"]


def test_text_is_aligned_and_never_folded():
    lines = text_table([{"run": "a" * 300, "ECE": "0.1"}, {"run": "b", "ECE": "10.25"}]).splitlines()
    assert lines[0].split() == ["run", "ECE"]
    assert lines[2].split() == ["a" * 300, "0.1"]
    assert len(lines[2]) == len(lines[3]) == len(lines[0])


def test_brackets_are_no_markup():
    assert "runs/[bold]x[/bold]" in text_table([{"run": "runs/[bold]x[/bold]", "ECE": "0"}])


def test_markdown_survives_any_text():
    lines = markdown_table([{"text": "a | b\n<script> `c` [x](http://y) \\", "n": "1"}]).splitlines()
    assert len(lines) == 3
    assert lines[1].strip("|-") == ""
    assert lines[2].split(" | ")[0] == "| a \\| b &lt;script&gt; \\`c\\` [x]\\(http://y) \\\\"
