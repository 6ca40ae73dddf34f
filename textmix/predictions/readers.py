"""Files of predictions, ours or anyone's: parquet, csv, tsv, jsonl and npz with `label` and one column a class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from textmix.errors import InputError, naming
from textmix.files import check_file
from textmix.predictions.core import LOGIT, UNLABELLED, Predictions, rows, some
from textmix.predictions.tables import PROBABILITY, read_table

log = logging.getLogger(__name__)

SUM_TOLERANCE = 2e-3
"""How far the sum of a row of probabilities may be from 1: half precision, or three printed decimals."""

Source = Literal["logits", "probabilities"]

_PREFIX: dict[Source, str] = {"logits": LOGIT, "probabilities": PROBABILITY}


def load(path: Path, *, source: Source = "logits", columns: Sequence[str] = (), labelled: bool = True) -> Predictions:
    """Read predictions, matching columns by name.

    :param source: what the class columns hold. Probabilities become logits by their logarithm, which keeps everything
        but the energy score and what rounding to 0 and 1 has already destroyed.
    :param columns: the columns of the classes, where they are not all those called `logit_<name>` (or `prob_<name>`).
        Their order is then the order of the classes, so that labels may be indices into it.
    :param labelled: false for a set outside the classes; a `label` column is then not read.
    :raises InputError: the file can't be read, lacks a column, or holds rows that are no predictions.
    """
    check_file(path, "a file of predictions")
    with naming(path):
        return _predictions(read_table(path, columns), source, columns, labelled=labelled)


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
    ids = _texts(table["id"], "id") if "id" in table.column_names else [str(row) for row in range(len(table))]
    texts = _texts(table["text"], "text") if "text" in table.column_names else None
    return Predictions(logits, labels, names, ids, texts)


def _check_columns(present: Sequence[str], chosen: Sequence[str], source: Source, *, labelled: bool) -> None:
    repeated = sorted({name for name in present if present.count(name) > 1})
    if repeated:
        raise InputError(f"expected every column once, got {repeated} more than once.")
    again = sorted({name for name in chosen if chosen.count(name) > 1})
    if again:
        raise InputError(f"expected the column of every class once, got {again} more than once in --columns.")
    missing = [name for name in chosen if name not in present]
    if missing:
        raise InputError(f"expected the class columns {list(chosen)}, got no {missing}; there are {list(present)}.")
    if labelled and "label" not in present:
        hint = "; its `prediction` is the model's answer and no true label" if "prediction" in present else ""
        if len(present) == 1 and any(mark in present[0] for mark in "\t;,"):
            hint = "; the fields seem to be separated otherwise: a csv file needs commas, a tsv file tabs"
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


def _texts(column: pa.ChunkedArray, name: str) -> list[str]:
    strings: list[str] = pc.fill_null(_strings(column, name), "").to_numpy().tolist()
    return strings


def _strings(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except pa.ArrowNotImplementedError as error:  # lists and the like
        raise InputError(f"expected text in column {name!r}, got {column.type}; write it as text.") from error
    except pa.ArrowInvalid as error:
        raise InputError(f"expected text in column {name!r}, got bytes that are no UTF-8; convert them.") from error


def _labels(column: pa.ChunkedArray, names: tuple[str, ...], *, indices: bool) -> npt.NDArray[np.int64]:
    """Turn label names into indices; digits that are no names are indices where the order of the classes was given."""
    given = _strings(column, "label")
    found = pc.index_in(given, value_set=pa.array(names, pa.string()))
    if not found.null_count:
        index: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64)
        return index
    as_index = pc.all(pc.match_substring_regex(given, "^[0-9]{1,300}$"), skip_nulls=False).as_py()
    if indices and as_index:
        return _check_range(np.array([int(digits) for digits in given.to_pylist()]), names)
    bad = np.flatnonzero(found.is_null().to_numpy())
    hint = "; labels that are indices need --columns, which says their order" if as_index else ""
    raise InputError(
        f"{rows(bad)} (counted from 0): expected a label among {some(names)}, got {given[int(bad[0])].as_py()!r}{hint}."
    )


def _check_range(labels: npt.NDArray[Any], names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    bad = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(bad):
        raise InputError(f"{rows(bad)} (counted from 0): expected a label in [0, {len(names)}), got {labels[bad[0]]}.")
    return labels.astype(np.int64)


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
