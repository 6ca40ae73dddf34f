"""From a file of texts to the same file with predictions, a window of rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from accelerate import Accelerator
from scipy.special import softmax

from textmix.data import encoder
from textmix.data.readers import is_text
from textmix.engine import predict_logits
from textmix.engine.launch import start_predicting
from textmix.errors import InputError, RunError, naming
from textmix.export import baked_temperature
from textmix.files import local_path
from textmix.metrics.examples import score_examples
from textmix.models.limits import check_tokens
from textmix.ood import Threshold, threshold_for_accuracy
from textmix.options import PredictConfig
from textmix.predict.classifier import Classifier, load_classifier
from textmix.predict.tables import check_suffix, read_tables, writing
from textmix.predictions import aligned, load
from textmix.predictions.core import LOGIT
from textmix.predictions.tables import PROBABILITY

_WINDOW = 8192
"""Rows that are in memory at a time, and sorted by length among themselves."""


@dataclass
class Done:
    """What was predicted: rows, texts that were cut, texts without a word, and rows that are left to a human."""

    rows: int = 0
    truncated: int = 0
    empty: int = 0
    abstained: int = 0
    threshold: float | None = None
    chosen: Threshold | None = None
    """How the threshold was found, where a target accuracy was asked for."""
    max_length: int = 0

    def text(self, output: str) -> str:
        """Say in a few lines what became of the rows."""
        lines = [
            f"{output}: {self.rows:,} rows; {self.truncated:,} texts were cut at {self.max_length} tokens, "
            f"{self.empty:,} were empty."
        ]
        if self.chosen is not None:
            accuracy = self.chosen.accuracy
            lines.append(
                f"On validation, {self.chosen.coverage:.1%} reach a confidence of {self.chosen.threshold:.4f}, and "
                f"there the model was right {accuracy.estimate:.1%} of the time (95 % interval {accuracy.low:.1%} to "
                f"{accuracy.high:.1%})."
            )
        if self.threshold is not None:
            lines.append(f"Left to a human, below a confidence of {self.threshold:.4f}: {self.abstained:,} rows.")
        return "\n".join(lines)


def predict_file(config: PredictConfig) -> Done:
    """Write the rows of ``config.input`` to ``config.output``, each with what the model says about its text.

    :raises InputError: a file or the model can't be used; nothing is written then.
    :raises RunError: the model gives no finite logits.
    """
    source, target = local_path(config.input), local_path(config.output)
    check_suffix(target, "output")
    if source.resolve() == target.resolve():
        raise InputError(f"output: expected another file than the input, got {config.output!r} for both.")
    tables = read_tables(source, _WINDOW, config.encoding)
    first = next(tables)  # before the model is loaded: a file that can't be read is told at once
    _check_columns(first, config)
    accelerator = start_predicting(config.threads)
    classifier = load_classifier(config.model, config.max_length)
    done = Done(threshold=config.threshold, max_length=classifier.max_length)
    if config.target_accuracy is not None:
        done.chosen = _find_threshold(config, classifier, config.target_accuracy)
        done.threshold = done.chosen.threshold
    results = _predicted(chain([first], tables), config, classifier, accelerator, done)
    table = next(results)
    with writing(target, table.schema) as write:
        write(table)
        for table in results:
            write(table)
    return done


def _check_columns(table: pa.Table, config: PredictConfig) -> None:
    texts = [name for name in (config.text_column, config.text_pair_column) if name is not None]
    for name, key in zip(texts, ("text_column", "text_pair_column"), strict=False):
        if name not in table.column_names:
            raise InputError(f"{config.input}: expected a column {name!r} (--{key}), got {table.column_names}.")
    added = {"prediction", "confidence"}
    if config.threshold is not None or config.target_accuracy is not None:
        added.add("abstain")
    # Of other labels, too: to who reads the output they would be further classes.
    taken = sorted(n for n in table.column_names if n in added or n.startswith((LOGIT, PROBABILITY)))
    if taken:
        raise InputError(
            f"{config.input}: expected no columns {', '.join(sorted(added))}, {LOGIT}... and {PROBABILITY}..., which "
            f"are added, got {taken}; rename them."
        )


def _predicted(
    tables: Iterator[pa.Table],
    config: PredictConfig,
    classifier: Classifier,
    accelerator: Accelerator,
    done: Done,
) -> Iterator[pa.Table]:
    encode = encoder(classifier.tokenizer, classifier.max_length, pair=config.text_pair_column is not None)
    model = classifier.model.to(accelerator.device)
    for table in tables:
        texts = _strings(table, config.text_column, config.input)
        pairs = None if config.text_pair_column is None else _strings(table, config.text_pair_column, config.input)
        examples = encode(texts.to_pylist(), None if pairs is None else pairs.to_pylist())
        check_tokens(model, classifier.tokenizer, examples)
        logits = predict_logits(accelerator, model, examples, config.batch_size).numpy()
        if not np.isfinite(logits).all():
            row = done.rows + int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
            raise RunError(f"{config.input}: row {row} (counted from 0): the model gives {logits[row - done.rows]}.")
        columns = _columns(logits, classifier.label_names, done)
        done.rows += len(table)
        done.truncated += int(examples.truncated.sum())
        done.empty += _blank(texts if pairs is None else pc.binary_join_element_wise(texts, pairs, ""))
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        yield table


def _columns(logits: npt.NDArray[np.float32], names: tuple[str, ...], done: Done) -> dict[str, object]:
    probabilities = softmax(logits.astype(np.float64), axis=1)
    confidence = probabilities.max(axis=1)
    columns: dict[str, object] = {"prediction": np.array(names)[logits.argmax(axis=1)], "confidence": confidence}
    columns |= {PROBABILITY + name: probabilities[:, k] for k, name in enumerate(names)}
    columns |= {LOGIT + name: logits[:, k] for k, name in enumerate(names)}
    if done.threshold is not None:
        columns["abstain"] = confidence < done.threshold
        done.abstained += int((confidence < done.threshold).sum())
    return columns


def _strings(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    """Return a column of texts, empty where there is none."""
    column = table[name]
    if not is_text(column.type):
        raise InputError(f"{where}: expected text in column {name!r}, got {column.type}.")
    return pc.fill_null(column.cast(pa.string()), "")


def _blank(texts: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.equal(pc.utf8_trim_whitespace(texts), "")).as_py())


def _find_threshold(config: PredictConfig, classifier: Classifier, target: float) -> Threshold:
    """Return the lowest confidence above which the model reaches the target accuracy on validation predictions."""
    own = local_path(config.model).resolve()
    run = own if (own / "model").is_dir() else own.parent
    saved = run / "predictions" / "validation.parquet"
    path = saved if config.validation is None else local_path(config.validation)
    if not path.is_file():
        raise InputError(
            f"target_accuracy: expected validation predictions in {path}, found none; give them as --validation."
        )
    validation = load(path)
    with naming(path):
        validation = aligned(validation, classifier.label_names)
    logits = validation.logits
    if path.resolve() == saved:  # a run's predictions are raw, whatever was baked into its model since
        logits = logits / baked_temperature(classifier.model)
    scores = score_examples(logits, validation.labels)
    found = threshold_for_accuracy(scores.confidence.numpy(), scores.correct.numpy(), target)
    if found is None:
        raise InputError(
            f"target_accuracy: expected an accuracy that some threshold reaches on {path}, got "
            f"{target}; the surest of its {len(validation)} examples fall short of it."
        )
    return found
