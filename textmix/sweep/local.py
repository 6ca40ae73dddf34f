"""Tasks on this machine: so many processes at a time."""

import os
import subprocess
import time
from collections.abc import Iterator
from itertools import islice

from textmix.engine.stop import StopRequest
from textmix.sweep.launch import Ended, Share, Task

_POLL = 0.1
"""Seconds between two looks at the processes."""


def launch_local(tasks: Iterator[Task], jobs: int, share: Share, request: StopRequest) -> Iterator[Ended]:
    """Start tasks as :data:`textmix.sweep.launch.Launcher` says; whatever ends the caller ends them too."""
    active: dict[subprocess.Popen[bytes], tuple[Task, float]] = {}
    told = False
    try:
        while True:
            if not request.signal:
                for task in islice(tasks, jobs - len(active)):
                    active[_start(task, share)] = task, time.monotonic()
            elif not told:
                told = True
                _tell(active, request.signal)
            if not active:
                return
            time.sleep(_POLL)
            for process in [process for process in active if process.poll() is not None]:
                task, started = active.pop(process)
                yield Ended(task, process.returncode, time.monotonic() - started)
    finally:
        for process in active:
            process.terminate()
        for process in active:
            process.wait()


def _start(task: Task, share: Share) -> subprocess.Popen[bytes]:
    task.log.parent.mkdir(parents=True, exist_ok=True)
    with task.log.open("ab") as log:
        environment = {**os.environ, **share.environment}
        return subprocess.Popen(  # noqa: S603 - the command is ours
            task.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )


def _tell(active: dict[subprocess.Popen[bytes], tuple[Task, float]], signal: int) -> None:
    # A terminal's Ctrl-C has reached them already; a run takes the second one for the first.
    for process in active:
        process.send_signal(signal)
