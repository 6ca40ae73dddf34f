"""Texts as token ids: tokenised once, kept on disk, gathered into padded batches without a loop over rows."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from textmix.data.batching import Indices
from textmix.data.cache import cached
from textmix.data.parts import Part, Texts, names_of
from textmix.errors import InputError
from textmix.predictions.core import UNLABELLED

_IDS, _TYPES = "input_ids", "token_type_ids"
_DTYPES = {_IDS: np.int32, _TYPES: np.int8}
_SLICE = 1 << 22
"""Tokens looked at at a time."""


@dataclass(frozen=True, eq=False)
class TextExamples:
    """One split of texts (see :class:`textmix.data.batching.Examples`).

    The tokens of all texts lie one after the other in `tokens[name]`, those of text i from `starts[i]` on; `fill[name]`
    pads, on the left or on the right. `truncated` says which texts were cut.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    labels: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    tokens: dict[str, npt.NDArray[Any]]
    fill: dict[str, int]
    pad_left: bool

    def __len__(self) -> int:
        return len(self.labels)

    def thumbnails(self, indices: Indices) -> list[bytes]:  # noqa: ARG002 - texts are there to be read
        """Return none."""
        return []

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """Return input_ids, attention_mask, token_type_ids where the model has them (B, L), and labels (B,)."""
        lengths = self.lengths[indices]
        width = int(lengths.max(initial=1))
        place = np.arange(width) - (width - lengths if self.pad_left else 0 * lengths)[:, None]
        mask = (place >= 0) & (place < lengths[:, None])
        source = (self.starts[indices][:, None] + place)[mask]
        inputs = {"attention_mask": torch.from_numpy(mask.astype(np.int64))}
        for name, values in self.tokens.items():
            padded = np.full(mask.shape, self.fill[name], np.int64)
            padded[mask] = values[source]
            inputs[name] = torch.from_numpy(padded)
        return inputs | {"labels": torch.from_numpy(self.labels[indices])}

    def transform(self, inputs: dict[str, Tensor], seed: tuple[int, int, int, int] | None) -> dict[str, Tensor]:  # noqa: ARG002 - texts are not augmented
        """Return `inputs` as they are."""
        return inputs


def text_examples(part: Part, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TextExamples:
    """Tokenise a part, once: the tokens are kept on disk under the texts and the tokenizer that made them.

    A text without a single token becomes one unknown token, so that no model meets an empty row.

    :raises InputError: `max_length` leaves no room for a token, or is more than the tokenizer allows.
    """
    _check_length(tokenizer, max_length, pair=part.has("pair"))
    key = ("tokens", part.key(), fingerprint(tokenizer), max_length)
    folder = cached(key, lambda made: _tokenise(part, tokenizer, max_length, made))
    lengths = np.load(folder / "lengths.npy")
    return TextExamples(
        ids=names_of(part),
        texts=Texts(part),
        labels=part.labels,
        lengths=lengths,
        truncated=np.load(folder / "truncated.npy"),
        starts=np.cumsum(lengths) - lengths,
        tokens={name: np.asarray(np.memmap(folder / name, _DTYPES[name], mode="r")) for name in _names(tokenizer)},
        fill={_IDS: int(tokenizer.pad_token_id), _TYPES: tokenizer.pad_token_type_id},
        pad_left=tokenizer.padding_side == "left",
    )


def encoder(
    tokenizer: PreTrainedTokenizerBase, max_length: int, *, pair: bool
) -> Callable[[list[str], list[str] | None], TextExamples]:
    """Return a function that tokenises texts for one use, in memory; they have no labels, and their place for an id.

    :param pair: whether it will be given second texts, too.
    :raises InputError: `max_length` leaves no room for a token, or is more than the tokenizer allows.
    """
    _check_length(tokenizer, max_length, pair=pair)
    encode = _encode(tokenizer, max_length)

    def examples(texts: list[str], pairs: list[str] | None) -> TextExamples:
        tokens, lengths, truncated = _arrays(encode(texts, pairs), tokenizer)
        return TextExamples(
            ids=[str(row) for row in range(len(texts))],
            texts=texts,
            labels=np.full(len(texts), UNLABELLED),
            lengths=lengths,
            truncated=truncated,
            starts=np.cumsum(lengths) - lengths,
            tokens=tokens,
            fill={_IDS: int(tokenizer.pad_token_id), _TYPES: tokenizer.pad_token_type_id},
            pad_left=tokenizer.padding_side == "left",
        )

    return examples


def used_token_ids(examples: TextExamples, tokenizer: PreTrainedTokenizerBase) -> npt.NDArray[np.int64]:
    """Return the sorted ids of the tokens that `examples` hold, and of the tokenizer's special tokens."""
    used = np.zeros(len(tokenizer), dtype=bool)
    for start in range(0, len(examples.tokens[_IDS]), _SLICE):  # for an index array takes twice the memory of the ids
        used[examples.tokens[_IDS][start : start + _SLICE]] = True
    used[tokenizer.all_special_ids] = True
    return np.flatnonzero(used)


def fingerprint(tokenizer: PreTrainedTokenizerBase) -> tuple[object, ...]:
    """Return what decides the tokens that a tokenizer makes, and which of their arrays are kept."""
    kept = (*_names(tokenizer), _filler(tokenizer), tokenizer.truncation_side)
    if tokenizer.is_fast:
        return (*kept, tokenizers.__version__, tokenizer.backend_tokenizer.to_str())
    return (*kept, type(tokenizer).__name__, str(tokenizer.init_kwargs), sorted(tokenizer.get_vocab().items()))


def _names(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [name for name in _DTYPES if name in tokenizer.model_input_names]


def _filler(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the one token of a text without any."""
    return int(tokenizer.pad_token_id if tokenizer.unk_token_id is None else tokenizer.unk_token_id)


def _check_length(tokenizer: PreTrainedTokenizerBase, max_length: int, *, pair: bool) -> None:
    special = tokenizer.num_special_tokens_to_add(pair=pair)
    if not special < max_length <= tokenizer.model_max_length:
        raise InputError(
            f"data.max_length: expected more than the {special} special tokens and at most the "
            f"{tokenizer.model_max_length} that the tokenizer {tokenizer.name_or_path} allows, got {max_length}."
        )


Encoded = list[tuple[list[int], list[int], bool]]
"""Ids, token types and whether the text was cut, for each text."""


def _tokenise(part: Part, tokenizer: PreTrainedTokenizerBase, max_length: int, folder: Path) -> None:
    lengths: list[npt.NDArray[np.int64]] = []
    truncated: list[npt.NDArray[np.bool_]] = []
    with ExitStack() as files:
        out = {name: files.enter_context((folder / name).open("wb")) for name in _names(tokenizer)}
        for encoded in _encoded(part, tokenizer, max_length):
            tokens, sizes, cut = _arrays(encoded, tokenizer)
            for name, file in out.items():
                tokens[name].tofile(file)
            lengths.append(sizes)
            truncated.append(cut)
    np.save(folder / "lengths.npy", np.concatenate(lengths))
    np.save(folder / "truncated.npy", np.concatenate(truncated))


def _arrays(
    encoded: Encoded, tokenizer: PreTrainedTokenizerBase
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the tokens of all texts one after the other, the tokens of each, and which were cut."""
    filler = _filler(tokenizer)
    ids, types, cut = zip(*encoded, strict=True)
    rows = {_IDS: [row or [filler] for row in ids], _TYPES: [row or [0] for row in types]}
    tokens = {name: np.fromiter(chain.from_iterable(rows[name]), _DTYPES[name]) for name in _names(tokenizer)}
    return tokens, np.fromiter(map(len, rows[_IDS]), np.int64), np.array(cut)


def _encoded(part: Part, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Encoded]:
    encode = _encode(tokenizer, max_length)
    seconds = part.pieces("pair") if part.has("pair") else repeat(None)
    for texts, pairs in zip(part.pieces("text"), seconds, strict=False):
        yield encode(texts.to_pylist(), None if pairs is None else pairs.to_pylist())


def _encode(tokenizer: PreTrainedTokenizerBase, max_length: int) -> Callable[[list[str], list[str] | None], Encoded]:
    if tokenizer.is_fast:
        return partial(_encode_fast, _cutting(tokenizer, max_length), max_length)
    return partial(_encode_slow, tokenizer, max_length)


def _cutting(tokenizer: PreTrainedTokenizerBase, max_length: int) -> tokenizers.Tokenizer:
    """Return a copy of the tokenizer's fast half that cuts texts as `truncation=True` does."""
    backend: tokenizers.Tokenizer = copy.deepcopy(tokenizer.backend_tokenizer)
    backend.no_padding()
    backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    return backend


def _encode_fast(backend: tokenizers.Tokenizer, max_length: int, texts: list[str], pairs: list[str] | None) -> Encoded:
    inputs = texts if pairs is None else list(zip(texts, pairs, strict=True))
    return [
        (one.ids, one.type_ids, len(one) == max_length and bool(one.overflowing))
        for one in backend.encode_batch_fast(inputs)
    ]


def _encode_slow(
    tokenizer: PreTrainedTokenizerBase, max_length: int, texts: list[str], pairs: list[str] | None
) -> Encoded:
    result = []
    for text, pair in zip(texts, pairs or repeat(None), strict=False):
        one = tokenizer(text, pair, truncation=True, max_length=max_length, return_token_type_ids=True)
        ids = one[_IDS]
        cut = len(ids) == max_length and len(tokenizer(text, pair, verbose=False)[_IDS]) > max_length
        result.append((ids, one[_TYPES], cut))
    return result
