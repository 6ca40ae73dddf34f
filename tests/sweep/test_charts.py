import numpy as np
import pytest

from textmix.sweep.charts import charts, mixed_entropies

METRICS = ("nll", "accuracy", "ece", "oe")


def row(method, changes, epochs=()):
    means = dict.fromkeys(METRICS, 0.5)
    return {"method": method, "changes": changes, "alpha": changes.get("mixup.alpha", 0.0), "means": means,
            "intervals": {m: [0.4, 0.6] for m in METRICS}, "class_shares": [0.5, 0.5],
            "epochs": list(epochs)}  # fmt: skip


def test_the_methods_decide_the_figures():
    rows = [row("plain", {}), row("b", {"mixup.alpha": 0.4}), row("a", {"mixup.alpha": 0.1}),
            row("hard", {"mixup.alpha": 0.4, "mixup.labels": "dominant"}),
            row("no partner", {"mixup.alpha": 2.0, "mixup.labels": "dominant"}),
            row("reg", {"mixup.alpha": 10.0, "mixup.clean_weight": 1})]  # fmt: skip
    drawn = {chart.name: chart for chart in charts(rows)}
    assert set(drawn) == {"alpha", "labels-0.4", "entropy"}
    assert "0.500 at alpha 0 and 0.500 at 0.4" in drawn["alpha"].description
    assert "dominant labels" in drawn["labels-0.4"].description
    assert list(charts([row("plain", {}), row("smooth", {"loss.label_smoothing": 0.1})])) == []


def test_confidence_runs_away_from_accuracy_over_the_epochs():
    told = [{"epochs": k, "gap": [0.1 * k, 0.0, 1.0], "nll": [1.0, 0.9, 1.1]} for k in range(4)]
    [chart] = charts([row("plain", {}, told), row("smooth", {"loss.label_smoothing": 0.1}, told)])
    assert chart.name == "epochs"
    assert "confidence - accuracy, plain: 0.100 at 1 and 0.300 at 3" in chart.description


def test_the_entropy_of_mixed_labels_has_its_mean():
    """Two classes of equal share: half of the pairs differ; with alpha 1 the mean binary entropy is 1/2 nat."""
    values = mixed_entropies(1.0, [0.5, 0.5])
    assert values.mean() == pytest.approx(0.25, abs=0.005)
    assert values.max() <= np.log(2) + 1e-12
    assert (mixed_entropies(1.0, [1.0, 0.0]) == 0).all()
