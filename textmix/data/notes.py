"""What was noticed while splits were read: counts that a reader of the results should know, and warnings of them."""

import logging
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from textmix.data.parts import Part

log = logging.getLogger(__name__)

_TOLD = {
    "corrupt": "{count} images of {split} can't be read and were left out",
    "blank": "{count} texts of {split} are empty (empty training texts are left out)",
    "shared": "{count} of the {size} examples of {split} are also among those trained or selected on",
    "absent_classes": "{count} classes have no example in {split}",
    "truncated": "{count} of the {size} texts of {split} are longer than data.max_length and were cut",
}


def count_shared(hashes: Mapping[str, npt.NDArray[np.uint64]]) -> dict[str, int]:
    """Count the examples that are, byte by byte, in an earlier split: train, then validation, then test.

    :param hashes: split -> 64 bits for each example, the same only for the same example.
    """
    seen, notes = hashes["train"], {}
    for role in ("validation", "test"):
        if role in hashes:
            notes[f"shared_{role}"] = int(np.isin(hashes[role], seen).sum())
            seen = np.concatenate([seen, hashes[role]])
    return notes


def count_absent(parts: Mapping[str, Part], names: tuple[str, ...]) -> dict[str, int]:
    """Count the classes that a split has no example of."""
    return {f"absent_classes_{role}": len(names) - len(np.unique(part.labels)) for role, part in parts.items()}


def tell(notes: Mapping[str, int], parts: Mapping[str, Part]) -> None:
    """Warn of every count that is not 0."""
    for note, count in notes.items():
        kind, split = note.rsplit("_", 1)
        if count:
            log.warning("%s", _TOLD[kind].format(count=count, split=split, size=len(parts[split])))
