"""Which bin a confidence is in, to the last float."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from textmix.metrics.bins import bin_index


def plainly(confidence, num_bins):
    """The first bin whose upper edge is not below the confidence."""
    return next(k for k in range(num_bins) if confidence <= (k + 1) / num_bins or k == num_bins - 1)


@given(num_bins=st.integers(1, 1000), data=st.data())
def test_a_confidence_on_an_edge_or_one_float_beside_it_is_in_its_bin(num_bins, data):
    edge = data.draw(st.integers(0, num_bins)) / num_bins
    beside = [max(np.nextafter(edge, -1), 0.0), edge, min(np.nextafter(edge, 2), 1.0)]
    found = bin_index(torch.tensor(beside, dtype=torch.float64), num_bins)
    assert found.tolist() == [plainly(confidence, num_bins) for confidence in beside]


@given(confidence=st.floats(0, 1), num_bins=st.integers(1, 1000))
def test_any_confidence_is_in_its_bin(confidence, num_bins):
    found = bin_index(torch.tensor([confidence], dtype=torch.float64), num_bins)
    assert found.tolist() == [plainly(confidence, num_bins)]
