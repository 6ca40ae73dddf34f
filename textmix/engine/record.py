"""What a run tells while it trains: metrics.jsonl (results), timing.jsonl (times) and a progress bar."""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from textmix.engine.progress import METRICS, Progress
from textmix.files import replacing

logger = logging.getLogger(__name__)


class Recorder:
    """Writes the records of one run, on the main process alone; elsewhere it keeps the clock and writes nothing.

    metrics.jsonl holds no times, so that equal runs leave equal files. The clock counts training only: it is stopped
    during evaluations.
    """

    def __init__(self, run_dir: Path, total_steps: int, progress: Progress, writes: bool) -> None:
        self.run_dir = run_dir
        self.writes = writes
        self.progress = progress
        self._evaluating = 0.0
        self._started = time.perf_counter() - progress.seconds
        # On a terminal only: in a log file a bar is a thousand lines.
        hidden = None if writes else True
        self._bar = tqdm(total=total_steps, initial=progress.step, unit="step", disable=hidden, dynamic_ncols=True)
        if writes and progress.step == 0:
            (run_dir / METRICS).unlink(missing_ok=True)  # of a start that did not come as far as a checkpoint
        if writes:
            _cut_half_a_line(run_dir / "timing.jsonl")
        self._append("timing.jsonl", {"event": "resume" if progress.step else "start", "step": progress.step})
        if progress.step:
            logger.info("%s: goes on from the checkpoint after step %d.", run_dir, progress.step)

    @property
    def seconds(self) -> float:
        """Seconds of training since the run began, without those of evaluations and of what had to be repeated."""
        return time.perf_counter() - self._started - self._evaluating

    @property
    def examples_per_second(self) -> float:
        """Training examples, over all processes, for each second of training."""
        return self.progress.examples / max(self.seconds, 1e-9)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Stop the clock."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._evaluating += time.perf_counter() - begin

    def step(self, examples: int) -> None:
        """Count an optimizer step over so many examples."""
        self.progress.examples += examples
        self._bar.update()

    def train(self, *, epoch: int, step: int, loss: float, **values: float) -> None:
        """Record the mean loss since the last such line, and where training stands."""
        self._bar.set_postfix_str(f"epoch {epoch + 1}, loss {loss:.3f}, {self.examples_per_second:.0f} examples/s")
        self._append(METRICS, {"event": "train", "epoch": epoch, "step": step, "loss": loss, **values})
        times = {"seconds": round(self.seconds, 3), "examples_per_second": round(self.examples_per_second, 1)}
        self._append("timing.jsonl", {"event": "train", "step": step, **times})

    def smaller_batch(self, step: int, size: int) -> None:
        """Record that a micro-batch has `size` rows on each process from `step` on."""
        self._append("timing.jsonl", {"event": "smaller batch", "step": step, "batch_size": size})

    def validation(self, *, epochs: int, step: int, metrics: dict[str, float]) -> None:
        """Record the validation metrics after so many epochs."""
        self._append(METRICS, {"event": "validation", "epochs": epochs, "step": step, **metrics})
        if self.writes:
            told = "epoch %d: validation accuracy %.4f, NLL %.4f, ECE %.4f; %.0f examples/s"
            with tqdm.external_write_mode():  # the bar steps aside for the line
                logger.info(told, epochs, *(metrics[k] for k in ("accuracy", "nll", "ece")), self.examples_per_second)

    def confidences(self, epochs: int, confidence: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_]) -> None:
        """Save what the model believed of the validation examples, for the density of accuracy and confidence."""
        if self.writes:
            with replacing(self.run_dir / "epochs" / f"{epochs:03d}.parquet") as part:
                pq.write_table(pa.table({"confidence": confidence, "correct": correct}), part)

    def close(self) -> None:
        """Put the progress bar away."""
        self._bar.close()

    def _append(self, name: str, record: dict[str, Any]) -> None:
        if self.writes:
            with (self.run_dir / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def _cut_half_a_line(path: Path) -> None:
    """Leave whole lines alone: the last one may have been cut short by a kill, or by a disk that was full."""
    data = path.read_bytes() if path.exists() else b""
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)
