import numpy as np
import pyarrow as pa
import pytest

from textmix.config import DataConfig
from textmix.data.divide import complete, corpus_parts, labelled_parts
from textmix.data.parts import Part
from textmix.data.sources import WHOLE
from textmix.data.tables import Table
from textmix.errors import InputError


def table(labels, split="train"):
    return Table(
        f"{split}.csv", split, split, pa.table({"label": pa.chunked_array([pa.array(labels, pa.string())])}), None
    )


def part(labels):
    labels = np.asarray(labels)
    return Part(table([str(label) for label in labels]), np.arange(len(labels)), labels)


def test_a_corpus_is_divided_80_10_10_with_its_shares():
    parts = corpus_parts(part([0] * 60 + [1] * 40))
    assert {role: np.bincount(p.labels).tolist() for role, p in parts.items()} == {
        "train": [48, 32], "validation": [6, 4], "test": [6, 4]
    }  # fmt: skip
    assert np.array_equal(np.sort(np.concatenate([p.rows for p in parts.values()])), np.arange(100))
    again = corpus_parts(part([0] * 60 + [1] * 40))
    assert all(np.array_equal(again[role].rows, parts[role].rows) for role in parts)


def test_validation_is_cut_from_train_by_its_own_seed():
    parts = complete({"train": part([0] * 60 + [1] * 40)}, DataConfig())
    assert np.bincount(parts["validation"].labels).tolist() == [6, 4]
    assert len(parts["train"]) == 90
    assert not set(parts["train"].rows) & set(parts["validation"].rows)
    other = complete({"train": part([0] * 60 + [1] * 40)}, DataConfig(split_seed=14))
    assert not np.array_equal(other["validation"].rows, parts["validation"].rows)


def test_a_validation_split_is_left_alone_and_train_made_smaller():
    whole = {"train": part([0] * 60 + [1] * 40), "validation": part([0, 1, 1])}
    parts = complete(whole, DataConfig(train_examples=10))
    assert np.bincount(parts["train"].labels).tolist() == [6, 4]
    assert parts["validation"] is whole["validation"]
    with pytest.raises(InputError, match="expected at most the 100 there are, got 101"):
        complete(whole, DataConfig(train_examples=101))


def test_a_test_split_that_is_not_named_is_left_out():
    """Of a packaged corpus too, whose one file holds the test rows."""
    parts = corpus_parts(part([0] * 60 + [1] * 40))
    assert set(complete(parts, DataConfig(test_split=None))) == {"train", "validation"}
    assert set(complete(parts, DataConfig())) == {"train", "validation", "test"}


def test_classes_of_one_row_cannot_be_cut():
    with pytest.raises(InputError, match="expected a class of two rows or more to take validation from"):
        complete({"train": part([0, 1, 2])}, DataConfig())


def test_withheld_test_labels_leave_no_test():
    parts, names = labelled_parts({"train": table(["a", "b"]), "test": table([None, None], "test")})
    assert list(parts) == ["train"]
    assert names == ("a", "b")
    assert set(labelled_parts({WHOLE: table(["a", "b"] * 20, WHOLE)})[0]) == {"train", "validation", "test"}
