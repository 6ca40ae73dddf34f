"""Tables of examples: what was read, once, mapped from disk."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from textmix.data.cache import cached, content_key
from textmix.data.readers import LABEL_NAMES, Batches, Wanted, file_kind, read_file
from textmix.errors import InputError


@dataclass(frozen=True)
class Table:
    """One split as it was read.

    `columns` holds strings under the names text, pair, label and id, as far as they were wanted and found, mapped from
    disk; `name` is for messages, `split` for ids and `key` for the cache; `label_names` are those the source declares.
    """

    name: str
    split: str
    key: str
    columns: pa.Table
    label_names: tuple[str, ...] | None

    def __len__(self) -> int:
        return int(self.columns.num_rows)


def read_files(split: str, paths: list[Path], wanted: Wanted) -> Table:
    """Read the files of a split, one after the other.

    :raises InputError: a file can't be read, lacks a column, or holds a row that does not fit.
    """
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    key = (wanted, *((file_kind(path), path.suffix.lower(), _content_key(path)) for path in paths))
    return keep(name, split, key, lambda: (batch for path in paths for batch in read_file(path, wanted)))


def _content_key(path: Path) -> str:
    try:
        return content_key(path)
    except OSError as error:  # which names the file only where it could not be opened
        raise InputError(f"{path}: can't be read ({error.strerror}); copy it from where it is whole.") from error


def keep(name: str, split: str, key: tuple[object, ...], batches: Callable[[], Batches]) -> Table:
    """Write what ``batches()`` yields to the cache, unless it is there under `key`, and map it from disk.

    :raises InputError: there are no rows.
    """
    folder = cached(("table", *key), lambda part: _write(part / "table.arrow", batches(), name))
    columns = pa.ipc.open_file(pa.memory_map(str(folder / "table.arrow"))).read_all()
    declared = (columns.schema.metadata or {}).get(LABEL_NAMES)
    return Table(name, split, folder.name, columns, None if declared is None else tuple(json.loads(declared)))


def _write(path: Path, batches: Batches, name: str) -> None:
    first = next((batch for batch in batches if batch.num_rows), None)
    if first is None:
        raise InputError(f"{name}: expected at least one row, got none.")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, first.schema) as file:
        file.write_batch(first)
        for batch in batches:
            if batch.schema.names != first.schema.names:
                raise InputError(
                    f"{name}: expected the same columns in all files, "
                    f"got {first.schema.names} and {batch.schema.names}."
                )
            file.write_batch(batch)
