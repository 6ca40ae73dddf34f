"""From a configuration to splits: who trains, who chooses, who reports, and what was found on the way."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from textmix.config import Config, DataConfig
from textmix.data.batching import Examples
from textmix.data.divide import complete, labelled_parts
from textmix.data.parts import Part
from textmix.data.readers import Wanted
from textmix.data.sources import WHOLE, read_source
from textmix.data.text import TextExamples, text_examples
from textmix.data.vocabulary import load_tokenizer
from textmix.errors import InputError
from textmix.predictions.core import UNLABELLED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The examples of a run.

    `test` is None where the source has none, `label_names` are the C class names in the order of the class indices,
    `processor` (a tokenizer, or an image processor) is what is saved beside the model, and `notes` are counts that a
    reader of the results should know.
    """

    train: Examples
    validation: Examples
    test: Examples | None
    label_names: tuple[str, ...]
    processor: Any
    notes: dict[str, int]

    @property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """Training examples of each class (C,)."""
        return np.bincount(self.train.labels, minlength=len(self.label_names)).astype(np.int64)


def load_text_splits(config: Config) -> Splits:
    """Read the source, divide it, and turn its texts into tokens.

    :raises InputError: the source is missing or holds what can't be trained on.
    """
    data = config.data
    wanted = Wanted(data.text_column, data.text_pair_column, data.label_column, data.encoding)
    parts, names = labelled_parts(read_source(data.path, data, wanted))
    parts, notes = _divide(parts, data)
    notes |= _count_shared(parts) | _count_absent(parts, names)
    tokenizer = load_tokenizer(config, parts["train"])
    splits = {role: text_examples(part, tokenizer, data.max_length) for role, part in parts.items()}
    notes |= {f"truncated_{role}": int(examples.truncated.sum()) for role, examples in splits.items()}
    _tell(notes, parts)
    return Splits(splits["train"], splits["validation"], splits.get("test"), names, tokenizer, notes)


def load_texts(path: str, config: Config, tokenizer: PreTrainedTokenizerBase) -> TextExamples:
    """Read texts that lie outside the classes, from any source that `data.path` could name; every label is -1.

    Of a source with splits the test split is taken, else the training split; of a packaged corpus the tenth that a run
    on it would test with.

    :raises InputError: the source is missing or has no such texts.
    """
    data = config.data
    wanted = Wanted(data.text_column, data.text_pair_column, None, data.encoding)
    tables = read_source(path, data, wanted)
    if WHOLE in tables:
        part = labelled_parts(tables)[0]["test"]
    else:
        table = tables["test"] if "test" in tables else tables["train"]
        part = Part(table, np.arange(len(table)), np.empty(len(table), np.int64))
    return text_examples(replace(part, labels=np.full(len(part), UNLABELLED)), tokenizer, data.max_length)


def _divide(parts: dict[str, Part], data: DataConfig) -> tuple[dict[str, Part], dict[str, int]]:
    """Return the three splits, or two without a test split, and how many blank texts each had.

    A blank training text is left out, for nothing can be learnt from it; elsewhere it stays, as in use.
    """
    blank = {role: part.blank() for role, part in parts.items()}
    train = parts["train"].where(~blank["train"])
    if len(train) == 0:
        raise InputError(f"{train.table.name}: expected texts in column {data.text_column!r}, got only empty ones.")
    parts = complete(parts | {"train": train}, data)
    return parts, {f"blank_{role}": int(mask.sum()) for role, mask in blank.items() if role in parts}


def _count_shared(parts: dict[str, Part]) -> dict[str, int]:
    """Count the texts that are, letter by letter, in an earlier split: train, then validation, then test."""
    hashes = {role: parts[role].hashes() for role in ("train", "validation", "test") if role in parts}
    seen, notes = hashes.pop("train"), {}
    for role, own in hashes.items():
        notes[f"shared_{role}"] = int(np.isin(own, seen).sum())
        seen = np.concatenate([seen, own])
    return notes


def _count_absent(parts: dict[str, Part], names: tuple[str, ...]) -> dict[str, int]:
    return {f"absent_classes_{role}": len(names) - len(np.unique(part.labels)) for role, part in parts.items()}


_TOLD = {
    "blank": "{count} texts of {split} are empty (empty training texts are left out)",
    "shared": "{count} of the {size} texts of {split} are also among the texts trained or selected on",
    "absent_classes": "{count} classes have no example in {split}",
    "truncated": "{count} of the {size} texts of {split} are longer than data.max_length and were cut",
}


def _tell(notes: dict[str, int], parts: dict[str, Part]) -> None:
    for note, count in notes.items():
        kind, split = note.rsplit("_", 1)
        if count:
            log.warning("%s", _TOLD[kind].format(count=count, split=split, size=len(parts[split])))
