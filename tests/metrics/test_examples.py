import numpy as np
import pytest
import torch

from textmix.errors import InputError
from textmix.metrics import score_examples
from textmix.metrics.examples import chunks


def test_every_row_comes_once_and_in_order():
    for classes in (2, 40, 3000):
        logits = torch.arange(40_000 // classes * classes, dtype=torch.float64).reshape(-1, classes) / 1e5
        labels = torch.arange(len(logits)) % classes
        pieces = list(chunks(logits, labels))
        assert torch.equal(torch.cat([x for x, _ in pieces]), logits)
        assert torch.equal(torch.cat([y for _, y in pieces]), labels)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int32, torch.float64),
    ],
)
def test_softmax_is_never_taken_in_half_precision(given, used):
    assert next(chunks(torch.ones(3, 2, dtype=given), torch.zeros(3, dtype=torch.int64)))[0].dtype == used
    if given != torch.bfloat16:
        array = torch.ones(3, 2, dtype=given).numpy()
        assert next(chunks(array, np.zeros(3, dtype=np.int64)))[0].dtype == used


def test_wide_and_narrow_logits_give_the_same():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 20)), rng.integers(0, 20, 50)
    wide = np.concatenate([logits, np.full((50, 30), -1e4)], axis=1)  # columns of probability zero
    for name, value in vars(score_examples(logits, labels)).items():
        torch.testing.assert_close(vars(score_examples(wide, labels))[name], value, rtol=1e-13, atol=1e-13)


def test_no_examples_are_refused():
    with pytest.raises(InputError, match="at least one example"):
        score_examples(np.empty((0, 2)), [])
