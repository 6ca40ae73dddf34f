import json

import numpy as np
import pandas as pd
import pytest

from textmix.errors import InputError
from textmix.predictions import load

NAMES = ["neg", "neu", "pos"]
LOGITS = np.random.default_rng(3).normal(size=(7, 3)) * 3
LABELS = [NAMES[k] for k in (0, 1, 2, 2, 0, 1, 0)]


def frame(prefix: str = "logit_", values: np.ndarray = LOGITS) -> pd.DataFrame:
    columns = {f"{prefix}{name}": values[:, k] for k, name in enumerate(NAMES)}
    return pd.DataFrame({"label": LABELS, "text": [f'a, "b"\n{i}' for i in range(7)], **columns})


def probabilities() -> np.ndarray:
    return np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def write(data: pd.DataFrame, path):
    if path.suffix == ".parquet":
        data.to_parquet(path)
    elif path.suffix in {".csv", ".tsv"}:
        data.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    elif path.suffix == ".jsonl":
        data.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        np.savez(path, **{name: data[name].to_numpy(str if name in {"label", "text"} else None) for name in data})
    return path


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl", "npz"])
def test_every_format_says_the_same(tmp_path, suffix):
    read = load(write(frame(), tmp_path / f"p.{suffix}"))
    np.testing.assert_allclose(read.logits, LOGITS, rtol=1e-12)
    assert read.label_names == tuple(NAMES)
    assert [NAMES[k] for k in read.labels] == LABELS
    assert read.texts[1] == 'a, "b"\n1'
    assert read.ids == [str(i) for i in range(7)]


def test_columns_are_matched_by_name_in_any_order(tmp_path):
    shuffled = frame()[["logit_pos", "text", "logit_neg", "label", "logit_neu"]]
    read = load(write(shuffled, tmp_path / "p.csv"))
    assert read.label_names == ("pos", "neg", "neu")
    assert [read.label_names[k] for k in read.labels] == LABELS
    np.testing.assert_allclose(read.logits, LOGITS[:, [2, 0, 1]], rtol=1e-12)


def test_labels_that_look_like_something_else_stay_names(tmp_path):
    for names in (
        ["0", "1", "10"],
        ["NA", "None", "null"],
        ["01", "1.50", "1e3"],
        ["2020-01-01", "2020-01-02", "x"],
        ["2020-01-01", "2020-01-02", "2020-01-03"],
        ["true", "false", "True"],
    ):
        data = pd.DataFrame({"label": [names[k] for k in (0, 2, 1)]})
        data[[f"logit_{n}" for n in names]] = LOGITS[:3]
        for suffix in ("csv", "jsonl", "parquet"):
            read = load(write(data, tmp_path / f"p.{suffix}"))
            assert (read.label_names, read.labels.tolist()) == (tuple(names), [0, 2, 1])


def test_a_missing_text_is_empty(tmp_path):
    for suffix in ("csv", "jsonl", "parquet"):
        read = load(write(frame().assign(text=[*"abcdef", None]), tmp_path / f"p.{suffix}"))
        assert read.texts == [*"abcdef", ""]


def test_numbers_that_are_names_of_classes_are_names_in_every_format(tmp_path):
    data = pd.DataFrame({"label": [2, 1, 1], "1": [0.0, 5.0, 5.0], "2": [5.0, 0.0, 0.0]})
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        assert load(write(data, tmp_path / f"p.{suffix}"), columns=["1", "2"]).labels.tolist() == [1, 0, 0]
    np.savez(tmp_path / "p.npz", **{name: data[name].to_numpy() for name in data})
    assert load(tmp_path / "p.npz", columns=["1", "2"]).labels.tolist() == [1, 0, 0]


def test_columns_give_names_and_an_order_for_indices(tmp_path):
    data = frame("").assign(label=[NAMES.index(name) for name in LABELS], other=1.0)
    for suffix in ("csv", "parquet"):
        read = load(write(data, tmp_path / f"p.{suffix}"), columns=["neg", "neu", "pos"])
        assert (read.label_names, [NAMES[k] for k in read.labels]) == (tuple(NAMES), LABELS)
    with pytest.raises(InputError, match=r"row 6 .*expected a label in \[0, 3\), got 3"):
        load(write(data.assign(label=[0, 1, 2, 2, 0, 1, 3]), tmp_path / "p.csv"), columns=["neg", "neu", "pos"])


def test_half_precision_is_read_as_float32(tmp_path):
    read = load(write(frame(values=LOGITS.astype("float16")), tmp_path / "p.parquet"))
    assert read.logits.dtype == np.float32
    np.testing.assert_array_equal(read.logits, LOGITS.astype("float16"))


def test_probabilities_keep_their_softmax_and_say_what_is_lost(tmp_path, caplog):
    path = write(frame("prob_", probabilities()), tmp_path / "p.csv")
    read = load(path, source="probabilities")
    np.testing.assert_allclose(np.exp(read.logits), probabilities(), rtol=1e-9)
    assert "energy score is lost, and 0 values" in caplog.text
    certain = np.eye(3)[[0, 1, 2, 2, 0, 1, 0]]
    read = load(write(frame("prob_", certain), tmp_path / "p.csv"), source="probabilities")
    assert np.isfinite(read.logits).all()
    assert "14 values" in caplog.text


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (frame("prob_", probabilities() * 1.01), {"source": "probabilities"}, "rows 0, .* and 2 more .*sum of 1.01"),
        (frame("prob_"), {"source": "probabilities"}, "look like logits: leave out --from"),
        (frame(), {"source": "probabilities"}, r"column prob_<label name>.*there are logits: use --from logits"),
        (frame("prob_", probabilities()), {}, r"column logit_<label name>.*there are probabilities: use --from prob"),
        (frame("logit_", probabilities()), {}, "rows that all sum to 1"),
        (frame().drop(columns="label"), {}, r"a column `label` with the true labels, got \['text'"),
        (frame().rename(columns={"label": "prediction"}), {}, "`prediction` is the model's answer and no true label"),
        (frame().drop(columns="logit_pos"), {}, r"rows 2, 3 .*expected a label among \['neg', 'neu'\], got 'pos'"),
        (frame(), {"columns": ["logit_neg", "logit_x"]}, r"got no \['logit_x'\]"),
        (frame().assign(label=[0, 1, 2, 0, 1, 2, 0]), {}, "labels that are indices need --columns"),
        (frame().assign(id=list("abcdefa")), {}, "every id once, got 'a' 2 times"),
        (frame().assign(logit_neu=[1, 2, np.nan, 4, 5, 6, 7]), {}, r"row 2 \(counted from 0\): expected finite logits"),
        (frame().assign(logit_neu=[1, 2, np.inf, 4, 5, 6, 7]), {}, r"row 2 \(counted from 0\): expected finite logits"),
        (frame().assign(logit_neu="high"), {}, "numbers? .*in column .?logit_neu"),
        (frame().iloc[:0], {}, "at least one example, got none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bad_input_is_one_sentence_that_names_the_file(tmp_path, suffix, data, options, message):
    path = write(data, tmp_path / f"p.{suffix}")
    with pytest.raises(InputError, match=message) as caught:
        load(path, **options)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl", "npz"])
@pytest.mark.parametrize("content", [b"", b"\x80\xff\x00 neither", b"no such thing\n1\n"])
def test_a_file_of_another_kind_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"p.{suffix}: "):
        load(path)


def test_a_missing_file_and_an_unknown_suffix_are_refused(tmp_path):
    with pytest.raises(InputError, match="found none"):
        load(tmp_path / "absent.parquet")
    (tmp_path / "p.xlsx").touch()
    with pytest.raises(InputError, match=r"expected one of .parquet, .csv, .tsv, .jsonl, .npz, got '.xlsx'"):
        load(tmp_path / "p.xlsx")


def test_the_same_column_twice_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("label,logit_a,logit_b,logit_a\na,1,2,3\n")
    with pytest.raises(InputError, match=r"every column once, got \['logit_a'\]"):
        load(path)


def test_arrays_that_are_no_columns_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", label=np.array(LABELS), logit_all=LOGITS)
    with pytest.raises(InputError, match=r"expected 1-D arrays .*logit_all.*\(7, 3\)"):
        load(tmp_path / "p.npz")
    np.savez(tmp_path / "p.npz", label=np.array(LABELS), logit_a=LOGITS[:, 0], logit_b=LOGITS[:3, 0])
    with pytest.raises(InputError, match="expected arrays of one length"):
        load(tmp_path / "p.npz")


def test_mixed_types_in_jsonl_are_refused(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps({"label": "a", "logit_a": x, "logit_b": 1}) for x in (1.5, "two")))
    with pytest.raises(
        InputError, match=r"p.jsonl: expected one JSON object a line, alike in keys and types, got: .*logit_a"
    ):
        load(path)
