"""Seconds until the command line answers and the library is there: python scripts/bench/startup.py."""

import sys
from functools import partial
from pathlib import Path

from harness import Claim, Effort, Result, alternate, command, comparison, run

TURNS: dict[Effort, int] = {"full": 15, "quick": 7, "smallest": 1}
PROGRAMS = {
    "textmix --help": [str(Path(sys.executable).with_name("textmix")), "--help"],
    "textmix train --help": [str(Path(sys.executable).with_name("textmix")), "train", "--help"],
    "import textmix": [sys.executable, "-c", "import textmix"],
    "Python alone": [sys.executable, "-c", "pass"],
}


def measure(effort: Effort, data: Path, threads: int) -> Result:  # noqa: ARG001 - every subject is measured alike
    """Return the seconds of each program, and those that the import adds to Python's own."""
    for program in PROGRAMS.values():
        run(program, threads=1)  # reads everything from the disk once
    results = alternate({name: partial(run, program, threads=1) for name, program in PROGRAMS.items()}, TURNS[effort])
    values = {name: [result["seconds"] for result in own] for name, own in results.items()}
    pairs = zip(values["import textmix"], values["Python alone"], strict=True)
    values["import textmix, beyond Python"] = [own - python for own, python in pairs]
    claims = [Claim("textmix --help", at_most=0.35), Claim("import textmix, beyond Python", at_most=0.05)]
    peaks = {name: max(result["peak_mib"] for result in own) for name, own in results.items()}
    return {"startup": comparison("s", values, claims, peaks)}


if __name__ == "__main__":
    command(measure, __doc__)
