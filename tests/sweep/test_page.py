import copy

import pytest

from textmix.cli import main
from textmix.sweep.page import text_page, write_page
from textmix.sweep.results import read_results


@pytest.fixture(scope="module")
def results(swept):
    return read_results(swept[1] / "results.json")


def test_the_page_is_made_from_the_results_alone(swept, tmp_path, capsys):
    copied = tmp_path / "table.json"
    copied.write_bytes((swept[1] / "results.json").read_bytes())
    assert main(["report", str(copied)]) == 0
    assert "table.md and its figures beside it" in capsys.readouterr().out
    page = (tmp_path / "table.md").read_text(encoding="utf-8")
    made = (swept[1] / "results.md").read_text(encoding="utf-8")
    assert page == made.replace("results-", "table-")
    for file in tmp_path.glob("*.svg"):
        assert f"({file.name})" in page
    assert {file.name for file in tmp_path.glob("*.svg")} == {
        "table-0-entropy.svg", "table-0-epochs.svg", "table-0-labels-0.4.svg",
    }  # fmt: skip


def test_it_says_what_is_known_and_what_is_to_come(results):
    told = copy.deepcopy(results)
    told["rows"][1]["missing_seeds"] = [2, 3]
    text = text_page(told)
    assert "Still to come: mixup 0.4 (seeds 2, 3)." in text
    assert "5 of 6 runs are finished." in text
    assert "n = 81 test examples" in text
    change = results["rows"][1]["differences"]["nll"]
    assert f"{change['difference']:+.4f} [{change['low']:+.4f}, {change['high']:+.4f}]" in text
    assert f"{results['rows'][0]['calibrated']['means']['nll']:.4f}" in text


def test_the_page_says_how_and_with_what(results, tmp_path):
    write_page(results, tmp_path / "p.md")
    page = (tmp_path / "p.md").read_text(encoding="utf-8")
    assert results["config_hash"] in page
    assert results["how"] in page
    assert "NLL is the primary measure" in page
    assert f"torch {results['versions']['torch'][0]}" in page
    assert "Out of distribution" in page


def test_each_data_set_model_and_size_has_its_table_and_the_sizes_a_figure(results, tmp_path):
    told = copy.deepcopy(results)
    smaller = copy.deepcopy(results["rows"][0])
    told["rows"].append({**smaller, "size": "100"})
    write_page(told, tmp_path / "p.md")
    page = (tmp_path / "p.md").read_text(encoding="utf-8")
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    name = f"{smaller['data']}, {smaller['model']}"
    assert titles == [f"## {name}", f"## {name}, 100", f"## {name}, by size"]
    assert (tmp_path / "p-0-sizes.svg").exists()
