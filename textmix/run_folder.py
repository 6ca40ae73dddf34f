"""The folder of a run: where it is, whose it is, who works in it, and what in it says that the run is finished."""

import errno
import fcntl
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml
from safetensors import SafetensorError

from textmix.config import PACKAGED, Config
from textmix.config.keys import flat
from textmix.errors import InputError, RunError
from textmix.files import local_path, write_text

CONFIG, SUMMARY, LOCK = "config.yaml", "summary.json", ".lock"

_FREE = {"train.checkpoint_every", "train.keep_checkpoints", "train.threads", "train.auto_batch"}
"""Keys that do not decide what a run results in, but for its last digits, and may change when it goes on;
auto_batch, so that a run that ran out of memory can."""
_RESULTS = (SUMMARY, "checkpoints", "metrics.jsonl", "timing.jsonl", "epochs")
"""What says how far a run has come, in the order in which it is deleted."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Failures of the disk, not of the program."""
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM}
"""Failures for something in the folder that nobody expects there, such as a file in place of a folder."""


def run_dir(config: Config, config_file: str | None) -> Path:
    """Return ``config.output_dir``, or ``runs/<name>-<seed>``, named after the configuration file or the data."""
    if config.output_dir is not None:
        return local_path(config.output_dir)
    source = config_file or config.data.path.removeprefix(PACKAGED)
    name = Path(source).resolve().stem if config_file else Path(source).name
    return Path("runs") / f"{name}-{config.seed}"


def is_finished(folder: Path, config: Config) -> bool:
    """Tell whether `folder` holds this very run, finished.

    :raises InputError: it holds something else: a run with another configuration, or no run at all.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder for the run, got a file; give another --output_dir.")
    if not (folder / CONFIG).exists():
        if any(path.name != LOCK for path in folder.iterdir()):
            raise InputError(
                f"{folder}: expected an empty folder or a run, got other files; give another --output_dir."
            )
        return False
    there, here = flat(_read(folder / CONFIG)), flat(plain(config))
    keys = (there.keys() | here.keys()) - _FREE
    differing = sorted(key for key in keys if there.get(key) != here.get(key))
    if differing:
        told = ", ".join(f"{key} is {there.get(key)!r} there and {here.get(key)!r} here" for key in differing[:5])
        told += f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise InputError(f"{folder}: holds a run with another configuration ({told}); give another --output_dir.")
    return config.resume == "auto" and (folder / SUMMARY).exists()


def check_writable(folder: Path) -> None:
    """Refuse a folder that could not be made or written to; it is left as it is.

    :raises InputError: it is one.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


@contextmanager
def working_in(folder: Path, config: Config, *, writes: bool) -> Iterator[None]:
    """Make the folder, keep other runs out of it, and write the configuration, which starts the same run again.

    :param writes: whether this process is the one of its run that writes.
    :raises InputError: the folder can't be written to, or another run is working in it.
    :raises RunError: the disk failed while the body wrote.
    """
    with ExitStack() as stack:
        if writes:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder))
                if config.resume == "never":
                    _clear(folder)
                write_text(folder / CONFIG, yaml.safe_dump(plain(config), sort_keys=False))
            except OSError as error:
                raise _unwritable(folder, error) from error
        with _disk_failures(folder):
            yield


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"{folder}: expected a folder that can be written to, got: {error.strerror}; give another --output_dir."
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder` until this one is done, or dead.

    :raises InputError: another one is in it.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            raise InputError(
                f"{folder}: another run is working in it ({file.read()}); wait for it, or give another --output_dir."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


@contextmanager
def _disk_failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno in _IN_THE_WAY and folder in Path(str(error.filename)).parents:
            raise InputError(
                f"{error.filename}: expected a place where the run can write, got: {error.strerror}; move it away, or "
                "give another --output_dir."
            ) from error
        full = error.errno in _FULL if isinstance(error, OSError) else "I/O error" in str(error)
        if not full:
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(
            f"{folder}: can't be written to any more ({reason}); make room, and start the same command again, to go on "
            "from the last checkpoint."
        ) from error


def clear_finished(folder: Path, *, keep_model: bool) -> None:
    """Remove from a finished run what its results don't need: the checkpoints, and the model unless it is kept."""
    for name in ("checkpoints",) if keep_model else ("checkpoints", "model"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _clear(folder: Path) -> None:
    for path in (folder / name for name in _RESULTS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def plain(config: Config) -> dict[str, Any]:
    """Return the configuration as YAML can hold it, without where the run lies and how it was started."""
    values = asdict(config)
    del values["output_dir"], values["resume"]
    plain: dict[str, Any] = _untuple(values)
    return plain


def _untuple(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untuple(item) for key, item in value.items()}
    return [_untuple(item) for item in value] if isinstance(value, tuple) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected the configuration of a run, got: {reason}; give another --output_dir."
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected the configuration of a run, got {type(values).__name__}.")
    return values
