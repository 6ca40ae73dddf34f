"""What README, the guide and the page of the default recipe say is what the tables hold."""

import copy
import dataclasses
import json
import runpy
from pathlib import Path

import pytest

from textmix.config import Config
from textmix.config.keys import flat

ROOT = Path(__file__).parents[1]
PAGES = runpy.run_path(str(ROOT / "scripts" / "paper" / "pages.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows():
    return PAGES["rows_of"]("text_cnn")


def test_the_front_table_is_that_of_the_results(rows):
    table = PAGES["front_table"](rows)
    assert table in README
    assert PAGES["with_front_table"](README, table) == README
    assert PAGES["with_front_table"](README, "another") != README


def test_the_page_of_the_recipe_is_made_from_the_results(rows):
    written = (ROOT / "docs" / "results" / "default_recipe.md").read_text(encoding="utf-8")
    assert PAGES["recipe_page"]([*rows, *PAGES["rows_of"]("text_minilm")]) == written


def test_the_guide_is_made_from_the_results():
    assert PAGES["guide_page"]() == (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


def test_the_page_of_validation_sizes_is_made_from_the_results():
    script = runpy.run_path(str(ROOT / "scripts" / "paper" / "validation_size.py"))
    found = json.loads((ROOT / "docs" / "results" / "validation_size.json").read_bytes())
    assert script["page"](found) == (ROOT / "docs" / "results" / "validation_size.md").read_text(encoding="utf-8")


def test_the_recipe_is_the_default(rows):
    defaults = flat(dataclasses.asdict(Config()))
    recipe = next(row for row in rows if row["method"] == PAGES["RECIPE"])
    assert {key: defaults[key] for key in recipe["changes"]} == recipe["changes"]
    assert (defaults["mixup.clean_weight"], defaults["mixup.off_last_epochs"]) == (0, 0)
    assert (defaults["train.length_buckets"], defaults["calibration.bake"]) == (True, True)
    assert Config().select == "scaled_nll"


def spoil(row, *place, value):
    *sections, last = place
    part = row["calibrated"]
    for section in sections:
        part = part[section]
    part[last] = value


@pytest.mark.parametrize(
    ("spoilt", "column"),
    [
        ({("differences", "nll", "high"): 0.0201}, "below +0.02"),
        ({("means", "debiased_ece"): 0.011, ("means", "ece"): 0.2}, "calibrated"),
        ({("differences", "accuracy", "difference"): -0.0101}, "not lower"),
    ],
)
def test_a_bar_that_is_missed_is_told(rows, spoilt, column):
    first = next(row for row in rows if row["method"] == PAGES["FIRST"])
    row = copy.deepcopy(next(row for row in rows if row["method"] == PAGES["RECIPE"]))
    for place, value in spoilt.items():
        spoil(row, *place, value=value)
    assert PAGES["_bars"](row, first)[column] == "no"
