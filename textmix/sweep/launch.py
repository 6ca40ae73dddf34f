"""What launchers share: the tasks they start, how these end, and what of a machine each may use."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from textmix.engine.stop import StopRequest


@dataclass(frozen=True)
class Task:
    """A process to start: its name, its command, and the file that takes what it says."""

    name: str
    command: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its task, its exit code (negative for the signal that killed it), and its seconds."""

    task: Task
    code: int
    seconds: float


@dataclass(frozen=True)
class Share:
    """What of a machine one process may use."""

    threads: int
    gpus: float = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """The variables that keep libraries to this share."""
        return {"OMP_NUM_THREADS": str(self.threads), "TOKENIZERS_PARALLELISM": "false"}


Launcher = Callable[[Iterator[Task], int, Share, StopRequest], Iterator[Ended]]
"""Starts so many tasks at a time, each with its share, and yields them as they end.

The next task is asked for when there is room for it. Once a stop is requested none is; those under way are told, so
that they save, and awaited.
"""
