"""Measure everything and write docs/benchmarks.json and docs/benchmarks.md: see run.sh.

The page is the template benchmarks.md.jinja with the numbers of the JSON file put in; ``--page`` writes it again and
measures nothing. Results of subjects that are not measured this time stay as they are.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import batching
import evaluation
import mixing
import networks
import options
import scaling
import startup
import tables
import training
from harness import ROOT, Effort, Result, add_options, machine
from jinja2 import Environment, FileSystemLoader, StrictUndefined

SUBJECTS = {
    "startup": startup.measure,
    "scaling": scaling.measure,
    "mixing": mixing.measure,
    "batching": batching.measure,
    "networks": networks.measure,
    "evaluation": evaluation.measure,
    "tables": tables.measure,
    "options": options.measure,
    "training": training.measure,
}
TEMPLATE = "benchmarks.md.jinja"


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument(
        "--quick", action="store_const", dest="effort", const="quick", help="the same as --effort quick"
    )
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="subjects to measure")
    parser.add_argument("--accuracy", action="store_true", help="measure whole trainings over three seeds instead")
    parser.add_argument("--page", action="store_true", help="write the page again and measure nothing")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs", help="folder of benchmarks.json and benchmarks.md"
    )
    chosen = parser.parse_args()
    file = chosen.output / "benchmarks.json"
    results: Result = json.loads(file.read_bytes()) if file.exists() else {}
    if chosen.accuracy:
        results["accuracy"] = stamped(training.accuracy(chosen.data, chosen.threads), "full", chosen.threads)
    elif not chosen.page:
        _warn_of_company()
        for name in chosen.only:
            begin = time.perf_counter()
            results[name] = stamped(
                SUBJECTS[name](chosen.effort, chosen.data, chosen.threads), chosen.effort, chosen.threads
            )
            results[name]["seconds"] = round(time.perf_counter() - begin, 1)
            print(f"{name}: {results[name]['seconds']} s", flush=True)
            write(file, results)  # what was measured stays, whatever becomes of the rest
    write(file, results)
    (chosen.output / "benchmarks.md").write_text(page(results), encoding="utf-8")
    print(f"Wrote {file} and benchmarks.md beside it.")


def stamped(result: Result, effort: Effort, threads: int) -> Result:
    """Return a result together with what it depends on."""
    return {"result": result, "effort": effort, "threads": threads, "machine": machine()}


def write(file: Path, results: Result) -> None:
    """Write the results as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def page(results: Result) -> str:
    """Return the page that shows `results`; a subject that was never measured is left out."""
    environment = Environment(  # noqa: S701 - the page is Markdown, and nothing in it comes from strangers
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    return environment.get_template(TEMPLATE).render(results=results)


def number(value: float) -> str:
    """Write a number with three significant digits, and no fewer than its whole part has."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.5f}"


def _warn_of_company() -> None:
    load = os.getloadavg()[0]
    if load > 0.5:
        sys.stderr.write(f"The load of this machine is {load:.1f}: times measured beside other work mean little.\n")


if __name__ == "__main__":
    main()
