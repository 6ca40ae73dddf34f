from dataclasses import replace

import numpy as np
import pytest

from textmix.errors import InputError
from textmix.inference.pairing import align


def test_the_first_ones_order_is_kept_and_the_others_follow(predictions):
    first = predictions(0, n=30)
    order = np.random.default_rng(0).permutation(30)
    shuffled = type(first)(
        first.logits[order],
        first.labels[order],
        first.label_names,
        [first.ids[i] for i in order],
        [f"text {i}" for i in order],
    )
    same, back = align([first, shuffled])
    assert same is first
    assert list(back.ids) == list(first.ids)
    assert back.texts == [f"text {i}" for i in range(30)]
    np.testing.assert_array_equal(back.logits, first.logits)
    np.testing.assert_array_equal(back.labels, first.labels)


def test_other_texts_under_the_same_ids_are_refused(predictions):
    first = replace(predictions(0, n=4), texts=["a", "b", "c", "d" * 99])
    with pytest.raises(InputError, match="got 2 that differ in number 2: id 'row 1' is 'b' in the first and 'c' there"):
        align([first, replace(first, texts=["a", "c", "b", "d" * 99])])
    with pytest.raises(InputError, match=r"id 'row 3' is 'd{60}' in the first and 'e{60}' there; give"):
        align([first, replace(first, texts=["a", "b", "c", "e" * 99])])


def test_texts_that_one_of_two_lacks_are_not_missed(predictions):
    first = predictions(0, n=2)
    assert len(align([first, replace(first, texts=["a", "b"]), first])) == 3
