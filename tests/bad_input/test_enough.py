"""The cases of the other files are counted, so that none is lost unseen, and as many are told as there are."""

import runpy
from pathlib import Path

TABLES = {
    "texts": ["FILES", "FINE"],
    "flags": ["FLAGS"],
    "predictions": ["PREDICTIONS", "OTHERS"],
    "runs": ["RUNS", "MODELS", "INPUTS", "IN_THE_WAY"],
}


def test_there_are_as_many_cases_as_the_page_says():
    counts = {}
    for name, tables in TABLES.items():
        defined = runpy.run_path(str(Path(__file__).with_name(f"test_{name}.py")))
        counts |= {table: len(defined[table]) for table in tables}
    taken = counts.pop("FINE")
    refused = sum(counts.values())
    assert refused >= 150
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert f"{refused} cases refused, {taken} taken that only look bad" in page
