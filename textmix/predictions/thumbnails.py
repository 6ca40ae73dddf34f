"""Pictures beside predictions: small, and of the few examples that a report shows."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from textmix.errors import InputError
from textmix.files import replacing

THUMBNAILS = "thumbnails.parquet"
"""Name of their file in the folder of the predictions."""

_SCHEMA = pa.schema([("id", pa.string()), ("png", pa.binary())])


def save_thumbnails(pictures: Mapping[str, bytes], path: Path) -> None:
    """Write PNG files under the ids of their examples as parquet: `id` and `png`."""
    table = pa.table([list(pictures), list(pictures.values())], schema=_SCHEMA)
    with replacing(path) as part:
        pq.write_table(table, part)


def load_thumbnails(path: Path) -> dict[str, bytes]:
    """Read what :func:`save_thumbnails` wrote; nothing where there is no such file.

    :raises InputError: the file is another one.
    """
    if not path.exists():
        return {}
    try:
        table = pq.read_table(path, schema=_SCHEMA)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: expected columns id and png, got: {str(error).splitlines()[0]}") from error
    return dict(zip(table["id"].to_pylist(), table["png"].to_pylist(), strict=True))
