"""From `data.path` to tables of images: a Hub id, a saved data set, parquet files, a folder or packaged digits."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset
from PIL import Image

from textmix.config import PACKAGED, DataConfig
from textmix.data.cache import stamp
from textmix.data.labels import label_strings
from textmix.data.readers import LABEL_NAMES, declared_names, file_kind, id_strings, settled
from textmix.data.sources import (
    WHOLE,
    choose_splits,
    data_files,
    files_of_splits,
    find_files,
    load_set,
    rows_key,
)
from textmix.data.tables import Table, keep
from textmix.errors import InputError
from textmix.predictions.tables import first_line

DIGITS = f"{PACKAGED}digits"
"""scikit-learn's 1,797 images of handwritten digits, 8 x 8 pixels."""
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How a table holds an image: the bytes of its file, or else the path; as data sets on the Hub do."""
_PIECE = 100
"""Rows in memory at a time while a parquet file is copied; Arrow holds up to 2 GiB of images in one piece."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read, None for the only one of images and for no label; `id` is read if present.

    Of several names of the label the first that is there counts.
    """

    image: str | None
    label: str | tuple[str, ...] | None

    def find(self, schema: pa.Schema, where: str) -> dict[str, str]:
        """Return role (image, label, id) -> column.

        :raises InputError: a column is missing, has two roles, or is there twice.
        """
        images = [field.name for field in schema if _holds_images(field.type)]
        if self.image is None and len(images) != 1:
            raise InputError(f"{where}: expected one column of images, got {images} among {schema.names}.")
        found = {"id": "id"} if "id" in schema.names else {}
        for role, named in (("image", self.image or images[0]), ("label", self.label or ())):
            options = (named,) if isinstance(named, str) else named
            present = [name for name in options if name in schema.names]
            if options and not present:
                expected = " or ".join(map(repr, options))
                raise InputError(f"{where}: expected a column {expected} (data.{role}_column), got {schema.names}.")
            if present:
                found[role] = present[0]
        return settled(found, schema.names, where)


def read_images(path: str, data: DataConfig, *, labelled: bool = True) -> dict[str, Table]:
    """Read the splits of the source `path`: those called as `data` says, as far as they are there.

    :param labelled: False leaves the labels, whatever they are, unread.
    :return: role (train, validation, test) -> table with the columns image (:data:`IMAGE`), label and id as far as they
        are there; what has no splits is all train, a packaged corpus is :data:`textmix.data.sources.WHOLE`.
    :raises InputError: the source is missing, can't be read, or has no training split.
    """
    wanted = Columns(data.image_column, data.label_column) if labelled else Columns(None, None)
    return {role: _dated(table) for role, table in _read(path, data, wanted).items()}


def _read(path: str, data: DataConfig, wanted: Columns) -> dict[str, Table]:
    if path.startswith(PACKAGED):
        if path != DIGITS:
            raise InputError(f"data.path: expected {DIGITS} for images, got {path!r}.")
        return {WHOLE: _digits()}
    local = find_files(path, data, "a parquet file, a folder of images or a Hub id")
    if local is None:
        return _read_set(path, data, wanted)
    if local.is_file():
        return {"train": _parquet("train", [local], wanted)}
    if not any(file_kind(file) == ".parquet" for file in data_files(local)):
        return _folders(local, data)
    files = files_of_splits(local)
    splits = choose_splits(list(files), data, path)
    return {role: _parquet(name, files[name], wanted) for role, name in splits.items()}


def _digits() -> Table:
    try:
        key = ("digits", version("scikit-learn"))
    except PackageNotFoundError as error:
        raise InputError(f'{DIGITS}: needs the package scikit-learn; run `pip install "textmix[demo]"`.') from error
    return keep(DIGITS, "digits", key, lambda: iter([_digit_rows()]))


def _digit_rows() -> pa.RecordBatch:
    from sklearn.datasets import load_digits  # only here: an extra, and slow to import

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # shades from 0 to 16
    images = [{"bytes": _png(image), "path": None} for image in pixels]
    return pa.RecordBatch.from_pydict(
        {"image": pa.array(images, IMAGE), "label": pa.array(map(str, digits.target), pa.string())}
    )


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _parquet(split: str, files: list[Path], wanted: Columns) -> Table:
    if any(file_kind(file) != ".parquet" for file in files):
        raise InputError(f"{files[0]}: expected images in a parquet file or in a folder, got {files[0].suffix!r}.")

    key = ("images", wanted, *map(stamp, files))
    return keep(str(files[0]), split, key, lambda: (batch for file in files for batch in _read_parquet(file, wanted)))


def _read_parquet(file: Path, wanted: Columns) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(file) as rows:
            for batch in rows.iter_batches(_PIECE, columns=list(wanted.find(rows.schema_arrow, str(file)).values())):
                yield _columns(batch, wanted, str(file))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file}: can't be read ({first_line(error)}); write it again.") from error


def _read_set(path: str, data: DataConfig, wanted: Columns) -> dict[str, Table]:
    return {role: _in_place(f"{path}[{split}]", split, rows, wanted)
            for role, (split, rows) in load_set(path, data).items()}  # fmt: skip


def _in_place(name: str, split: str, rows: Dataset, wanted: Columns) -> Table:
    """Take a data set that is mapped from disk already, without another copy."""
    columns = pa.Table.from_batches([_columns(batch, wanted, name) for batch in rows.data.table.to_batches()])
    declared = (columns.schema.metadata or {}).get(LABEL_NAMES)
    key = _digest(rows_key(rows), wanted)
    return Table(name, split, key, columns, None if declared is None else tuple(json.loads(declared)))


def _columns(batch: pa.RecordBatch, wanted: Columns, where: str) -> pa.RecordBatch:
    """Return the columns under their roles; names of classes go into the metadata.

    :raises InputError: a column is missing or has the wrong type.
    """
    found = wanted.find(batch.schema, where)
    columns = {"image": _images(batch.column(found["image"]), f"{where}: column {found['image']!r}")}
    names: tuple[str, ...] | None = None
    if "label" in found:
        names = declared_names(batch.schema, found["label"], where)
        columns["label"] = label_strings(batch.column(found["label"]), names, f"{where}: column {found['label']!r}")
    if "id" in found:
        columns["id"] = id_strings(batch.column("id"), where)
    metadata = None if names is None else {LABEL_NAMES: json.dumps(names)}
    return pa.RecordBatch.from_pydict(columns).replace_schema_metadata(metadata)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _images(column: pa.Array, where: str) -> pa.Array:
    """Return a column of images as :data:`IMAGE`."""
    kind = column.type
    if not _holds_images(kind):
        raise InputError(f"{where}: expected images (encoded bytes, or bytes and path), got {kind}.")
    content, paths = column, pa.nulls(len(column), pa.string())
    if pa.types.is_struct(kind):
        content = column.field("bytes")
        paths = column.field("path") if kind.get_field_index("path") >= 0 else paths
    return pa.StructArray.from_arrays([content.cast(pa.binary()), paths.cast(pa.string())], fields=list(IMAGE))


def _folders(root: Path, data: DataConfig) -> dict[str, Table]:
    """Read ``<split>/<class>/<image>``, or ``<class>/<image>``, which is all train."""
    names = [folder.name for folder in _inside(root)]
    if not names:
        raise InputError(f"{root}: expected folders <split>/<class>/ of images, or parquet files, found none.")
    if data.train_split not in names:
        if any(folder for name in names for folder in _inside(root / name)):
            raise InputError(f"{root}: expected a folder {data.train_split!r} (data.train_split), got {names}.")
        return {"train": _folder(root, "train")}
    return {role: _folder(root / name, name) for role, name in choose_splits(names, data, str(root)).items()}


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _folder(folder: Path, split: str) -> Table:
    suffixes = Image.registered_extensions()
    files = {
        inside.name: sorted(
            file
            for file in inside.rglob("*")
            if file.suffix.lower() in suffixes and "/." not in file.relative_to(folder).as_posix()
        )
        for inside in _inside(folder)
    }
    if not files:
        raise InputError(f"{folder}: expected one folder of images for each class, found none.")
    empty = [name for name, found in files.items() if not found]
    if len(empty) == len(files):
        raise InputError(f"{folder}: expected images in the folders of its classes, found none; remove it, or fill it.")
    if empty:
        raise InputError(
            f"{folder / empty[0]}: expected images of the class {empty[0]!r}, found none; remove the folder."
        )
    rows = [(file, name) for name, found in files.items() for file in found]
    columns = pa.table({
        "image": pa.array([{"bytes": None, "path": str(file)} for file, _ in rows], IMAGE),
        "label": pa.array([name for _, name in rows], pa.string()),
        "id": pa.array([file.relative_to(folder.parent).as_posix() for file, _ in rows], pa.string()),
    })  # fmt: skip
    return Table(str(folder), split, "a folder of images", columns, None)


def _dated(table: Table) -> Table:
    """Return a table under a key that changes also when the files do that it names without holding their bytes."""
    images = table.columns["image"]
    outside = images.filter(pc.is_null(pc.struct_field(images, "bytes")))
    paths = pc.struct_field(outside, "path").drop_null().to_pylist()
    return replace(table, key=_digest(table.key, [stamp(Path(path)) for path in paths]))


def _digest(*content: object) -> str:
    return hashlib.blake2b(repr(content).encode()).hexdigest()
