"""Work done once: tables, vocabularies and tokens, kept on disk under the content they were made from."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from huggingface_hub import cached_assets_path, constants

from textmix.errors import InputError

FORMAT = 1
"""Counts up whenever what is kept changes, so that old entries are never read."""


def content_key(path: Path) -> str:
    """Return a digest of the content of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def stamp(path: Path) -> tuple[object, ...]:
    """Return what changes when a file does: to read all of a large set for a digest would take minutes every time."""
    try:
        stat = path.stat()
    except OSError:  # told by whoever reads it
        return (str(path),)
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


def cached(key: tuple[object, ...], write: Callable[[Path], None]) -> Path:
    """Return the folder that ``write(folder)`` fills, filling it only the first time `key` is asked for.

    The folder lies in the Hugging Face cache (``HF_HOME``) and is there as a whole or not at all: one process fills it
    under another name while the others wait.

    :param key: everything the content depends on, values whose `repr` tells them apart.
    :raises InputError: the cache can't be written.
    """
    digest = hashlib.blake2b(repr((FORMAT, *key)).encode(), digest_size=16).hexdigest()
    try:
        home = cached_assets_path("textmix", "data", assets_dir=constants.HF_ASSETS_CACHE)
    except (OSError, ValueError) as error:
        raise InputError(f"{constants.HF_ASSETS_CACHE}: no place for a cache ({error}); set HF_HOME.") from error
    folder, part = home / digest, home / f"{digest}.part"
    if folder.is_dir():
        return folder
    try:
        with FileLock(home / f"{digest}.lock"):
            if not folder.is_dir():
                shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
                part.mkdir()
                write(part)
                _sync(part)
                part.rename(folder)
    except OSError as error:
        raise InputError(f"{home}: can't be written ({error}); set HF_HOME to a folder with space.") from error
    return folder


def _sync(folder: Path) -> None:
    """Bring the files of `folder` to the disk, so that its new name never outlives their content."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
