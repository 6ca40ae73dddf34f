"""The record itself: its invariants, how it is written, how two of them are matched."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from textmix.errors import InputError
from textmix.files import replacing

LOGIT = "logit_"
"""Prefix of the columns that hold logits, followed by the label's name."""
UNLABELLED = -1
"""Label of every example of a set that lies outside the classes (out of distribution)."""
OOD_PREFIX = "ood_"
"""Prefix of the names of files with predictions on such sets."""


@dataclass(frozen=True)
class Predictions:
    """What a model said about N examples.

    `logits` is float32 or float64 (N, C), `labels` int64 (N,) with values in [0, C), or all -1 for a set that has no
    labels among the classes, `label_names` the C names in the order of the columns, `ids` N unique strings, `texts`
    the N inputs where there is a readable one.

    :raises InputError: shapes disagree, N is 0, a logit is not finite, a label out of range, a name or an id twice.
    """

    logits: npt.NDArray[np.floating]
    labels: npt.NDArray[np.int64]
    label_names: tuple[str, ...]
    ids: Sequence[str]
    texts: Sequence[str] | None = None

    def __post_init__(self) -> None:
        n, c = len(self.labels), len(self.label_names)
        if n == 0:
            raise InputError("expected at least one example, got none.")
        per_row = {len(self.ids), n if self.texts is None else len(self.texts)}
        if self.logits.shape != (n, c) or per_row != {n}:
            raise InputError(
                f"expected logits (N, C), C label names and N labels, ids and texts, got logits {self.logits.shape}, "
                f"{c} names, {n} labels and {sorted(per_row)} ids or texts."
            )
        if c < 2:
            raise InputError(f"expected at least two classes, got {list(self.label_names)}.")
        _check_finite(self.logits)
        if not (self.labels.min() >= 0 and self.labels.max() < c) and self.labelled:
            row = int(np.flatnonzero((self.labels < 0) | (self.labels >= c))[0])
            raise InputError(f"row {row}: expected a label in [0, {c}), got {self.labels[row]}.")
        _check_unique(self.label_names, "label name")
        _check_unique(self.ids, "id")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> bool:
        """Whether the true labels are known."""
        return bool((self.labels != UNLABELLED).any())


def rows(index: npt.NDArray[np.intp]) -> str:
    """Name rows in an error: the first five, and how many more."""
    shown = ", ".join(str(i) for i in index[:5])
    return f"{'row' if len(index) == 1 else 'rows'} {shown}{_more(len(index))}"


def some(names: Sequence[str]) -> str:
    """List names in an error: the first five, and how many more."""
    return f"{list(names[:5])}{_more(len(names))}"


def _more(count: int) -> str:
    return f" and {count - 5:,} more" if count > 5 else ""


def _check_finite(logits: npt.NDArray[np.floating]) -> None:
    if np.isfinite(logits).all():
        return
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    raise InputError(f"{rows(bad)} (counted from 0): expected finite logits, got nan, inf or nothing.")


def _check_unique(names: Sequence[str], what: str) -> None:
    if len(set(names)) == len(names):
        return
    name, count = Counter(names).most_common(1)[0]
    raise InputError(f"expected every {what} once, got {name!r} {count} times.")


def save(predictions: Predictions, path: Path) -> None:
    """Write `predictions` as parquet: `id`, `label` (the true label's name), one `logit_<name>` a class, `text`."""
    names = pa.array(predictions.label_names, pa.string())
    known = pa.array(predictions.labels, mask=predictions.labels == UNLABELLED)
    columns: dict[str, object] = {"id": pa.array(predictions.ids, pa.string()), "label": names.take(known)}
    for k, name in enumerate(predictions.label_names):
        columns[LOGIT + name] = predictions.logits[:, k]
    if predictions.texts is not None:
        columns["text"] = pa.array(predictions.texts, pa.string())
    with replacing(path) as part:
        pq.write_table(pa.table(columns), part)


def aligned(predictions: Predictions, label_names: tuple[str, ...]) -> Predictions:
    """Put the classes in the order of `label_names`: columns are matched by name, never by place.

    :raises InputError: the two have different classes.
    """
    if predictions.label_names == label_names:
        return predictions
    missing = sorted(set(label_names) - set(predictions.label_names))
    extra = sorted(set(predictions.label_names) - set(label_names))
    if missing or extra:
        raise InputError(
            f"expected the classes {some(label_names)}, got {some(missing)} missing and {some(extra)} besides."
        )
    order = [predictions.label_names.index(name) for name in label_names]
    place = np.argsort(order)
    labels = place[predictions.labels] if predictions.labelled else predictions.labels
    return replace(predictions, logits=predictions.logits[:, order], labels=labels, label_names=label_names)
