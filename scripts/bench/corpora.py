"""The texts that are measured on, as folders that every contender reads: parquet with columns text and label."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness import Call, Result

if TYPE_CHECKING:
    import pandas as pd

STAND_INS = {"trec": "packaged:tweets", "sst2": "packaged:tweets", "imdb": "packaged:bbc"}
"""The corpora, and the packaged one that is read where the folder of one is missing."""
MAX_LENGTH = {"trec": 64, "sst2": 64, "imdb": 256}
"""Tokens at which their texts are cut."""
_EVALUATED = 4
"""Validation texts of a folder for timing: the fewest, for an evaluation is no training."""


def source_of(name: str, data: Path) -> str:
    """Return the folder of a corpus below `data`, or the packaged corpus that stands in for it."""
    return str(data / name) if (data / name / "train.parquet").is_file() else STAND_INS[name]


def subset(source: str, count: int, folder: Path, call: Call) -> str:
    """Return a folder with `count` training texts, drawn with a fixed seed, and next to nothing to validate on.

    It is written by a process of its own: a small parent keeps its children's peaks of memory their own.
    """
    held_out = {"validation": _EVALUATED, "test": 0}
    call("corpora", "write", threads=1, source=source, folder=str(folder), train=count, **held_out)
    return str(folder)


def whole(source: str, folder: Path, call: Call) -> str:
    """Return a folder with all training texts, a tenth of them to validate on, and the whole test split."""
    everything = {"train": None, "validation": None, "test": None}
    call("corpora", "write", threads=1, source=source, folder=str(folder), **everything)
    return str(folder)


def write(source: str, folder: str, train: int | None, validation: int | None, test: int | None) -> Result:
    """Write so many texts of each split; None is all, and for validation a tenth of train."""
    import numpy as np

    rows, tested = _read(source)
    rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    held_out = len(rows) // 10 if validation is None else validation
    parts = {"train": rows[held_out:][:train], "validation": rows[:held_out], "test": tested[:test]}
    known = parts["train"]["label"].unique()
    Path(folder).mkdir(parents=True)
    for split in [split for split, part in parts.items() if len(part)]:
        rows = parts[split][parts[split]["label"].isin(known)]
        rows.to_parquet(Path(folder, f"{split}.parquet"), index=False)
    return {}


def _read(source: str) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return the training and the test texts, their labels as whole numbers."""
    import numpy as np
    import pandas as pd

    from textmix.data.corpora import read_corpus

    if not source.startswith("packaged:"):
        train, test = (pd.read_parquet(Path(source, f"{split}.parquet")) for split in ("train", "test"))
        return train[["text", "label"]], test[["text", "label"]]
    rows = read_corpus(source).columns.to_pandas()[["text", "label"]]
    rows["label"] = rows["label"].astype("category").cat.codes.astype("int64")
    rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    return rows[len(rows) // 10 :], rows[: len(rows) // 10]
