"""From `data.path` to tables: a Hub id, a file, a folder of splits or a packaged corpus."""

import logging
import re
from pathlib import Path

from datasets import Dataset, load_dataset
from datasets.data_files import FILES_TO_IGNORE

from textmix.config import PACKAGED, DataConfig
from textmix.data.corpora import read_corpus
from textmix.data.readers import KINDS, Wanted, as_strings, file_kind
from textmix.data.tables import Table, keep, read_files
from textmix.errors import InputError
from textmix.files import local_path

log = logging.getLogger(__name__)

WHOLE = "all"
"""Name of the one split of a source that has no splits of its own, and no train either."""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?$")
"""End of a shard's name; what comes after its number on older sets of the Hub tells versions apart."""
_OTHER_NAMES = {"validation": ("val", "valid", "dev")}


def read_source(path: str, data: DataConfig, wanted: Wanted) -> dict[str, Table]:
    """Read the splits of the source `path`: those called as `data` says, as far as they are there.

    :return: role (train, validation, test) -> table; a single file is all train, a packaged corpus is :data:`WHOLE`.
    :raises InputError: the source is missing, can't be read, or has no training split.
    """
    if path.startswith(PACKAGED):
        return {WHOLE: read_corpus(path)}
    local = local_path(path)
    if local.exists() and (data.subset or data.revision):
        raise InputError(f"data.subset and data.revision: expected null for the file or folder {path!r}.")
    if local.is_dir():
        files = files_of_splits(local)
        splits = choose_splits(list(files), data, path)
        return {role: read_files(name, files[name], wanted) for role, name in splits.items()}
    if local.is_file():
        _check_kind(local)
        return {"train": read_files("train", [local], wanted)}
    if local.exists():
        raise InputError(f"{path}: expected a file or a folder, got a pipe or a device; write it to a file first.")
    if "://" in path or re.search(r":.*@", path):  # not repeated: it may hold a password
        raise InputError("data.path: expected a file, a folder or a Hub id, got a URL; download it first.")
    if is_local(path):
        raise InputError(f"data.path: expected a file, a folder or a Hub id, found no {path!r}.")
    return _read_hub(path, data, wanted)


def choose_splits(names: list[str], data: DataConfig, where: str) -> dict[str, str]:
    """Return role -> name of the split that plays it.

    :raises InputError: there is no training split, or not the one that the configuration names.
    """
    chosen = {}
    for role, name in (("train", data.train_split), ("validation", data.validation_split), ("test", data.test_split)):
        others = _OTHER_NAMES.get(role, ()) if name == role else ()
        found = next((candidate for candidate in (name, *others) if candidate in names), None)
        if found is not None:
            chosen[role] = found
        elif name is not None and (role == "train" or name != role):
            raise InputError(f"{where}: expected a split {name!r} (data.{role}_split), got {names}.")
        if found in others:
            log.warning("%s: the split %r serves as %s", where, found, role)
    return chosen


def is_local(path: str) -> bool:
    """Return whether something that does not exist was meant as a file rather than as a Hub id."""
    looks_like_file = path.startswith((".", "/", "~")) or file_kind(Path(path)) in KINDS
    return looks_like_file or _HUB_ID.fullmatch(path) is None


def _check_kind(file: Path) -> None:
    if file_kind(file) not in KINDS or file.name.lower().endswith(".parquet.gz"):
        raise InputError(
            f"{file}: expected one of {', '.join(KINDS)} (all but parquet also as .gz), got {file.suffix!r}."
        )


def data_files(folder: Path) -> list[Path]:
    """Return the files of examples in a folder, sorted; where it has none, those in its folder `data`, in which the Hub
    keeps them. Hidden files, which systems write beside others, are no examples, nor are descriptions of a set.
    """
    for place in (folder, folder / "data"):
        files = sorted(file for file in place.glob("[!.]*") if file.is_file() and file_kind(file) in KINDS)
        if found := [file for file in files if file.name not in FILES_TO_IGNORE]:
            return found
    return []


def files_of_splits(folder: Path) -> dict[str, list[Path]]:
    """Return split -> its :func:`data_files`: `train.csv`, or shards such as `train-00000-of-00002.parquet`.

    :raises InputError: there are none, or those of a split are not all of its shards, each once.
    """
    files: dict[str, list[Path]] = {}
    for file in data_files(folder):
        files.setdefault(_SHARD.sub("", _stem(file)), []).append(file)
    if not files:
        raise InputError(f"{folder}: expected files such as train.csv and test.csv ({', '.join(KINDS)}), found none.")
    for split, parts in files.items():
        _check_shards(folder, split, parts)
    return files


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


def _check_shards(folder: Path, split: str, files: list[Path]) -> None:
    shards = [shard for file in files if (shard := _SHARD.search(_stem(file)))]
    if not shards and len(files) == 1:
        return
    numbers, totals = {int(shard[1]) for shard in shards}, {int(shard[2]) for shard in shards}
    total = max(totals, default=0)
    if len(numbers) < len(files) or len(totals) != 1 or len(numbers) > total:
        raise InputError(
            f"{folder}: expected one file for the split {split!r}, or each of its shards once, got "
            f"{[file.name for file in files[:5]]}; remove those that do not belong to it."
        )
    missing = next((number for number in range(total) if number not in numbers), None)
    if missing is not None:
        raise InputError(
            f"{folder}: expected all {total} shards of the split {split!r}, got {len(files)} without number {missing}, "
            f"counted from 0; download it again."
        )


def load_hub(path: str, data: DataConfig) -> dict[str, Dataset]:
    """Return role -> rows of a data set on the Hub.

    :raises InputError: it can't be loaded, or has no training split.
    """
    try:
        loaded = load_dataset(path, name=data.subset, revision=data.revision)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"data.path: {path!r} is no file here and could not be loaded from the Hub: {reason}"
        ) from error
    return {role: loaded[name] for role, name in choose_splits(list(loaded), data, path).items()}


def _read_hub(path: str, data: DataConfig, wanted: Wanted) -> dict[str, Table]:
    return {role: _hub_table(path, str(rows.split), rows, wanted) for role, rows in load_hub(path, data).items()}


def _hub_table(path: str, split: str, rows: Dataset, wanted: Wanted) -> Table:
    name = f"{path}[{split}]"
    pieces = rows.data.table.to_batches()
    return keep(name, split, (rows._fingerprint, wanted), lambda: (as_strings(piece, wanted, name) for piece in pieces))
