"""How things are measured: each in a process of its own, the contenders in turns, medians with their spread.

The processes are forked from a server that has imported everything: imports take as long as many a measurement.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "numpy", "pyarrow", "textmix")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""The flags of a processor that decide how fast it multiplies matrices."""
PRELOADED = ["textmix.outcome", "textmix.predict", "transformers.trainer", "pandas", "prepared"]
"""Modules that bring along whatever the measurements import."""

Effort = Literal["full", "quick", "smallest"]
"""How much work is measured: what is published, a look, and the least that shows that it runs."""
ROUNDS: dict[Effort, int] = {"full": 5, "quick": 2, "smallest": 1}
"""How often every contender has its turn."""

Result = dict[str, Any]
Call = Callable[..., Result]
"""Runs ``call(subject, function, threads=..., **arguments)`` and returns what the function returns."""


@dataclass(frozen=True)
class Claim:
    """A ratio of two contenders, or the value of one, and the bound that it must keep."""

    of: str
    to: str | None = None
    at_least: float | None = None
    at_most: float | None = None


def call(subject: str, function: str, *, threads: int, **arguments: Any) -> Result:
    """Run a function of another file in a process of its own with so many threads; add its peak of memory.

    :raises RuntimeError: it failed.
    """
    server = _server()
    receiver, sender = server.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile("r") as log:
        process = server.Process(target=_work, args=(sender, log.name, subject, function, threads, arguments))
        process.start()
        sender.close()
        try:
            result: Result = receiver.recv()
        except EOFError as error:
            process.join()
            raise RuntimeError(f"{subject}.{function}, exit code {process.exitcode}:\n{log.read()}") from error
        process.join()
    return result


def _work(sender: Connection, log: str, subject: str, function: str, threads: int, arguments: Result) -> None:
    file = os.open(log, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ |= surroundings(threads)
    import torch

    torch.set_num_threads(threads)
    result = vars(importlib.import_module(subject))[function](**arguments)
    sender.send({"peak_mib": peak_mib(), **result})


def run(program: Sequence[str], *, threads: int, **environment: str) -> Result:
    """Run a program to its end; return its output, its wall-clock seconds and its peak of resident memory in MiB.

    :raises RuntimeError: it failed.
    """
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=errors, text=True, env=surroundings(threads) | environment
        )
        assert process.stdout is not None
        with process.stdout:
            output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(program)} ended with exit code {process.returncode}:\n{errors.read()}")
    return {"output": output, "seconds": seconds, "peak_mib": usage.ru_maxrss / 1024}


@cache
def _server() -> ForkServerContext:
    """Return the context of a server, started now: it finds the package and the files of this folder."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent), *filter(None, [path])])
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    forkserver.ensure_running()
    if path is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = path
    return context


def surroundings(threads: int) -> dict[str, str]:
    """Return the environment of a process that works with so many threads and reads nothing from the network."""
    own = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "RAYON_NUM_THREADS": str(threads)}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **own, "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false", "PYTHONPATH": path}


def alternate(contenders: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, list[Result]]:
    """Give every contender `rounds` turns, forwards and backwards in turn, so that a drift of the machine cancels."""
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders)[:: 1 if turn % 2 == 0 else -1]:
            results[name].append(contenders[name]())
    return results


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of some values, the smallest and the largest of them, and how many they are."""
    return {"median": median(values), "low": min(values), "high": max(values), "n": len(values)}


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles: of hundreds of values the extremes tell nothing."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    return {"median": median(ordered), "low": low, "high": high, "n": len(ordered)}


def means(values: Sequence[float], size: int) -> list[float]:
    """Return the mean of each stretch of `size` values; the last stretch may be shorter."""
    return [mean(values[start : start + size]) for start in range(0, len(values), size)]


def comparison(
    unit: str,
    values: Mapping[str, Sequence[float]],
    claims: Sequence[Claim] = (),
    peak_mib: Mapping[str, float] | None = None,
    summary: Callable[[Sequence[float]], dict[str, float]] = spread,
) -> Result:
    """Return a table of contenders, and the claims about them; ratios are taken between values of the same round."""
    peaks = peak_mib or {}
    contenders = {
        name: summary(own) | ({"peak_mib": peaks[name]} if name in peaks else {}) for name, own in values.items()
    }
    return {"unit": unit, "contenders": contenders, "claims": [_judged(claim, values, summary) for claim in claims]}


def _judged(
    claim: Claim, values: Mapping[str, Sequence[float]], summary: Callable[[Sequence[float]], dict[str, float]]
) -> Result:
    own = values[claim.of]
    found = own if claim.to is None else [a / b for a, b in zip(own, values[claim.to], strict=True)]
    result: Result = {"of": claim.of, "to": claim.to, **summary(found)}
    if claim.at_least is not None:
        result |= {"at_least": claim.at_least, "kept": result["median"] >= claim.at_least}
    if claim.at_most is not None:
        result |= {"at_most": claim.at_most, "kept": result["median"] <= claim.at_most}
    return result


def peak_mib() -> float:
    """Return this process's peak of resident memory in MiB; what it inherits from its parent does not count."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def machine() -> Result:
    """Return what the numbers depend on besides the code."""
    told = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    flags = told.get("flags", "").split()
    return {
        "cpu": f"{told.get('model name', platform.processor())} (family {told.get('cpu family')}, "
        f"model {told.get('model')})",
        "flags": [flag for flag in CPU_FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "revision": _revision(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _revision() -> str | None:
    program = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def command(measure: Callable[..., Result], description: str | None) -> None:
    """Be the command line of a subject: measure it alone, and print or write what was found as JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there instead of printing it")
    options = parser.parse_args()
    result = json.dumps(measure(options.effort, options.data, options.threads), indent=2)
    if options.json is None:
        print(result)
    else:
        options.json.write_text(result + "\n", encoding="utf-8")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all measurements have."""
    parser.add_argument("--effort", choices=ROUNDS, default="full", help="how much is measured (default: full)")
    parser.add_argument("--data", type=Path, default=DATA, help=f"folder with trec/, sst2/, imdb/ (default: {DATA})")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, help=f"threads of a process (default: {cores})")
