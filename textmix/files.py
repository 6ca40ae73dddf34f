"""Where files are, and files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textmix.errors import InputError


def local_path(path: str) -> Path:
    """Return where `path`, as somebody wrote it, lies on this machine; ~ is the home folder.

    :raises InputError: it begins with the home folder of somebody who has none.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: expected a path, got a home folder that is not there; write it out.") from error


def check_file(path: Path, expected: str) -> None:
    """Refuse what is no file.

    :param expected: what is, for the message: "a file of predictions".
    :raises InputError: nothing is there, or something else is.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected {expected}, got a folder; name a file in it.")
    if not path.exists():
        raise InputError(f"{path}: expected {expected}, found none.")
    if not path.is_file():
        raise InputError(f"{path}: expected {expected}, got a pipe or a device; write it to a file first.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; the file takes the place of `path` once the body has succeeded.

    Readers see the old file or the new one, never half of either, whatever interrupts the writer. Missing folders are
    made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
