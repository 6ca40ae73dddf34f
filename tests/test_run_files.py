"""The files in which a run tells of itself."""

import pytest

from textmix.errors import InputError
from textmix.run_files import as_written, read_config, read_history, read_summary, used_temperature, write_summary


def test_a_summary_comes_back_as_it_was_written(tmp_path):
    summary = {"test": {"nll": 0.1 + 0.2, "n": 3}, "note": "naïve"}
    write_summary(summary, tmp_path)
    assert read_summary(tmp_path) == summary


def test_a_number_that_json_has_not_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_summary({"nll": float("nan")}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("summary", "temperature"),
    [({"temperature": 1.3}, 1.3), ({}, 1.0), ({"temperature": 0.01, "temperature_reason": "at a bound"}, 1.0)],
)
def test_the_temperature_that_is_used(summary, temperature):
    assert used_temperature(summary) == temperature


def test_only_records_of_validation_are_history(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_history(path) == []
    path.write_text('{"event": "train", "epoch": 0}\n{"event": "validation", "epochs": 1}\n[]\n')
    assert read_history(path) == [{"event": "validation", "epochs": 1}]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (lambda path: read_summary(path.parent), None, "expected the summary of a finished run"),
        (lambda path: read_summary(path.parent), "{", "expected JSON"),
        (lambda path: read_summary(path.parent), "[1]", "expected a JSON object, got list"),
        (read_config, "[1]", "expected the configuration of a run, got list"),
        (read_config, "a: [", "expected the configuration of a run, got: "),
        (read_config, "2026-01-01: x", "keys or values that textmix never writes"),
        (read_history, "{", "expected one JSON object a line"),
    ],
)
def test_other_files_are_refused(tmp_path, read, content, message):
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        read(path)


def test_what_stumbles_over_them_is_told_in_one_sentence(tmp_path):
    message = r"got others \(KeyError: 'nll'\); restore them, or train again"
    with pytest.raises(InputError, match=message), as_written(tmp_path):
        {}["nll"]
    with pytest.raises(InputError, match="mine"), as_written(tmp_path):
        raise InputError("mine")
