"""Kill trainings at random moments and resume them: they must end with the weights of a training left in peace.

    python scripts/bench/chaos.py [--kills 50] [--seed 0] [--folder DIR]

Every kill is a SIGKILL to the process that trains: while it loads, trains, writes a checkpoint, evaluates or reports. A
run that gets to its end is compared byte by byte (weights, metrics.jsonl, predictions), and the next one begins, until
all kills are spent. The exit code is 0 if nothing differs. DIR keeps the runs and what they said.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

WORDS = {
    "cooking": ["salt", "oven", "butter", "dough", "simmer", "spoon"],
    "sailing": ["rudder", "tide", "anchor", "knots", "harbour", "mast"],
    "music": ["chord", "tempo", "violin", "octave", "encore", "drum"],
}
FILLERS = ["the", "a", "of", "and", "with", "under"]
OPTIONS = [
    "--model.embedding_dim", "16", "--model.num_filters", "8", "--mixup.alpha", "0.4", "--mixup.clean_weight", "1",
    "--train.epochs", "4", "--train.batch_size", "8", "--train.gradient_accumulation_steps", "2",
    "--train.learning_rate", "0.01", "--train.schedule", "cosine", "--train.log_every", "3",
    "--train.checkpoint_every", "2", "--train.threads", "1", "--eval.resamples", "100",
]  # fmt: skip
COMPARED = ("model/model.safetensors", "metrics.jsonl", "predictions/validation.parquet", "predictions/test.parquet")


@dataclass
class Tally:
    """What has happened so far."""

    kills: int = 0
    inside_saving: int = 0
    resumed: int = 0
    from_zero: int = 0
    finished: int = 0
    differing: int = 0


def main() -> int:
    """Run the whole test and tell how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="textmix-chaos-"))
    write_texts(folder / "data")
    warm_up = SERVER.Process(target=int)  # the server imports everything before it forks its first process
    warm_up.start()
    warm_up.join()
    begin = time.perf_counter()
    undisturbed = spawn(folder, "undisturbed")
    undisturbed.join()
    if undisturbed.exitcode:
        sys.exit(f"{folder}/undisturbed.log: the training failed by itself, with exit code {undisturbed.exitcode}")
    duration = time.perf_counter() - begin
    tally, rng = Tally(), np.random.default_rng(options.seed)
    while tally.kills < options.kills:
        disturb(folder, f"run-{tally.finished + 1}", options.kills, duration, rng, tally)
    seconds = time.perf_counter() - begin
    print(
        f"{tally.kills} kills, {tally.inside_saving} of them inside saving; {tally.resumed} starts went on from a "
        f"checkpoint, {tally.from_zero} began again; {tally.finished} runs got to their end, {tally.differing} of them "
        f"differ from the undisturbed one; {seconds:.0f} s; {folder}"
    )
    return 1 if tally.differing else 0


def write_texts(folder: Path, count: int = 150) -> None:
    """Write train.csv, validation.csv and test.csv with short texts about three topics."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        rows = ["text,label"]
        for _ in range(count if split == "train" else count // 3):
            topic = str(rng.choice(list(WORDS)))
            words = [*rng.choice(WORDS[topic], 2), *rng.choice(FILLERS, 6)]
            rows.append(f"{' '.join(words)},{topic}")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def disturb(folder: Path, name: str, limit: int, duration: float, rng: np.random.Generator, tally: Tally) -> None:
    """Train one run to its end through as many kills as come, and compare it."""
    run = folder / name
    while True:
        started = len(timing(run))
        process = spawn(folder, name)
        if tally.kills < limit:
            wait_for_a_moment(process, run, started, duration, rng)
            process.kill()  # nothing happens to a process that has ended
        process.join()
        if process.exitcode == 0:
            break
        if process.exitcode != -9:
            sys.exit(f"{run}.log: the training failed by itself, with exit code {process.exitcode}")
        tally.kills += 1
        tally.inside_saving += any((run / "checkpoints").glob(".*.part"))
    tally.resumed += sum(record["event"] == "resume" for record in timing(run))
    tally.from_zero += sum(record["event"] == "start" for record in timing(run)) - 1
    tally.finished += 1
    tally.differing += any(
        (run / file).read_bytes() != (folder / "undisturbed" / file).read_bytes() for file in COMPARED
    )


def timing(run: Path) -> list[dict[str, object]]:
    """Return the whole lines of timing.jsonl; none before there are any."""
    path = run / "timing.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def wait_for_a_moment(process: BaseProcess, run: Path, started: int, duration: float, rng: np.random.Generator) -> None:
    """Wait: one time in five for any moment of the process's life, else for one of its training or of its saving."""
    kind = rng.random()
    if kind < 0.2:
        process.join(rng.uniform(0, duration))
        return
    while process.is_alive() and len(timing(run)) == started:
        time.sleep(0.001)
    process.join(rng.exponential(duration / 20))
    if kind < 0.6:
        while process.is_alive() and not any((run / "checkpoints").glob(".*.part")):
            time.sleep(0.0002)
        time.sleep(rng.exponential(0.002))


def spawn(folder: Path, name: str) -> BaseProcess:
    """Start a training in a process of its own, forked from a server that has imported everything already."""
    process = SERVER.Process(target=train, args=(folder, name))
    process.start()
    return process


def train(folder: Path, name: str) -> None:
    """Train as the command line does; what it says goes to a log beside the run."""
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from textmix.cli import main as textmix

    sys.exit(textmix(["train", "--data.path", str(folder / "data"), "--output_dir", str(folder / name), *OPTIONS]))


SERVER = multiprocessing.get_context("forkserver")

if __name__ == "__main__":
    SERVER.set_forkserver_preload(["textmix.outcome", "textmix.data", "textmix.models.build", "textmix.cli"])
    sys.exit(main())
