"""From a configuration to splits: who trains, who chooses, who reports, and what was found on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from textmix.config import Config, DataConfig
from textmix.data.batching import Examples
from textmix.data.divide import complete, labelled_parts, outside_part
from textmix.data.notes import count_absent, count_shared, tell
from textmix.data.parts import Part
from textmix.data.readers import Wanted
from textmix.data.sources import read_source
from textmix.data.text import TextExamples, text_examples
from textmix.data.vocabulary import load_tokenizer
from textmix.errors import InputError


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
    notes |= count_shared({role: part.hashes() for role, part in parts.items()}) | count_absent(parts, names)
    tokenizer = load_tokenizer(config, parts["train"])
    splits = {role: text_examples(part, tokenizer, data.max_length) for role, part in parts.items()}
    notes |= {f"truncated_{role}": int(examples.truncated.sum()) for role, examples in splits.items()}
    tell(notes, parts)
    return Splits(splits["train"], splits["validation"], splits.get("test"), names, tokenizer, notes)


def load_texts(path: str, config: Config, tokenizer: PreTrainedTokenizerBase) -> TextExamples:
    """Read texts that lie outside the classes, from any source that `data.path` could name; every label is -1.

    Of a source with splits the test split is taken, else the training split; of a packaged corpus the tenth that a run
    on it would test with.

    :raises InputError: the source is missing or has no such texts.
    """
    data = config.data
    wanted = Wanted(data.text_column, data.text_pair_column, None, data.encoding)
    return text_examples(outside_part(read_source(path, data, wanted)), tokenizer, data.max_length)


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
