import pytest

from textmix.report.words import lead, promises, temperature_effect, verdict

METRICS = {"n": 1821, "accuracy": 0.891, "mean_confidence": 0.952, "nll": 0.5, "ece": 0.0612, "oe": 0.05,
           "over": 0.06, "under": 0.0012}  # fmt: skip


def summary(p_value: float = 0.001, **metrics: float) -> dict:
    band = {"ece": {"mean": 0.01, "low": 0.007, "high": 0.016, "p_value": p_value}}
    targets = [
        {"target": 0.8, "threshold": 0.34, "coverage": 1.0, "accuracy": 0.891, "interval": [0.876, 0.905]},
        {"target": 0.95, "threshold": 0.93, "coverage": 0.71, "accuracy": 0.947, "interval": [0.93, 0.96]},
        {"target": 0.97, "threshold": 1.0, "coverage": 0.0, "accuracy": None, "interval": None},
        {"target": 0.99, "threshold": None, "coverage": 0.0, "accuracy": None, "interval": None},
    ]
    return {
        "test": METRICS | metrics,
        "intervals": {"test": {"accuracy": [0.876, 0.905]}},
        "null_band": {"test": band},
        "selective": {"test": {"targets": targets}},
    }


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_lead_says_accuracy_then_calibration_then_what_to_do():
    first, last = (plain(sentence) for sentence in lead(summary()))
    assert first.startswith(
        "On 1,821 test examples the model is right 89.1 % of the time (95 % interval 87.6 to 90.5 %) and 95.2 % conf"
    )
    assert "probabilities are overconfident: confidence and accuracy differ by 6.1 % on average" in first
    assert "71.0 % reach a confidence of 0.930, and on those it is right 94.7 % of the time (93.0 to 96.0 %)" in last


@pytest.mark.parametrize(
    ("p_value", "metrics", "expected"),
    [
        (0.049, {}, "are overconfident"),
        (0.05, {}, "can be taken at their word"),
        (0.001, {"over": 0.001, "under": 0.06}, "are underconfident"),
    ],
)
def test_verdict_follows_the_null_test_and_the_larger_half(p_value, metrics, expected):
    assert verdict(summary(p_value, **metrics), "test").startswith(expected)


def test_a_target_that_all_examples_meet_or_none_is_no_promise():
    assert len(promises(summary(), "test")) == 1


@pytest.mark.parametrize(("temperature", "expected"), [(1.9, "Softening"), (0.6, "Sharpening")])
def test_a_temperature_softens_above_one_and_sharpens_below(temperature, expected):
    calibrated = summary() | {"temperature": temperature, "test_calibrated": METRICS | {"ece": 0.012}}
    assert temperature_effect(calibrated).startswith(f"{expected} the probabilities")
    assert "ECE on test from 0.0612 to 0.0120" in temperature_effect(calibrated)
    calibrated["null_band"]["test_calibrated"] = {"ece": {"low": 0.0, "high": 0.02, "p_value": 0.4}}
    assert f"With a temperature of {temperature:.2f} they can be taken at their word" in lead(calibrated)[1]
