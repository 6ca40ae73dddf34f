"""Predictions that can't be measured."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bad_input_kit import refused


def numbers(**changes):
    rng = np.random.default_rng(0)
    columns = {
        "id": [str(i) for i in range(9)],
        "label": ["a", "b", "a"] * 3,
        "logit_a": rng.normal(size=9),
        "logit_b": rng.normal(size=9),
    }
    return {name: values for name, values in {**columns, **changes}.items() if values is not None}


PREDICTIONS = {
    "nan": (numbers(logit_a=[np.nan, *range(8)]), [], "row 0"),
    "infinity": (numbers(logit_a=[*range(8), np.inf]), [], "row 8"),
    "unknown label": (numbers(label=["a", "b", "c"] * 3), [], "'c'"),
    "no label column": (numbers(label=None), [], "label"),
    "a prediction is no label": (numbers(label=None, prediction=["a"] * 9), [], "prediction"),
    "one class": (numbers(logit_b=None, label=["a"] * 9), [], "two classes"),
    "no logits": (numbers(logit_a=None, logit_b=None), [], "logit_"),
    "duplicate ids": (numbers(id=["x"] * 9), [], "id"),
    "bytes as labels": (numbers(label=[b"a", b"\xff", b"a"] * 3), [], "no UTF-8"),
    "lists as ids": (numbers(id=[[1]] * 9), [], "expected text in column 'id'"),
    "lists as logits": (numbers(logit_a=[[1.0]] * 9), [], "expected numbers in column logit_a"),
    "an index beyond the classes": (numbers(label=[0, 1, 5] * 3), ["--columns", "logit_a", "logit_b"], "rows 2, 5, 8"),
    "an index beyond all": (
        numbers(label=["9" * 30] * 9),
        ["--columns", "logit_a", "logit_b"],
        "expected a label in [0, 2)",
    ),
    "a class twice": (numbers(), ["--columns", "logit_a", "logit_a"], "--columns"),
    "a name that is too long": (numbers(), ["--output_dir", "a" * 300], "too long"),
    "an output below a file": (numbers(), ["--output_dir", "p.parquet/x"], "p.parquet/x"),
    "resamples without end": (numbers(), ["--resamples", "9" * 20], "resamples: expected an integer in"),
    "no such column": (numbers(), ["--columns", "logit_a", "logit_z"], "logit_z"),
    "logits announced as probabilities": (numbers(), ["--from", "probabilities"], "prob_"),
    "probabilities that do not sum to 1": (
        numbers(prob_a=[0.5] * 9, prob_b=[0.6] * 9),
        ["--from", "probabilities"],
        "sum",
    ),
    "no rows": (
        numbers(
            **{
                name: pa.array([], pa.string() if name in {"id", "label"} else pa.float64())
                for name in ("id", "label", "logit_a", "logit_b")
            }
        ),
        [],
        "expected at least one example",
    ),
    "no bins": (numbers(), ["--bins", "0"], "bins: expected an integer in [1, 10000]"),
    "calibrated on a missing file": (numbers(), ["--calibrate-on", "none.parquet"], "none.parquet"),
    "calibrated on itself": (numbers(), ["--calibrate-on", "p.parquet"], "p.parquet"),
}


@pytest.mark.parametrize("case", PREDICTIONS, ids=lambda name: name.replace(" ", "-"))
def test_predictions(case, here, capsys):
    columns, flags, message = PREDICTIONS[case]
    pq.write_table(pa.table(columns), here / "p.parquet")
    assert message in refused(["evaluate", "p.parquet", *flags], capsys, here)


def archive(**arrays) -> bytes:
    path = Path("made.npz")
    np.savez(path, **arrays)
    content = path.read_bytes()
    path.unlink()
    return content


AB = {"logit_a": np.zeros(2), "logit_b": np.ones(2)}
OTHERS = {
    # name: (suffix, bytes of the file or what makes them, what the sentence says)
    "words among numbers": ("csv", b"label,logit_a,logit_b\na,1,2\nb,2,x\n", "row 1 (counted from 0): expected a num"),
    "decimal commas": ("csv", b'label,logit_a,logit_b\na,"1,5",2\n', "decimal point in column 'logit_a', got '1,5'"),
    "a short row": ("csv", b"label,logit_a,logit_b\na,1\n", "row 0 (counted from 0): expected 3 fields"),
    "semicolons": ("csv", b"label;logit_a;logit_b\na;1;2\n", "a csv file needs commas"),
    "latin-1": ("csv", "label,logit_a,logit_b\ncaf\xe9,1,2\n".encode("latin-1"), "UTF-8"),
    "UTF-16": ("csv", "label,logit_a,logit_b\na,1,2\n".encode("utf-16"), "got UTF-16"),
    "nothing": ("csv", b"", "expected a header and rows, got an empty file"),
    "NUL": ("csv", b"label,logit_a,logit_b\na\0,1,2\n", "row 0"),
    "1e400": ("csv", b"label,logit_a,logit_b\na,1e400,2\n", "row 0 (counted from 0): expected finite logits"),
    "an open quote": ("tsv", b'label\tlogit_a\tlogit_b\na\t1\t2\n"b\t1\t2\na"\t1\t2\n', "lines 3 to 4: expected"),
    "half an object": ("jsonl", b'{"label": "a", "logit_a": 1, "logit_b": 2}\n{"label": ', "row 1 (counted from 0)"),
    "a list": ("jsonl", b"[1, 2]\n", "row 0 (counted from 0): expected one JSON object a line"),
    "brackets without end": ("jsonl", b"[" * 100_000, "row 0"),
    "numbers as text": ("jsonl", b'{"label":"a","logit_a":"1","logit_b":"2"}\n', "expected numbers in column logit_a"),
    "a missing logit": ("jsonl", b'{"label":"a","logit_a":1,"logit_b":2}\n{"label":"a","logit_a":1}\n', "row 1"),
    "a dictionary as label": ("jsonl", b'{"label":{"x":1},"logit_a":1,"logit_b":2}\n', "text in column 'label'"),
    "no archive": ("npz", b"hello", "expected what numpy.savez wrote"),
    "an empty archive": ("npz", b"PK\5\6" + bytes(18), "label"),
    "Python objects": ("npz", lambda: archive(label=np.array(["a", None], object), **AB), "Python objects"),
    "complex numbers": ("npz", lambda: archive(label=["a", "b"], **AB | {"logit_a": np.zeros(2) * 1j}), "complex"),
    "a table": ("npz", lambda: archive(label=["a", "b"], logit_a=np.zeros((2, 2)), logit_b=np.ones(2)), "1-D"),
    "bytes": ("npz", lambda: archive(label=[b"a", b"\xff"], **AB), "UTF-8"),
    "half a parquet": ("parquet", b"PAR1" + bytes(40), "can't be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS, ids=lambda name: name.replace(" ", "-"))
def test_predictions_of_others(case, here, capsys):
    suffix, content, message = OTHERS[case]
    (here / f"p.{suffix}").write_bytes(content if isinstance(content, bytes) else content())
    told = refused(["evaluate", f"p.{suffix}"], capsys, here)
    assert told.startswith(f"error: p.{suffix}: ")
    assert message in told
