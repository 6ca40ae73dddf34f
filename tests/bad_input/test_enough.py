"""The cases of the other files are counted, so that none is lost unseen."""

import runpy
from pathlib import Path

TABLES = {
    "texts": ["FILES"],
    "flags": ["FLAGS"],
    "predictions": ["PREDICTIONS", "OTHERS"],
    "runs": ["RUNS", "MODELS", "INPUTS", "IN_THE_WAY"],
}


def test_there_are_enough_cases():
    found = 0
    for name, tables in TABLES.items():
        defined = runpy.run_path(str(Path(__file__).with_name(f"test_{name}.py")))
        found += sum(len(defined[table]) for table in tables)
    assert found >= 150
