import json
from itertools import pairwise

import pytest

from textmix.sweep.over_epochs import MOST, over_epochs


@pytest.fixture
def folders(tmp_path):
    """Two runs, of 99 and 101 epochs, whose accuracies differ by a tenth."""
    for run, epochs in enumerate((99, 101)):
        lines = [
            {"event": "validation", "epochs": k, "accuracy": 0.5 + run / 10, "mean_confidence": 0.8, "nll": 1 / (k + 1)}
            for k in range(epochs + 1)
        ]
        (tmp_path / str(run)).mkdir()
        (tmp_path / str(run) / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [tmp_path / "0", tmp_path / "1"]


def test_long_trainings_are_told_from_their_first_to_their_last_epoch(folders):
    told = over_epochs(folders)
    epochs = [entry["epochs"] for entry in told]
    assert len(epochs) == MOST
    assert (epochs[0], epochs[-1]) == (0, 99)
    assert {after - before for before, after in pairwise(epochs)} == {2, 3}
    assert [entry["nll"][0] for entry in told] == pytest.approx([1 / (epoch + 1) for epoch in epochs])


def test_means_have_intervals_over_the_runs(folders):
    entry = over_epochs(folders)[0]
    mean, low, high = entry["accuracy"]
    half = 12.706 * 0.05  # Student's t with one degree of freedom, times the standard error of two values a tenth apart
    assert (mean, low, high) == pytest.approx((0.55, 0.55 - half, 0.55 + half), abs=1e-4)
    assert entry["gap"][0] == pytest.approx(0.25)
