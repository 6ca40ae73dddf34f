"""Checkpoints on disk: directories that are whole or not there, and are verified before anything in them is read."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "manifest.json"
_PREFIX, _SKIPPED = "step-", "skipped-"


def place(folder: Path, step: int) -> Path:
    """Return the directory of the checkpoint after so many optimizer steps; names sort as steps do."""
    return folder / f"{_PREFIX}{step:08d}"


@contextmanager
def writing(checkpoint: Path) -> Iterator[Path]:
    """Yield a directory to fill; once the body has succeeded it gets its manifest and becomes `checkpoint`.

    Everything is on the disk before the directory takes its name: a name that is there stands for files that were
    written, whatever happened to the writer. A body that fails leaves nothing.
    """
    part = checkpoint.with_name(f".{checkpoint.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a writer that was killed
    part.mkdir(parents=True)
    try:
        yield part
        with ThreadPoolExecutor() as pool:  # neither the disk nor a checksum holds the interpreter
            entries = dict(pool.map(_kept, sorted(part.iterdir())))
        (part / MANIFEST).write_text(json.dumps(entries, indent=1), encoding="utf-8")
        _to_disk(part / MANIFEST)
        _to_disk(part)
        shutil.rmtree(checkpoint, ignore_errors=True)
        part.rename(checkpoint)
        _to_disk(checkpoint.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def problem(checkpoint: Path) -> str | None:
    """Say why a checkpoint can't be relied on; None where every byte of it is the one that was written."""
    try:
        entries = json.loads((checkpoint / MANIFEST).read_bytes())
        if not isinstance(entries, dict) or not entries:
            return f"{MANIFEST} lists no files"
        for name, entry in entries.items():
            found = _entry(checkpoint / Path(name).name)
            if found != entry:
                return f"{name} is not what was written: {_differing(entry, found)}"
    except OSError as error:
        return f"{Path(str(error.filename)).name}: {error.strerror}"
    except ValueError as error:  # neither UTF-8 nor JSON
        return f"{MANIFEST} can't be read: {error}"
    return None


def steps(folder: Path) -> list[int]:
    """Return the optimizer steps that `folder` has checkpoints of, the latest first; they may be damaged."""
    numbers = (path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*"))
    return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)


def set_aside(folder: Path, step: int) -> None:
    """Rename a checkpoint that can't be used, so that it neither counts as one nor is lost."""
    old = place(folder, step)
    new = old.with_name(_SKIPPED + old.name)
    shutil.rmtree(new, ignore_errors=True)
    old.rename(new)


def prune(folder: Path, keep: set[int]) -> None:
    """Delete all checkpoints but those after the steps in `keep`, and what killed writers left."""
    for step in set(steps(folder)) - keep:
        # Renamed first: a deletion cut short must not look like a checkpoint.
        part = place(folder, step).rename(folder / f".{_PREFIX}{step:08d}.part")
        shutil.rmtree(part)
    for part in folder.glob(f".{_PREFIX}*.part"):
        shutil.rmtree(part, ignore_errors=True)


def _kept(path: Path) -> tuple[str, dict[str, int | str]]:
    """Wait until a file is on the disk; return its name and its entry in the manifest."""
    _to_disk(path)
    return path.name, _entry(path)


def _entry(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _differing(expected: object, found: dict[str, int | str]) -> str:
    if not isinstance(expected, dict):
        return f"{MANIFEST} says nothing of it"
    if expected.get("bytes") != found["bytes"]:
        return f"expected {expected.get('bytes')} bytes, got {found['bytes']}"
    return "its checksum differs"


def _to_disk(path: Path) -> None:
    """Wait until a file, or the list of names in a directory, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
