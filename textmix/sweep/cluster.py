"""Tasks on the machines of a Ray cluster.

The machines share the folder that the job was started in, and have textmix at the same place.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from textmix.engine.stop import StopRequest
from textmix.errors import InputError
from textmix.sweep.launch import Ended, Share, Task

_POLL = 0.2
"""Seconds between two looks at the tasks."""
_PATIENCE = 10
"""Seconds to wait for the cluster to answer."""
_LOST = 1
"""Exit code of a task whose machine was lost."""


class Starter:
    """Starts one process on whatever machine Ray puts it on, and passes a signal on to it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, command: Sequence[str], log: str, folder: str, environment: Mapping[str, str]) -> int:
        """Run `command` in `folder` with what it says appended to `log`, and return its exit code."""
        if self._stopped:
            return -signal.SIGTERM
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # Ray's threads block signals, and their children inherit that
        Path(folder, log).parent.mkdir(parents=True, exist_ok=True)
        with Path(folder, log).open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=folder,
                env={**os.environ, **environment},
            )  # fmt: skip
        return self._process.wait()

    def stop(self, number: int) -> None:
        """Send signal `number` to the process, or keep it from being started."""
        self._stopped = True
        if self._process is not None:
            self._process.send_signal(number)


def launch_ray(tasks: Iterator[Task], jobs: int, share: Share, request: StopRequest) -> Iterator[Ended]:
    """Start tasks as :data:`textmix.sweep.launch.Launcher` says; Ray finds each a machine with room for its share.

    :raises InputError: the package ray is missing, or there is no cluster at RAY_ADDRESS.
    """
    active: dict[Any, tuple[Task, float, Any]] = {}
    told = False
    with _connected(jobs, share) as ray:
        starter = ray.remote(num_cpus=share.threads, num_gpus=share.gpus, max_concurrency=2)(Starter)
        while True:
            if not request.signal:
                for task in islice(tasks, jobs - len(active)):
                    actor = starter.remote()
                    ended = actor.run.remote(task.command, str(task.log), str(Path.cwd()), share.environment)
                    active[ended] = task, time.monotonic(), actor
            elif not told:
                told = True
                for _, _, actor in active.values():
                    actor.stop.remote(request.signal)
            if not active:
                return
            for ended in ray.wait(list(active), timeout=_POLL)[0]:
                task, started, _ = active.pop(ended)
                yield Ended(task, _code(ray, ended, task), time.monotonic() - started)


@contextmanager
def _connected(jobs: int, share: Share) -> Iterator[Any]:
    """Join the cluster that RAY_ADDRESS names, or start a Ray of this machine that has room for the jobs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a task without GPUs keeps its machine's settings
    try:
        import ray
    except ImportError as error:
        raise InputError("launcher: ray needs the package ray: pip install 'textmix[sweep]'.") from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_there(address)
    else:
        options |= {"address": "local", "include_dashboard": False, "num_cpus": jobs * share.threads}
    try:
        ray.init(**options)
    except ConnectionError as error:  # something else listens there, or the cluster's token is missing
        raise InputError(f"launcher: expected to be let in at RAY_ADDRESS={address}, got: {error}.") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_there(address: str) -> None:
    """Ask for the cluster once, where Ray itself would ask for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():  # auto, local
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise InputError(
            f"launcher: expected a Ray cluster at RAY_ADDRESS={address}, got: {error.strerror or error}."
        ) from error


def _code(ray: Any, ended: Any, task: Task) -> int:
    try:
        return int(ray.get(ended))
    except ray.exceptions.RayError as error:
        with task.log.open("a", encoding="utf-8") as log:
            log.write(f"Ray lost this task: {error}\n")
        return _LOST
