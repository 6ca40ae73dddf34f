"""The report of predictions at the edges: perfect, worthless, saturated, hardly any."""

import numpy as np
import pytest

from textmix.config import EvalConfig
from textmix.predictions import Predictions
from textmix.report import Material, summarise, write_report
from textmix.run_files import write_summary
from textmix.temperature import fit_temperature


def predictions(logits: np.ndarray, labels: np.ndarray) -> Predictions:
    names = tuple(f"class {k}" for k in range(logits.shape[1]))
    return Predictions(logits, labels, names, [str(i) for i in range(len(labels))])


LABELS = np.arange(40) % 2
EDGES = {
    "perfect": predictions(np.where(np.eye(2)[LABELS] > 0, 60.0, 0.0), LABELS),
    "always wrong": predictions(np.where(np.eye(2)[LABELS] > 0, 0.0, 60.0), LABELS),
    "all alike": predictions(np.zeros((40, 2)), LABELS),
    "one label": predictions(np.random.default_rng(0).normal(size=(40, 3)), np.zeros(40, np.int64)),
    "two rows": predictions(np.array([[1.0, 0.0], [0.5, 0.0]]), np.array([0, 1])),
    "huge logits": predictions(np.where(np.eye(2)[LABELS] > 0, 1e30, -1e30).astype(np.float32), LABELS),
    "many classes": predictions(np.random.default_rng(0).normal(size=(300, 200)), np.arange(300) % 200),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_edges_give_a_report_and_a_summary_in_json(name, tmp_path):
    test = EDGES[name]
    fitted = fit_temperature(test.logits, test.labels)
    outside = {"twin": Predictions(test.logits, np.full(len(test), -1), test.label_names, test.ids)}
    summary = summarise(test, test, fitted, EvalConfig(resamples=100), ood=outside)
    write_summary(summary, tmp_path)
    write_report(Material(name, summary, test, test, outside), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "nan" not in page
    assert f"{test.label_names[0]}</td>" in page


def test_thresholds_chosen_where_they_are_shown_say_so(tmp_path):
    labels = np.arange(60) % 2
    some = predictions(np.random.default_rng(0).normal(size=(60, 2)) + 2 * np.eye(2)[labels], labels)
    material = Material("v", summarise(None, some, None, EvalConfig(resamples=100)), None, some)
    write_report(material, tmp_path)
    assert (
        "Thresholds chosen on these examples, so that they flatter a little" in (tmp_path / "report.html").read_text()
    )
