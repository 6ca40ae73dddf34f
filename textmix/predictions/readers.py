"""Files of predictions, ours or anyone's: parquet, csv, tsv, jsonl and npz with `label` and one column a class."""

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from textmix.errors import InputError
from textmix.predictions.core import LOGIT, UNLABELLED, Predictions, rows

log = logging.getLogger(__name__)

PROBABILITY = "prob_"
"""Prefix of the columns that hold probabilities, followed by the label's name."""
SUM_TOLERANCE = 2e-3
"""How far the sum of a row of probabilities may be from 1: half precision, or three printed decimals."""

Source = Literal["logits", "probabilities"]

_PREFIX: dict[Source, str] = {"logits": LOGIT, "probabilities": PROBABILITY}
_TEXT_COLUMNS = ("id", "label", "text")


def load(path: Path, *, source: Source = "logits", columns: Sequence[str] = (), labelled: bool = True) -> Predictions:
    """Read predictions, matching columns by name.

    :param source: what the class columns hold. Probabilities become logits by their logarithm, which keeps everything
        but the energy score and what rounding to 0 and 1 has already destroyed.
    :param columns: the columns of the classes, where they are not all those called `logit_<name>` (or `prob_<name>`).
        Their order is then the order of the classes, so that labels may be indices into it.
    :param labelled: false for a set outside the classes; a `label` column is then not read.
    :raises InputError: the file can't be read, lacks a column, or holds rows that are no predictions.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a file of predictions, found none.")
    if path.suffix not in _READERS:
        raise InputError(f"{path}: expected one of {', '.join(_READERS)}, got {path.suffix or 'no suffix'!r}.")
    try:
        table = _READERS[path.suffix](path, columns)
        return _predictions(table, source, columns, labelled=labelled)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _predictions(table: pa.Table, source: Source, columns: Sequence[str], *, labelled: bool) -> Predictions:
    prefix = _PREFIX[source]
    chosen = list(columns) or [name for name in table.column_names if name.startswith(prefix)]
    _check_columns(table.column_names, chosen, source, labelled=labelled)
    if len(table) == 0:
        raise InputError("expected at least one example, got none.")
    names = tuple(name.removeprefix(prefix) for name in chosen)
    scores = np.stack([_numbers(table[name], name) for name in chosen], axis=1)
    logits = _log(scores) if source == "probabilities" else _check_logits(scores)
    labels = _labels(table["label"], names, indices=bool(columns)) if labelled else np.full(len(table), UNLABELLED)
    ids = _strings(table["id"]) if "id" in table.column_names else [str(row) for row in range(len(table))]
    texts = _strings(table["text"]) if "text" in table.column_names else None
    return Predictions(logits, labels, names, ids, texts)


def _check_columns(present: Sequence[str], chosen: Sequence[str], source: Source, *, labelled: bool) -> None:
    repeated = sorted({name for name in present if present.count(name) > 1})
    if repeated:
        raise InputError(f"expected every column once, got {repeated} more than once.")
    missing = [name for name in chosen if name not in present]
    if missing:
        raise InputError(f"expected the class columns {list(chosen)}, got no {missing}; there are {list(present)}.")
    if labelled and "label" not in present:
        hint = "; its `prediction` is the model's answer and no true label" if "prediction" in present else ""
        raise InputError(f"expected a column `label` with the true labels, got {list(present)}{hint}.")
    if chosen:
        return
    other: Source = "probabilities" if source == "logits" else "logits"
    hint = f" (there are {other}: use --from {other})" if any(n.startswith(_PREFIX[other]) for n in present) else ""
    raise InputError(
        f"expected a column {_PREFIX[source]}<label name> for every class, or --columns to name them, got "
        f"{list(present)}{hint}."
    )


def _numbers(column: pa.ChunkedArray, name: str) -> npt.NDArray[np.floating]:
    """Return a class column as float32 or float64; a missing value is nan, which the record refuses with its row."""
    if pa.types.is_integer(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    if not pa.types.is_floating(column.type):
        raise InputError(f"expected numbers in column {name}, got {column.type}.")
    values: npt.NDArray[np.floating] = column.to_numpy()
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _strings(column: pa.ChunkedArray) -> list[str]:
    strings: list[str] = pc.fill_null(column.cast(pa.string()), "").to_numpy().tolist()
    return strings


def _labels(column: pa.ChunkedArray, names: tuple[str, ...], *, indices: bool) -> npt.NDArray[np.int64]:
    """Turn label names into indices; integers are indices already where the order of the classes was given."""
    if indices and pa.types.is_integer(column.type) and not column.null_count:
        return _check_range(column.to_numpy().astype(np.int64), names)
    given = column.cast(pa.string())
    found = pc.index_in(given, value_set=pa.array(names, pa.string()))
    if not found.null_count:
        index: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64)
        return index
    as_index = pc.all(pc.match_substring_regex(given, "^[0-9]+$"), skip_nulls=False).as_py()
    if indices and as_index:
        return _check_range(given.cast(pa.int64()).to_numpy(), names)
    bad = np.flatnonzero(found.is_null().to_numpy())
    hint = "; labels that are indices need --columns, which says their order" if as_index else ""
    raise InputError(
        f"{rows(bad)} (counted from 0): expected a label among {list(names)}, got {given[int(bad[0])].as_py()!r}{hint}."
    )


def _check_range(labels: npt.NDArray[np.int64], names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    bad = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(bad):
        raise InputError(f"{rows(bad)} (counted from 0): expected a label in [0, {len(names)}), got {labels[bad[0]]}.")
    return labels


def _are_probabilities(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Return for each row whether it lies on the simplex, within rounding."""
    off = np.abs(scores.sum(axis=1, dtype=np.float64) - 1)
    on_simplex: npt.NDArray[np.bool_] = (off <= SUM_TOLERANCE) & (scores.min(axis=1) >= 0)
    return on_simplex


def _check_logits(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Refuse probabilities under the name of logits: each row on the simplex, and more than zeros and ones."""
    plausible = len(scores) > 0 and _are_probabilities(scores[:100]).all()
    if plausible and _are_probabilities(scores).all() and ((scores > 0) & (scores < 1)).any():
        raise InputError(
            "expected logits, got rows that all sum to 1; if they are probabilities, use --from probabilities."
        )
    return scores


def _log(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Turn probabilities into logits; a 0 becomes the smallest step of the number type, as scikit-learn's log_loss."""
    bad = np.flatnonzero(~_are_probabilities(scores))
    if len(bad):
        total = scores[bad[0]].sum(dtype=np.float64)
        hint = "; these look like logits: leave out --from" if scores.size and (scores.min() < 0) else ""
        raise InputError(
            f"{rows(bad)} (counted from 0): expected probabilities in [0, 1] that sum to 1, got a sum of "
            f"{total:.6g} and values from {scores[bad[0]].min():.6g} to {scores[bad[0]].max():.6g}{hint}."
        )
    floor = np.finfo(scores.dtype).eps
    raised = int((scores < floor).sum())
    log.warning(
        "Probabilities instead of logits: the energy score is lost, and %s values of (nearly) 0 count as %.1e.",
        f"{raised:,}", floor,
    )  # fmt: skip
    logits: npt.NDArray[np.floating] = np.log(np.maximum(scores, floor))
    return logits


def _wanted(name: str, columns: Sequence[str]) -> bool:
    return name in (*_TEXT_COLUMNS, "prediction", *columns) or name.startswith((LOGIT, PROBABILITY))


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read([name for name in file.schema_arrow.names if _wanted(name, columns)])


def _read_csv(path: Path, columns: Sequence[str]) -> pa.Table:
    parse = pyarrow.csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True)
    with pyarrow.csv.open_csv(path, parse_options=parse) as header:
        names = header.schema.names
    types = {name: pa.string() if name in _TEXT_COLUMNS else pa.float64() for name in names if _wanted(name, columns)}
    types["prediction"] = pa.string()
    options = pyarrow.csv.ConvertOptions(column_types=types)
    return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=options)


def _read_jsonl(path: Path, columns: Sequence[str]) -> pa.Table:
    table = pyarrow.json.read_json(path)
    dates = [name for name in table.column_names if pa.types.is_timestamp(table[name].type)]
    if dates:  # texts and names that look like dates: read them once more, as they stand there
        schema = pa.schema([(name, pa.string()) for name in dates])
        table = pyarrow.json.read_json(path, parse_options=pyarrow.json.ParseOptions(explicit_schema=schema))
    return table.select([name for name in table.column_names if _wanted(name, columns)])


def _read_npz(path: Path, columns: Sequence[str]) -> pa.Table:
    if not zipfile.is_zipfile(path):
        raise InputError("expected what numpy.savez wrote, got another kind of file.")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if _wanted(name, columns)}
    wrong = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()
             if array.ndim != 1 or array.dtype.kind == "V"}  # fmt: skip
    if wrong:
        raise InputError(f"expected 1-D arrays of numbers or strings, one a class, got {wrong}.")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"expected arrays of one length, got {lengths}.")
    return pa.table(arrays)


_READERS = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".npz": _read_npz,
}
