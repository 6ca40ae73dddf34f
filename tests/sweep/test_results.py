"""What a real sweep measured, against its runs' own summaries and against the comparison of runs."""

import json

import numpy as np
import pytest

from textmix.command import make_parser, parse
from textmix.errors import InputError
from textmix.evaluate import compare_runs
from textmix.options import CompareConfig, SweepConfig
from textmix.sweep.grid import expand
from textmix.sweep.results import collect, read_results


@pytest.fixture(scope="module")
def results(swept):
    return read_results(swept[1] / "results.json")


def summaries(swept, method):
    found = sorted(swept[1].glob(f"*/{method}-?/summary.json"))
    return [json.loads(path.read_text()) for path in found]


def row(results, method):
    return next(row for row in results["rows"] if row["method"] == method)


def test_a_row_for_each_method_with_its_seeds_and_those_to_come(results):
    assert [(r["method"], r["seeds"], r["missing_seeds"], r["n"]) for r in results["rows"]] == [
        ("no mixup", [0, 1], [], 81), ("mixup 0.4", [0, 1], [], 81), ("dominant 0.4", [0], [], 81),
    ]  # fmt: skip
    assert results["runs"] == {"planned": 6, "finished": 5}
    assert {r["part"] for r in results["rows"]} == {"test"}
    assert [r["alpha"] for r in results["rows"]] == [0.1, 0.4, 0.4]
    assert len(results["config_hash"]) == 16
    assert "torch" in results["versions"]
    assert row(results, "mixup 0.4")["changes"] == {"mixup.alpha": 0.4}


def test_the_first_method_is_the_files_whichever_seeds_it_has(swept):
    """Runs are sorted by their seeds, so that another method's may come before the first's."""
    sweep, _ = parse(make_parser(SweepConfig, "", ""), SweepConfig, ["--config", str(swept[1].parent / "grid.yaml")])
    runs = [run for run in expand(sweep, swept[1]) if run.method != "diverging"]
    found = collect(sweep, "grid", runs[::-1], runs)
    assert [row["method"] for row in found["rows"]] == ["no mixup", "mixup 0.4", "dominant 0.4"]
    assert not found["rows"][0]["differences"]
    assert found["rows"][1]["differences"]


@pytest.mark.parametrize(("method", "folder"), [("no mixup", "no-mixup"), ("mixup 0.4", "mixup-0.4")])
def test_means_are_those_of_the_summaries(swept, results, method, folder):
    runs = summaries(swept, folder)
    found = row(results, method)
    for ours, theirs in (
        (found, "test"),
        (found["calibrated"], "test_calibrated"),
        (found["validation"], "validation"),
    ):
        for metric in (
            "accuracy",
            "nll",
            "brier",
            "ece",
            "oe",
            "over",
            "under",
            "ece_100",
            "oe_100",
            "mean_confidence",
        ):
            expected = np.mean([run[theirs][metric] for run in runs])
            assert ours["means"][metric] == pytest.approx(expected, rel=1e-4), (theirs, metric)
            low, high = ours["intervals"][metric]
            assert low <= ours["means"][metric] <= high
    assert found["temperatures"] == pytest.approx([run["temperature"] for run in runs], rel=1e-4)
    noise = [run["ood"]["noise"] for run in runs]
    assert found["ood"]["noise"]["auroc"]["estimate"] == pytest.approx(
        np.mean([entry["scores"]["msp"]["auroc"] for entry in noise]), rel=1e-4
    )
    assert found["ood"]["noise"]["mean_confidence"]["estimate"] == pytest.approx(
        np.mean([entry["mean_confidence"] for entry in noise]), rel=1e-4
    )
    assert found["ood"]["noise"]["fpr95"] == pytest.approx(
        np.mean([entry["scores"]["msp"]["fpr95"] for entry in noise]), rel=1e-4
    )


def test_differences_are_those_of_the_comparison_of_runs(swept, results):
    runs = [str(next(swept[1].glob(f"*/{name}-{seed}"))) for name in ("no-mixup", "mixup-0.4") for seed in (0, 1)]
    [comparison] = compare_runs(CompareConfig(tuple(runs), resamples=200)).comparisons
    found = row(results, "mixup 0.4")["differences"]
    for metric, difference in comparison.differences.items():
        assert found[metric] == pytest.approx(vars(difference), rel=1e-4, abs=1e-6)
    assert row(results, "no mixup")["differences"] == {}


def test_one_seed_is_not_compared_with_the_mean_of_several(results):
    found = row(results, "dominant 0.4")
    assert found["differences"] == found["calibrated"]["differences"] == found["ood"]["noise"]["differences"] == {}


def test_the_null_band_says_of_every_run_whether_it_is_inside(swept, results):
    band = row(results, "no mixup")["null_band"]
    expected = [run["null_band"]["test"]["ece"] for run in summaries(swept, "no-mixup")]
    assert len(band["inside"]) == 2
    for inside, run, summary in zip(band["inside"], expected, summaries(swept, "no-mixup"), strict=True):
        if not 0.9 * run["low"] < summary["test"]["ece"] < 1.1 * run["low"]:  # bands are themselves drawn
            assert inside == (run["low"] <= summary["test"]["ece"] <= run["high"])
    assert band["low"] == pytest.approx(np.mean([run["low"] for run in expected]), rel=0.2)


def test_the_differences_out_of_distribution_have_intervals(results):
    found = row(results, "mixup 0.4")["ood"]["noise"]
    plain = row(results, "no mixup")["ood"]["noise"]
    change = found["differences"]["auroc"]
    assert change["difference"] == pytest.approx(found["auroc"]["estimate"] - plain["auroc"]["estimate"], abs=1e-5)
    assert change["low"] < change["difference"] < change["high"]


def test_debiased_and_excess_ece_are_below_ece(results):
    means = row(results, "no mixup")["means"]
    assert means["debiased_ece"] < means["ece"]
    assert means["excess_ece"] < means["ece"]


def test_other_files_are_refused(tmp_path):
    older = '{"rows": [{"method": "plain", "part": "test"}], "config_hash": ""}'
    for text, message in (
        ("[]", "JSON without rows"),
        ("{", "as JSON"),
        (older, "expected rows with alpha, got those of an older version"),
        (None, "No such file"),
    ):
        if text is not None:
            (tmp_path / "r.json").write_text(text)
        path = tmp_path / ("r.json" if text else "none.json")
        with pytest.raises(InputError, match=message):
            read_results(path)
