"""From `data.path` to tables: a Hub id, a file, a folder of splits, a saved data set or a packaged corpus."""

import logging
import re
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from datasets.config import DATASET_INFO_FILENAME, DATASET_STATE_JSON_FILENAME, DATASETDICT_JSON_FILENAME
from datasets.data_files import FILES_TO_IGNORE

from textmix.config import PACKAGED, DataConfig
from textmix.data.cache import stamp
from textmix.data.corpora import read_corpus
from textmix.data.readers import KINDS, Batches, Wanted, as_strings, file_kind
from textmix.data.tables import Table, keep, read_files
from textmix.errors import InputError
from textmix.files import local_path
from textmix.predictions.tables import first_line

log = logging.getLogger(__name__)

WHOLE = "all"
"""Name of the one split of a source that has no splits of its own, and no train either."""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SHARD = re.compile(r"-(\d+)-of-(\d+)(-[0-9a-f]{16})?$")
"""End of a shard's name; what comes after its number on older sets of the Hub tells versions apart."""
_OTHER_NAMES = {"validation": ("val", "valid", "dev")}


def read_source(path: str, data: DataConfig, wanted: Wanted) -> dict[str, Table]:
    """Read the splits of the source `path`: those called as `data` says, as far as they are there.

    :return: role (train, validation, test) -> table; what has no splits is all train, a packaged corpus :data:`WHOLE`.
    :raises InputError: the source is missing, can't be read, or has no training split.
    """
    if path.startswith(PACKAGED):
        return {WHOLE: read_corpus(path)}
    local = find_files(path, data, "a file, a folder or a Hub id")
    if local is None:
        return _read_set(path, data, wanted)
    if local.is_file():
        _check_kind(local)
        return {"train": read_files("train", [local], wanted)}
    files = files_of_splits(local)
    splits = choose_splits(list(files), data, path)
    return {role: read_files(name, files[name], wanted) for role, name in splits.items()}


def find_files(path: str, data: DataConfig, expected: str) -> Path | None:
    """Return the file or the folder of files that `path` names, or None for what the package datasets loads: a Hub id,
    or what it saved.

    :param expected: what may be named, for the message.
    :raises InputError: nothing can be read there, or options of the Hub are given for files.
    """
    local = local_path(path)
    if local.exists() and (data.subset or data.revision):
        raise InputError(f"data.subset and data.revision: expected null for the file or folder {path!r}.")
    if is_saved(local):
        return None
    if local.is_dir() or local.is_file():
        return local
    if local.exists():
        raise InputError(f"{path}: expected a file or a folder, got a pipe or a device; write it to a file first.")
    if "://" in path or re.search(r":.*@", path):  # not repeated: it may hold a password
        raise InputError(f"data.path: expected {expected}, got a URL; download it first.")
    if _is_no_id(path):
        raise InputError(f"data.path: expected {expected}, found no {path!r}.")
    return None


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


def _is_no_id(path: str) -> bool:
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


def is_saved(folder: Path) -> bool:
    """Return whether `folder` holds what `save_to_disk` of the package datasets wrote, with splits or without."""
    splits, *rows = DATASETDICT_JSON_FILENAME, DATASET_STATE_JSON_FILENAME, DATASET_INFO_FILENAME
    return (folder / splits).is_file() or all((folder / name).is_file() for name in rows)


def load_set(path: str, data: DataConfig) -> dict[str, tuple[str, Dataset]]:
    """Return role -> name and rows of a split of a data set, which is saved at `path` or on the Hub; what has no splits
    is all train.

    :raises InputError: it can't be loaded, or has no training split.
    """
    loaded = _load_saved(path) if is_saved(local_path(path)) else _load_hub(path, data)
    if isinstance(loaded, Dataset):
        return {"train": ("train", loaded)}
    return {role: (name, loaded[name]) for role, name in choose_splits(list(loaded), data, path).items()}


def _load_saved(path: str) -> Dataset | DatasetDict:
    try:
        return load_from_disk(local_path(path), keep_in_memory=False)
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = first_line(error)
        raise InputError(f"{path}: can't be read ({reason}); save it again, with rows in every split.") from error


def _load_hub(path: str, data: DataConfig) -> DatasetDict:
    try:
        return load_dataset(path, name=data.subset, revision=data.revision)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"data.path: {path!r} is no file here and could not be loaded from the Hub: {reason}"
        ) from error


def rows_key(rows: Dataset) -> tuple[object, ...]:
    """Return what changes when rows do: their fingerprint says how they were made, but not from which files."""
    return rows._fingerprint, *(stamp(Path(file["filename"])) for file in rows.cache_files)


def _read_set(path: str, data: DataConfig, wanted: Wanted) -> dict[str, Table]:
    return {role: _table_of(f"{path}[{split}]", split, rows, wanted)
            for role, (split, rows) in load_set(path, data).items()}  # fmt: skip


def _table_of(name: str, split: str, rows: Dataset, wanted: Wanted) -> Table:
    return keep(name, split, (rows_key(rows), wanted), lambda: _pieces(name, rows, wanted))


def _pieces(name: str, rows: Dataset, wanted: Wanted) -> Batches:
    try:
        for piece in rows.data.table.to_batches():
            yield as_strings(piece, wanted, name)
    except pa.ArrowException as error:
        raise InputError(f"{name}: can't be read ({first_line(error)}); write it again.") from error
