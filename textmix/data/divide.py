"""From tables to splits: class indices, a validation split where there is none, and fewer training rows on request."""

import logging
from dataclasses import replace

import numpy as np

from textmix.config import DataConfig
from textmix.data.labels import check_labelled, class_indices, class_names, unlabelled
from textmix.data.parts import Part
from textmix.data.sources import WHOLE
from textmix.data.stratified import stratified
from textmix.data.tables import Table
from textmix.errors import InputError
from textmix.predictions.core import UNLABELLED

log = logging.getLogger(__name__)

CORPUS_SEED = 13
"""Seed of the fixed 80/10/10 division of packaged corpora."""


def labelled_parts(tables: dict[str, Table]) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Return the rows of every table with their class indices, and the class names.

    The one table of a packaged corpus becomes three splits; a test split whose labels are all withheld, as benchmarks
    do, is left out.

    :raises InputError: labels are missing, unknown, or no classes.
    """
    for role in ("train", WHOLE):
        if role in tables:
            check_labelled(tables[role].columns["label"], tables[role].name)
    if "test" in tables and unlabelled(tables["test"].columns["label"]).all():
        log.warning("%s: all labels are withheld, so there will be no test metrics", tables["test"].name)
        tables = {role: table for role, table in tables.items() if role != "test"}
    source = tables[WHOLE] if WHOLE in tables else tables["train"]
    names = class_names(source.columns["label"], source.label_names, source.name)
    parts = {
        role: Part(table, np.arange(len(table)), class_indices(table.columns["label"], names, table.name))
        for role, table in tables.items()
    }
    return corpus_parts(parts[WHOLE]) if WHOLE in parts else parts, names


def outside_part(tables: dict[str, Table]) -> Part:
    """Return the rows of a source that lie outside the classes: its test split where there is one, else its training
    split; of a packaged corpus the tenth that a run on it would test with. Every label is -1.
    """
    if WHOLE in tables:
        part = labelled_parts(tables)[0]["test"]
        return replace(part, labels=np.full(len(part), UNLABELLED))
    table = tables["test"] if "test" in tables else tables["train"]
    return Part(table, np.arange(len(table)), np.full(len(table), UNLABELLED))


def corpus_parts(whole: Part) -> dict[str, Part]:
    """Divide a corpus, always alike, into 80 % train, 10 % validation and 10 % test with the same shares of classes."""
    tenth = round(len(whole) / 10)
    test = stratified(whole.labels, tenth, CORPUS_SEED, keep_one=True)
    rest = whole.where(~test)
    validation = stratified(rest.labels, tenth, CORPUS_SEED, keep_one=True)
    return {"train": rest.where(~validation), "validation": rest.where(validation), "test": whole.where(test)}


def complete(parts: dict[str, Part], data: DataConfig) -> dict[str, Part]:
    """Take validation from train where it is missing, then leave as many training rows as `data` asks for, and no test
    rows where it names no test split.

    :raises InputError: train has too few rows for that.
    """
    train = parts["train"]
    validation, train = (parts["validation"], train) if "validation" in parts else _cut(train, data)
    if data.train_examples is not None:
        if data.train_examples > len(train):
            raise InputError(
                f"data.train_examples: expected at most the {len(train)} there are, got {data.train_examples}."
            )
        train = train.where(stratified(train.labels, data.train_examples, data.split_seed, keep_one=False))
    kept = {role: part for role, part in parts.items() if role != "test" or data.test_split is not None}
    return kept | {"train": train, "validation": validation}


def _cut(train: Part, data: DataConfig) -> tuple[Part, Part]:
    """Divide into validation and what remains of train."""
    count = max(1, round(len(train) * data.validation_fraction))
    chosen = stratified(train.labels, count, data.split_seed, keep_one=True)
    if not chosen.any():
        raise InputError(
            f"{train.table.name}: expected a class of two rows or more to take validation from, got none; "
            "give a validation split."
        )
    return train.where(chosen), train.where(~chosen)
