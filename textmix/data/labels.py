"""Labels: from what a source holds to class names, and from names to class indices."""

import re
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from textmix.errors import InputError
from textmix.predictions.core import UNLABELLED, rows
from textmix.predictions.tables import first_line

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

_ONE_CLASS_EACH = "this trains classifiers that give each example one class"


def label_strings(labels: pa.Array, names: tuple[str, ...] | None, where: str) -> pa.Array:
    """Return a column of labels as class names: strings as they are, whole numbers in digits, null where none is given.

    :param names: the names a source declares for its class indices; -1 then stands for a hidden label.
    :raises InputError: the labels are numbers of a regression, lists of a multi-label set, or indices without a name.
    """
    kind = labels.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        raise InputError(
            f"{where}: expected class names or whole numbers, got labels of type {kind}: regression is not supported, "
            f"{_ONE_CLASS_EACH} (a missing label also makes many programs write floats)."
        )
    if pa.types.is_nested(kind):
        raise InputError(
            f"{where}: expected class names or whole numbers, got lists ({kind}): multi-label sets are not supported, "
            f"{_ONE_CLASS_EACH}."
        )
    try:
        if names is None:
            return labels.cast(pa.string())
        indices = labels.cast(pa.int64())
    except pa.ArrowException as error:
        raise InputError(
            f"{where}: expected class names or whole numbers, got {kind}: {first_line(error)}; write names as text."
        ) from error
    indices = pc.if_else(pc.equal(indices, UNLABELLED), None, indices)
    given = indices.drop_null().to_numpy()
    wrong = given[(given < 0) | (given >= len(names))]
    if wrong.size:
        raise InputError(f"{where}: expected labels in [0, {len(names)}), for which it has names, got {wrong[0]}.")
    return pa.array(names, pa.string()).take(indices)


def class_names(labels: pa.ChunkedArray, declared: tuple[str, ...] | None, where: str) -> tuple[str, ...]:
    """Return the names of the classes: as declared, else those of the training labels in order, numbers by value.

    :param labels: the training labels as :func:`label_strings` gives them, none missing.
    :raises InputError: there are fewer than two, or they are no class names.
    """
    found = pc.unique(labels).to_pylist()
    if len(found) < 2:
        raise InputError(f"{where}: expected at least two classes, got only {found}.")
    if declared is not None:
        return declared
    if all(_INTEGER.fullmatch(name) for name in found):
        return tuple(sorted(found, key=lambda name: (Decimal(name), name)))
    if all(_DECIMAL.fullmatch(name) for name in found):
        raise InputError(
            f"{where}: expected class names or whole numbers, got decimal numbers such as {found[0]!r}: regression is "
            f"not supported, {_ONE_CLASS_EACH}."
        )
    if all(name.startswith("[") and name.endswith("]") for name in found):
        raise InputError(
            f"{where}: expected class names or whole numbers, got lists such as {found[0]!r}: multi-label sets are not "
            f"supported, {_ONE_CLASS_EACH}."
        )
    return tuple(sorted(found))


def class_indices(labels: pa.ChunkedArray, names: tuple[str, ...], where: str) -> npt.NDArray[np.int64]:
    """Return the place of every label in `names`, int64 (N,).

    :raises InputError: a row has no label, or one that the training split does not have.
    """
    check_labelled(labels, where)
    indices = pc.fill_null(pc.index_in(labels, pa.array(names, pa.string())), UNLABELLED)
    result: npt.NDArray[np.int64] = indices.to_numpy().astype(np.int64)
    unknown = np.flatnonzero(result == UNLABELLED)
    if unknown.size:
        label = labels[int(unknown[0])].as_py()
        raise InputError(
            f"{where}: {rows(unknown)} (counted from 0): expected a label of the training split, got {label!r}; "
            "add training rows with it or remove these."
        )
    return result


def check_labelled(labels: pa.ChunkedArray, where: str) -> None:
    """Refuse rows without a label.

    :raises InputError: there is such a row.
    """
    absent = np.flatnonzero(unlabelled(labels))
    if absent.size:
        raise InputError(
            f"{where}: {rows(absent)} (counted from 0): expected a label, got none; fill it in or remove the row."
        )


def unlabelled(labels: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return for each row whether it has no label, or an empty one."""
    empty: npt.NDArray[np.bool_] = pc.equal(pc.fill_null(labels, ""), "").to_numpy()
    return empty
