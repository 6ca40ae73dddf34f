import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmix.data.stratified import stratified


def labels_of(counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=8), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_size_is_exact_and_shares_are_kept(counts, share, seed):
    labels = labels_of(counts)
    size = round(share * len(labels))
    taken = np.bincount(labels[stratified(labels, size, seed, keep_one=False)], minlength=len(counts))
    assert taken.sum() == size
    if size >= len(counts):
        assert taken.min() >= 1


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=8), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_last_row_of_a_class_can_be_kept(counts, share, seed):
    labels = labels_of(counts)
    size = round(share * len(labels))
    chosen = stratified(labels, size, seed, keep_one=True)
    assert chosen.sum() == min(size, len(labels) - len(counts))
    assert set(labels[~chosen]) == set(range(len(counts)))


def test_each_class_gives_its_rounded_share():
    counts = np.array([86, 1162, 1250, 1223, 835, 896])  # TREC's training set
    labels = labels_of(counts)
    taken = np.bincount(labels[stratified(labels, 545, 13, keep_one=True)])
    assert taken.sum() == 545
    assert np.abs(taken - counts / 10).max() <= 1


def test_classes_of_like_size_are_treated_alike():
    labels = np.repeat(np.arange(1000), 3)
    taken = labels[stratified(labels, 300, 0, keep_one=True)]
    assert len(set(taken)) == 300
    assert 400 < taken.mean() < 600  # not the first 300 classes


def test_rows_are_drawn_evenly_and_by_the_seed():
    labels = np.zeros(100, int)
    times = sum(stratified(labels, 10, seed, keep_one=True).astype(int) for seed in range(500))
    assert times.min() > 25  # 50 expected
    assert times.max() < 80
    assert stratified(labels, 10, 1, keep_one=True).tolist() == stratified(labels, 10, 1, keep_one=True).tolist()


@pytest.mark.parametrize("keep_one", [True, False])
def test_nothing_is_taken_of_nothing(keep_one):
    assert stratified(np.zeros(0, int), 0, 0, keep_one=keep_one).tolist() == []
