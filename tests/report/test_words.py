import pytest

from textmix.report.words import lead, promises, temperature_effect, verdict

METRICS = {"n": 1821, "accuracy": 0.891, "mean_confidence": 0.952, "nll": 0.5, "ece": 0.0612, "oe": 0.05,
           "over": 0.06, "under": 0.0012, "spiegelhalter_p_value": 0.2}  # fmt: skip


def summary(high: float = 0.016, **metrics: float) -> dict:
    band = {"ece": {"mean": 0.01, "low": 0.007, "high": high, "p_value": 0.001}}
    targets = [
        {"target": 0.8, "threshold": 0.34, "coverage": 1.0, "accuracy": 0.891, "interval": [0.876, 0.905]},
        {"target": 0.95, "threshold": 0.93, "coverage": 0.71, "accuracy": 0.947, "interval": [0.93, 0.96]},
        {"target": 0.97, "threshold": 1.0, "coverage": 0.0, "accuracy": None, "interval": None},
        {"target": 0.99, "threshold": None, "coverage": 0.0, "accuracy": None, "interval": None},
    ]
    return {
        "test": METRICS | metrics,
        "intervals": {"test": {"accuracy": [0.876, 0.905], "ece": [0.04, 0.081]}},
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
    assert last == (
        "For an accuracy of 95 %: 71.0 % of the test examples reach a confidence of 0.930, and on those it is right "
        "94.7 % of the time (93.0 to 96.0 %); the others can go to a human."
    )


@pytest.mark.parametrize(
    ("high", "metrics", "expected"),
    [
        (0.0611, {}, "are overconfident: confidence and accuracy differ by 6.1 % on average"),
        (0.016, {"over": 0.001, "under": 0.06}, "are underconfident: "),
        (
            0.016,
            {"over": 0.0313, "under": 0.0299},
            "are overconfident in some ranges of confidence (3.1 %) and underconfident in others (3.0 %): confidence "
            "and accuracy differ by 6.1 % on average",
        ),
        (0.016, {"over": 0.0212, "under": 0.04}, "are overconfident in some ranges of confidence (2.1 %) and under"),
        (0.016, {"over": 0.0412, "under": 0.02}, "are overconfident: "),
        (0.0612, {}, "show no miscalibration: their calibration error, 6.1 %, is no more than chance gives"),
        (0.0612, {"spiegelhalter_p_value": 0.01}, "are overconfident by Spiegelhalter's z (p 0.010), although"),
        (
            0.0612,
            {"spiegelhalter_p_value": 0.01, "over": 0.031, "under": 0.0302},
            "are miscalibrated by Spiegelhalter's",
        ),
    ],
)
def test_the_verdict_follows_the_null_band_and_z(high, metrics, expected):
    assert plain(verdict(summary(high, **metrics), "test")).startswith(expected)


def test_where_nothing_is_found_it_says_how_much_may_be_hidden():
    said = plain(verdict(summary(0.09), "test"))
    assert said.endswith("A set of this size leaves room for one of up to 8.1 %.")


def test_a_target_that_all_examples_meet_or_none_is_no_promise():
    assert len(promises(summary())) == 1


def outcome(target: float, threshold: float, accuracy: float, interval: list[float]) -> dict:
    return {"target": target, "threshold": threshold, "coverage": 0.2, "accuracy": accuracy, "interval": interval}


def test_a_threshold_of_several_targets_is_said_once():
    targets = [outcome(target, 0.93, 0.99, [0.97, 1.0]) for target in (0.9, 0.95)]
    targets.append(outcome(0.99, 0.95, 1.0, [0.98, 1.0]))
    first, second = (plain(said) for said in promises(summary() | {"selective": {"test": {"targets": targets}}}))
    assert first.startswith("For an accuracy of 90, 95 %: 20.0 % of the test examples reach a confidence of 0.930")
    assert second.startswith("For an accuracy of 99 %: 20.0 % of the test examples reach a confidence of 0.950")


def test_a_target_that_was_missed_sends_nothing_to_a_human():
    targets = [outcome(target, 0.93, 0.91, [0.88, 0.94]) for target in (0.9, 0.95, 0.99)]
    kept, missed = (plain(said) for said in promises(summary() | {"selective": {"test": {"targets": targets}}}))
    assert kept.startswith("For an accuracy of 90 %: ")
    assert kept.endswith("(88.0 to 94.0 %); the others can go to a human.")
    assert missed.startswith("For an accuracy of 95, 99 %: ")
    assert missed.endswith("right 91.0 % of the time (88.0 to 94.0 %): too rarely to rely on this threshold.")


def with_temperature(temperature: float = 1.9, *, baked: bool = False) -> dict:
    scaled = summary() | {"temperature": temperature, "test_calibrated": METRICS | {"ece": 0.012}, "baked": baked}
    scaled["null_band"]["test_calibrated"] = {"ece": {"low": 0.0, "high": 0.02, "p_value": 0.4}}
    scaled["intervals"]["test_calibrated"] = {"accuracy": [0.876, 0.905], "ece": [0.0, 0.02]}
    target = {"target": 0.95, "threshold": 0.81, "coverage": 0.7, "accuracy": 0.95, "interval": [0.93, 0.96]}
    scaled["selective"]["test_calibrated"] = {"targets": [target]}
    return scaled


@pytest.mark.parametrize(("temperature", "expected"), [(1.9, "Softening"), (0.6, "Sharpening")])
def test_a_temperature_softens_above_one_and_sharpens_below(temperature, expected):
    calibrated = with_temperature(temperature)
    assert temperature_effect(calibrated).startswith(f"{expected} the probabilities")
    assert "ECE on test from 0.0612 to 0.0120" in temperature_effect(calibrated)
    assert f"With a temperature of {temperature:.2f} they show no miscalibration" in lead(calibrated)[1]


def test_the_lead_is_about_the_model_that_was_saved():
    first, second, last = (plain(sentence) for sentence in lead(with_temperature(baked=True)))
    assert first.startswith("On 1,821 test examples the model, saved with its temperature of 1.90, is right 89.1 %")
    assert "Its probabilities show no miscalibration: their calibration error, 1.2 %" in first
    assert second.startswith("Without the temperature they are overconfident")
    assert "reach a confidence of 0.810" in last
