"""Stopping: asked to by Ctrl-C, SIGTERM and SIGUSR1 (SLURM's warning before time is up), or left alone by a process."""

import logging
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch
from accelerate import Accelerator

from textmix.engine.progress import Progress
from textmix.errors import RunError

logger = logging.getLogger(__name__)

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass
class StopRequest:
    """The first signal that asked this process to stop; 0 while none has."""

    signal: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note signals instead of obeying them, and yield where they are noted.

    Launchers pass Ctrl-C on to processes that have heard it already, so a second signal changes nothing; SIGQUIT
    (Ctrl-backslash) still ends the process at once.
    """
    request = StopRequest()

    def note(number: int, _: FrameType | None) -> None:
        request.signal = request.signal or number

    main = threading.current_thread() is threading.main_thread()  # elsewhere signals are the caller's business
    before = {number: signal.signal(number, note) for number in STOPPING} if main else {}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def agreed(accelerator: Accelerator, request: StopRequest) -> int:
    """Return the signal that any process got, the same number on every process; every process must ask."""
    told = accelerator.gather(torch.tensor([request.signal], device=accelerator.device))
    return int(told.max())


def leave(accelerator: Accelerator, number: int, step: int, run_dir: Path) -> NoReturn:
    """End this process with the exit code shells give to signal `number`, and say how to go on."""
    count = accelerator.num_processes
    program = "textmix train" if count == 1 else f"accelerate launch --num_processes {count} textmix/train.py"
    logger.warning(
        "%s: stopped after step %d by %s, all saved; go on with: %s --config %s --output_dir %s",
        run_dir,
        step,
        signal.Signals(number).name,
        program,
        shlex.quote(str(run_dir / "config.yaml")),
        shlex.quote(str(run_dir)),
    )
    accelerator.wait_for_everyone()  # a launcher that sees the first one end kills the others
    raise SystemExit(128 + number)


@contextmanager
def others_alive(accelerator: Accelerator, progress: Progress) -> Iterator[None]:
    """Turn the failure to reach another process into one sentence."""
    try:
        yield
    except RunError:
        raise
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not _lost_another(error):
            raise
        raise RunError(
            f"another process died after step {progress.step}, see its own message; start the same command again, "
            "to go on from the last checkpoint."
        ) from error


def _lost_another(error: RuntimeError) -> bool:
    # Gloo's errors have no type of their own.
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
