import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmix.data.batching import MEGA_BATCH, epoch_batches, share


def lengths_of(n, seed=0):
    return np.random.default_rng(seed).integers(1, 200, n)


@given(
    n=st.integers(0, 500), size=st.integers(1, 60), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 99),
    buckets=st.booleans(), alike=st.booleans(),
)  # fmt: skip
def test_every_row_comes_once_and_only_the_last_batch_is_smaller(n, size, seed, epoch, buckets, alike):
    batches = epoch_batches(n if alike else lengths_of(n), size, seed=seed, epoch=epoch, length_buckets=buckets)
    assert sorted(np.concatenate([np.zeros(0, int), *batches])) == list(range(n))
    assert [len(b) for b in batches[:-1]] == [size] * max(len(batches) - 1, 0)
    assert all(0 < len(b) <= size for b in batches)


def flat(*, seed=0, epoch=0, buckets=True):
    return np.concatenate(epoch_batches(lengths_of(1000), 32, seed=seed, epoch=epoch, length_buckets=buckets)).tolist()


@pytest.mark.parametrize("buckets", [True, False])
def test_the_order_depends_on_seed_and_epoch_alone(buckets):
    state = np.random.get_state()[1].tolist()  # noqa: NPY002 - must stay untouched
    assert flat(buckets=buckets) == flat(buckets=buckets)
    assert flat(buckets=buckets) != flat(epoch=1, buckets=buckets)
    assert flat(buckets=buckets) != flat(seed=1, buckets=buckets)
    assert flat(seed=1, buckets=buckets) != flat(epoch=1, buckets=buckets)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def padded(batches, lengths):
    return sum(lengths[b].max() * len(b) for b in batches) / lengths.sum()


def test_buckets_pad_little_and_stay_random():
    lengths = lengths_of(4000)
    bucketed = epoch_batches(lengths, 20, seed=0, epoch=0, length_buckets=True)
    assert padded(bucketed, lengths) < 1.05
    assert padded(epoch_batches(lengths, 20, seed=0, epoch=0, length_buckets=False), lengths) > 1.7
    means = np.array([lengths[b].mean() for b in bucketed])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2  # batches come in random order
    inside = [np.corrcoef(lengths[b], np.arange(20))[0, 1] for b in bucketed]
    assert abs(np.mean(inside)) < 0.1  # and so do the rows of a batch, or ranks would get short and long ones
    other = epoch_batches(lengths, 20, seed=0, epoch=1, length_buckets=True)
    assert not {tuple(sorted(b)) for b in bucketed} & {tuple(sorted(b)) for b in other}  # another epoch, other company


def test_the_rest_is_of_any_length():
    n = 20 * MEGA_BATCH + 10
    lengths = np.arange(n)
    rests = [epoch_batches(lengths, 20, seed=s, epoch=0, length_buckets=True)[-1].mean() / n for s in range(100)]
    assert 0.45 < np.mean(rests) < 0.55


@pytest.mark.parametrize("n", [0, 1, 7, 8])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_join_to_the_batch(n, processes):
    batch = np.arange(n) * 3
    parts = [share(batch, rank, processes) for rank in range(processes)]
    assert np.concatenate(parts).tolist() == batch.tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
