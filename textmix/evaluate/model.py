"""Measure a text classifier that somebody trained, here or elsewhere, on labelled examples."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from textmix.config import PACKAGED, Config, EvalConfig, ModelConfig
from textmix.data import TextExamples, load_splits
from textmix.data.labels import check_labelled
from textmix.data.parts import Part
from textmix.data.readers import Wanted
from textmix.data.sources import read_source
from textmix.data.tables import Table
from textmix.data.text import text_examples
from textmix.engine import predict
from textmix.engine.launch import start_predicting
from textmix.errors import InputError
from textmix.evaluate.file import Evaluation, check_folder, measure
from textmix.files import local_path
from textmix.models.limits import check_tokens
from textmix.options import EvaluateModelConfig
from textmix.predict import Classifier, load_classifier
from textmix.predictions import Predictions, save
from textmix.report import Material

logger = logging.getLogger(__name__)

_PREDICTIONS = "predictions.parquet"
_NUMBERED = re.compile(r"label_(\d+)|(\d+)")
"""Labels that say no more than their number: LABEL_2, or 2."""


def evaluate_model(config: EvaluateModelConfig) -> Evaluation:
    """Measure ``config.model`` on a split and write its predictions, the summary, the report and the card.

    :raises InputError: the model or the data can't be used, or they don't have the same labels.
    """
    name = f"{_name(config.model, 'model')}-on-{_name(config.data.path.removeprefix(PACKAGED), '')}"
    folder = local_path(config.output_dir) if config.output_dir is not None else Path(f"{name}-report")
    check_folder(folder, _PREDICTIONS)
    accelerator = start_predicting(config.threads)
    classifier = load_classifier(config.model)
    sets: dict[str, Predictions] = {}
    facts: dict[str, object] = {"model": config.model, "data": config.data.path, "split": config.split}
    model = classifier.model.to(accelerator.device)
    for split in (config.split, config.calibrate_split):
        if split is not None:
            examples = _labelled_examples(config, split, classifier)
            check_tokens(model, classifier.tokenizer, examples)
            facts[f"truncated_{split}"] = _count_truncated(examples, split, config.data.max_length)
            if len(examples) < 2:
                raise InputError(f"{config.data.path}: expected at least two examples in {split}, got {len(examples)}.")
            sets[split] = predict(accelerator, model, examples, classifier.label_names, config.batch_size)
    validation = None if config.calibrate_split is None else sets[config.calibrate_split]
    sources = (f"{config.data.path}[{config.split}]", f"{config.data.path}[{config.calibrate_split}]")
    material = Material(name, {}, sets[config.split], validation)
    options = EvalConfig(bins=config.bins, resamples=config.resamples)
    done = measure(material, sources, facts, options, folder, seed=config.seed)
    save(sets[config.split], folder / _PREDICTIONS)
    return done


def map_labels(
    found: Sequence[str], names: Sequence[str], label_map: Mapping[str, str], declared: Sequence[str] = ()
) -> list[int]:
    """Return for each label of the data the index of the model's label that it means.

    A label is looked up in `label_map`, and then among the model's `names`, whatever their case. Where none is found
    among them and the names of either side are mere numbers (LABEL_2, 2), the number is the index.

    >>> map_labels(["spam", "ham"], ["HAM", "SPAM"], {})
    [1, 0]
    >>> map_labels(["1", "0"], ["LABEL_0", "LABEL_1"], {})
    [1, 0]
    >>> map_labels(["good"], ["bad", "fine"], {"good": "fine"})
    [1]

    :param found: the labels of the data. :param names: those of the model, in the order of its logits.
    :param declared: all labels of the data in the order of their indices, where it says so.
    :raises InputError: a label means none of the model's, or the same as another one that `label_map` does not name.
    """
    unknown = sorted(set(label_map) - {*found, *declared}) or sorted(set(label_map.values()) - set(names))
    if unknown:
        raise InputError(
            f"label_map: expected labels of the data ({', '.join(found)}) as keys and of the model "
            f"({', '.join(names)}) as values, got {unknown[0]!r}."
        )
    indices = _by_name([*found, *declared], names, label_map)
    if indices.keys() <= label_map.keys():
        # Names may be numbers counted from 1: a label is an index only where none is a name.
        indices = _by_number(found, names, declared) | indices
    meant: dict[int, str] = {}
    for label in found:
        index = indices.get(label, -1)
        if not 0 <= index < len(names):
            raise InputError(
                f"label_map: expected an entry for the label {label!r} of the data, which the model does not have; its "
                f"labels are {', '.join(names)}."
            )
        if label not in label_map and meant.setdefault(index, label).casefold() != label.casefold():
            raise InputError(
                f"label_map: expected entries for the labels {meant[index]!r} and {label!r} of the data, which both "
                f"mean {names[index]!r} of the model."
            )
    return [indices[label] for label in found]


def _by_name(labels: Sequence[str], names: Sequence[str], label_map: Mapping[str, str]) -> dict[str, int]:
    """Return the indices of the labels that are names of the model, as they are or but for their case."""
    exactly, folded = ({spelt(name): k for k, name in enumerate(names)} for spelt in (str, str.casefold))
    wanted = {label: label_map.get(label, label) for label in labels}
    indices = {label: exactly.get(name, folded.get(name.casefold())) for label, name in wanted.items()}
    return {label: index for label, index in indices.items() if index is not None}


def _by_number(labels: Sequence[str], names: Sequence[str], declared: Sequence[str]) -> dict[str, int]:
    """Return the number of each label that is one; where the model has only numbers, the place in `declared` first."""
    numbers = {label: _NUMBERED.fullmatch(label.casefold()) for label in labels}
    indices = {label: int(number[1] or number[2]) for label, number in numbers.items() if number}
    only_numbers = all(_NUMBERED.fullmatch(name.casefold()) for name in names)
    return indices | {label: k for k, label in enumerate(declared) if only_numbers}


def _labelled_examples(config: EvaluateModelConfig, split: str, classifier: Classifier) -> TextExamples:
    """Read a split, its labels those of the model."""
    max_length = min(config.data.max_length, classifier.max_length)
    if config.data.path.startswith(PACKAGED):
        examples, names = _packaged_split(config, split, max_length)
        indices = map_labels(names, classifier.label_names, config.label_map, names)
        labels = np.array(indices)[examples.labels]
        return replace(examples, labels=labels, pad_left=classifier.tokenizer.padding_side == "left")
    table = _read_split(config, split)
    column = table.columns["label"]
    check_labelled(column, table.name)
    found = pc.unique(column).to_pylist()
    indices = map_labels(found, classifier.label_names, config.label_map, table.label_names or ())
    told = ", ".join(f"{label} is {classifier.label_names[k]}" for label, k in zip(found, indices, strict=True))
    logger.info("Labels of the data and of the model: %s.", told)
    labels = np.array(indices)[pc.index_in(column, pa.array(found)).to_numpy()]
    return text_examples(Part(table, np.arange(len(table)), labels), classifier.tokenizer, max_length)


def _read_split(config: EvaluateModelConfig, split: str) -> Table:
    data = config.data
    wanted = Wanted(data.text_column, data.text_pair_column, data.label_column, data.encoding)
    alone = replace(data, train_split=split, validation_split=None, test_split=None)
    try:
        return read_source(data.path, alone, wanted)["train"]
    except InputError as error:
        raise InputError(str(error).replace("data.train_split", "--split")) from error


def _packaged_split(config: EvaluateModelConfig, split: str, max_length: int) -> tuple[TextExamples, tuple[str, ...]]:
    """Return a split of a packaged corpus as runs divide it, and the names of its labels."""
    own = local_path(config.model) / "model"
    model = ModelConfig(name="pretrained", path=str(own) if own.is_dir() else config.model)
    splits = load_splits(Config(data=replace(config.data, max_length=max_length), model=model))
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    examples = parts.get(split)
    if not isinstance(examples, TextExamples):
        raise InputError(f"split: expected one of {', '.join(parts)} for a packaged corpus, got {split!r}.")
    return examples, splits.label_names


def _count_truncated(examples: TextExamples, split: str, max_length: int) -> int:
    count = int(examples.truncated.sum())
    if count:
        logger.warning(
            "%d of the %d texts of %s are longer than data.max_length (%d) or the model allows, and were cut.",
            count, len(examples), split, max_length,
        )  # fmt: skip
    return count


def _name(path: str, generic: str) -> str:
    """Return the last part of a path that is not `generic`, as a folder can be named after it."""
    parts = [part for part in Path(path).parts if part not in {generic, "/", ".", ".."}]
    return re.sub(r"[^\w.-]", "_", Path(parts[-1]).stem if parts else "model")
