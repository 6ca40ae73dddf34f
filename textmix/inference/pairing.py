"""Predictions of several models on the same examples, brought into the same order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from textmix.errors import InputError
from textmix.predictions import Predictions


def align(runs: Sequence[Predictions]) -> list[Predictions]:
    """Return the predictions in the order of the first; each keeps its own order of classes.

    :raises InputError: their ids or true labels differ.
    """
    first = runs[0]
    place = {identifier: row for row, identifier in enumerate(first.ids)}
    aligned = [first]
    for number, run in enumerate(runs[1:], start=2):
        ordered = run if list(run.ids) == list(first.ids) else _reorder(run, place, number)
        _check_labels(first, ordered, number)
        aligned.append(ordered)
    return aligned


def _reorder(run: Predictions, place: dict[str, int], number: int) -> Predictions:
    stray = [identifier for identifier in run.ids if identifier not in place]
    if stray or len(run.ids) != len(place):
        detail = f"id {stray[0]!r} is not in the first" if stray else f"it has {len(run.ids)} ids, not {len(place)}"
        raise InputError(
            f"compare: expected predictions on the same examples, got other ids in number {number}: {detail}; predict "
            "both models on the same file."
        )
    rows: npt.NDArray[np.int64] = np.empty(len(place), dtype=np.int64)
    rows[[place[identifier] for identifier in run.ids]] = np.arange(len(place))
    return replace(
        run,
        logits=run.logits[rows],
        labels=run.labels[rows],
        ids=[run.ids[row] for row in rows],
        texts=None if run.texts is None else [run.texts[row] for row in rows],
    )


def _check_labels(first: Predictions, run: Predictions, number: int) -> None:
    index = {name: k for k, name in enumerate(first.label_names)}
    as_first = np.array([index.get(name, -1) for name in run.label_names])
    differs = np.flatnonzero(as_first[run.labels] != first.labels)
    if len(differs):
        row = differs[0]
        raise InputError(
            f"compare: expected the same true labels, got {len(differs)} that differ in number {number}: id "
            f"{run.ids[row]!r} is {first.label_names[first.labels[row]]!r} in the first and "
            f"{run.label_names[run.labels[row]]!r} there."
        )
