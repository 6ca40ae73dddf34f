import numpy as np
import pyarrow as pa
import pytest

from textmix.data.parts import Part, Texts, names_of
from textmix.data.tables import Table


def part_of(columns, rows, pieces=3, split="train"):
    whole = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    chunked = pa.Table.from_batches(whole.to_batches(max_chunksize=pieces))
    return Part(Table("x", split, "key", chunked, None), np.array(rows, np.int64), np.zeros(len(rows), np.int64))


TEXTS = [f"text {i}" for i in range(10)]


@pytest.mark.parametrize("rows", [[], [0], [9], [0, 1, 2], [2, 3, 8], list(range(10))])
def test_texts_are_those_of_the_rows(rows):
    texts = Texts(part_of({"text": TEXTS}, rows))
    expected = [TEXTS[i] for i in rows]
    assert list(texts) == expected
    assert [texts[i] for i in range(len(texts))] == expected
    assert texts[1:3] == expected[1:3]
    assert texts[::-1] == expected[::-1]
    if rows:
        assert texts[-1] == expected[-1]
    with pytest.raises(IndexError):
        texts[len(rows)]


def test_long_columns_come_in_pieces():
    many = [str(i) for i in range(25_000)]
    part = part_of({"text": many}, range(0, 25_000, 2), pieces=25_000)
    assert [len(piece) for piece in part.pieces("text")] == [10_000, 2_500]
    assert list(Texts(part)) == many[::2]


def test_pairs_are_read_on_two_lines():
    part = part_of({"text": ["a", None], "pair": ["b", "c"]}, [0, 1])
    assert list(Texts(part)) == ["a\nb", "\nc"] == [Texts(part)[0], Texts(part)[1]]


def test_blank_texts():
    part = part_of({"text": ["a", "", None, " \t\u00a0\n", "b"]}, [0, 1, 2, 3, 4])
    assert part.blank().tolist() == [False, True, True, True, False]
    pair = part_of({"text": ["a", "", None], "pair": ["", "x", " "]}, [0, 1, 2])
    assert pair.blank().tolist() == [False, False, True]


def test_hashes_tell_texts_apart():
    part = part_of({"text": ["a", "b", "a", "A"]}, [0, 1, 2, 3])
    a, b, again, upper = part.hashes()
    assert a == again
    assert len({a, b, upper}) == 3


def test_ids_are_the_sources_where_they_tell_rows_apart(caplog):
    texts = {"text": ["a", "b", "c"]}
    assert list(names_of(part_of(texts, [0, 2], split="dev"))) == ["dev-0", "dev-2"]
    assert names_of(part_of(texts, [0, 2]))[::-1] == ["train-2", "train-0"]
    assert names_of(part_of(texts | {"id": ["x", "y", "x"]}, [0, 1])) == ["x", "y"]
    assert not caplog.text
    assert list(names_of(part_of(texts | {"id": ["x", "y", "x"]}, [0, 2]))) == ["train-0", "train-2"]
    assert list(names_of(part_of(texts | {"id": ["x", None, "z"]}, [0, 1]))) == ["train-0", "train-1"]
    assert "does not tell the rows apart" in caplog.text


def test_keys_differ_with_the_rows():
    first, second = part_of({"text": TEXTS}, [0, 1]), part_of({"text": TEXTS}, [0, 2])
    assert first.key() != second.key()
    assert first.where(np.array([True, False])).rows.tolist() == [0]
