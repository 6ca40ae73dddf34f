"""From the configuration to splits of examples that yield padded batches."""

from textmix.data.batching import Examples, epoch_batches, share
from textmix.data.corpora import resolve_packaged_model
from textmix.data.load import load_outside, load_splits
from textmix.data.splits import Splits, load_texts
from textmix.data.text import TextExamples, encoder, used_token_ids
from textmix.data.vectors import load_vectors

__all__ = [
    "Examples",
    "Splits",
    "TextExamples",
    "encoder",
    "epoch_batches",
    "load_outside",
    "load_splits",
    "load_texts",
    "load_vectors",
    "resolve_packaged_model",
    "share",
    "used_token_ids",
]
