"""A large table, and the seconds to a first step: python scripts/bench/tables.py.

A csv file of 5,000,000 short texts is read, tokenised and trained on for two steps by ``textmix train``, twice, the
second time with everything in the cache; the peak of memory is that of the whole process.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from harness import ROOT, ROUNDS, Call, Claim, Effort, Result, alternate, call, command, comparison, run, surroundings

ROWS: dict[Effort, int] = {"full": 5_000_000, "quick": 200_000, "smallest": 2_000}
WORDS_A_TEXT = 6
TIMES: dict[Effort, tuple[str, ...]] = {
    "full": ("first time", "cached"),
    "quick": ("first time", "cached"),
    "smallest": ("first time",),
}
LAUNCH = [
    *(str(Path(sys.executable).with_name("accelerate")), "launch", "--num_processes", "1", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", str(ROOT / "textmix" / "train.py")),
]
PROGRAM = [str(Path(sys.executable).with_name("textmix")), "train"]
SHORT = ["--train.max_steps", "2", "--train.log_every", "1", "--eval.resamples", "100"]
"""Two steps, and no more statistics than must be."""


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:  # noqa: ARG001 - as every subject's
    """Return memory and seconds of the large table, and the seconds to a first step."""
    with tempfile.TemporaryDirectory() as scratch:
        return {
            **_large_csv(effort, Path(scratch, "csv"), threads, call),
            "first step": _first_step(Path(scratch, "start"), ROUNDS[effort], threads),
        }


def write_csv(file: str, rows: int) -> Result:
    """Write so many rows of random words and two labels; words are as frequent as words are."""
    import numpy as np

    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(20_000)])
    with Path(file).open("w", encoding="utf-8") as out:
        out.write("text,label\n")
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            texts = words[rng.zipf(1.3, (count, WORDS_A_TEXT)) % len(words)]
            labels = rng.choice(["no", "yes"], count)
            out.writelines(f"{' '.join(text)},{label}\n" for text, label in zip(texts, labels, strict=True))
    return {}


def _large_csv(effort: Effort, scratch: Path, threads: int, call: Call) -> Result:
    rows = ROWS[effort]
    scratch.mkdir()
    call("tables", "write_csv", threads=1, file=str(scratch / "large.csv"), rows=rows)
    options = [*SHORT, "--data.path", str(scratch / "large.csv"), "--data.validation_fraction", "0.002"]
    found = {}
    for name in TIMES[effort]:
        program = [*PROGRAM, *options, "--train.threads", str(threads), "--output_dir", str(scratch / name)]
        begin = time.time()
        found[name] = run(program, threads=threads, HF_ASSETS_CACHE=str(scratch / "cache"))
        found[name]["to_second_step"] = _last_train_line(scratch / name) - begin
    gib = {name: [result["peak_mib"] / 1024] for name, result in found.items()}
    seconds = {name: [result["to_second_step"]] for name, result in found.items()}
    facts = {"rows": rows, "mib": round((scratch / "large.csv").stat().st_size / 2**20)}
    return {
        "large csv, memory": comparison("GiB at most", gib, [Claim(name, at_most=3.0) for name in gib]) | facts,
        "large csv, time": comparison("s from the command to the second step", seconds) | facts,
    }


def _first_step(scratch: Path, rounds: int, threads: int) -> Result:
    """Time the quickstart's command up to its first step, when its texts are in the cache."""
    scratch.mkdir()
    _seconds_to_first_step(scratch, threads)  # fills the cache
    runs = {"quickstart, cnn": partial(_seconds_to_first_step, scratch, threads)}
    values = {name: [result["seconds"] for result in own] for name, own in alternate(runs, rounds).items()}
    return comparison("s", values, [Claim(name, at_most=10.0) for name in values])


def _seconds_to_first_step(scratch: Path, threads: int) -> Result:
    """Start a training of the quickstart, wait for the record of its first step, and end it."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    options = ["--config", str(ROOT / "configs" / "tweets_cnn.yaml"), "--train.log_every", "1"]
    program = [*LAUNCH, *options, "--output_dir", str(folder)]
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            program, stdout=output, stderr=output, env=surroundings(threads), start_new_session=True
        )
        try:
            while not _has_stepped(folder):
                if process.poll() is not None:
                    output.seek(0)
                    raise RuntimeError(f"{' '.join(program)} ended before its first step:\n{output.read().decode()}")
                time.sleep(0.005)
            return {"seconds": time.perf_counter() - begin}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the launcher and what it launched
                process.wait()


def _has_stepped(folder: Path) -> bool:
    record = folder / "timing.jsonl"
    return record.exists() and '"train"' in record.read_text(encoding="utf-8")


def _last_train_line(folder: Path) -> float:
    """Return when the last step was recorded: timing.jsonl ends with it, and is not touched afterwards."""
    return (folder / "timing.jsonl").stat().st_mtime


if __name__ == "__main__":
    command(measure, __doc__)
