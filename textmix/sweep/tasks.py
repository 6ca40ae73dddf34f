"""One ordinary ``textmix train`` as a task: its command, its settings and its log beside its folder."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import textmix
from textmix.engine.launch import usable_cores
from textmix.files import write_text
from textmix.sweep.launch import Share, Task

TAIL = 15
"""Last lines of a log that are shown of a run that failed."""


def train_task(folder: Path, settings: Mapping[str, Any], share: Share) -> Task:
    """Return the training of a run, once its settings are written beside its folder.

    :param settings: nested, as a configuration file holds them; threads that they don't name are those of `share`.
    """
    file = folder.with_name(f"{folder.name}.yaml")
    write_text(file, yaml.safe_dump(dict(settings), sort_keys=False))
    program = Path(textmix.__file__).parent / "train.py"
    command = [sys.executable, str(program), "--config", str(file), "--output_dir", str(folder)]
    if not settings.get("train", {}).get("threads"):
        command += ["--train.threads", str(share.threads)]
    return Task(str(folder), tuple(command), log_of(folder))


def log_of(folder: Path) -> Path:
    """Return the log of the run in `folder`, which lies beside it."""
    return folder.with_name(f"{folder.name}.log")


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-TAIL:])


def share_of(jobs: int, threads: int | None, launcher: str, gpus: float = 0.0) -> Share:
    """Return what each of so many jobs may use of its machine: its part of the cores, but one of Ray's."""
    cores = 1 if launcher == "ray" else max(1, usable_cores() // jobs)
    return Share(threads or cores, gpus)
