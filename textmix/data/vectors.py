"""Word vectors to start from: random, a file of GloVe or word2vec, or the input embeddings of a Hugging Face model."""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from tokenizers.models import WordLevel
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from textmix.data.corpora import resolve_packaged_model
from textmix.data.loading import loading
from textmix.data.vocabulary import pretrained_tokenizer
from textmix.errors import InputError
from textmix.files import local_path

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]

RANDOM_BOUND = 0.25
"""Random vectors are uniform in [-0.25, 0.25] (Kim 2014, section 3.1)."""

_TEXT_SUFFIXES = (".txt", ".vec", ".gz")


def load_vectors(source: str, tokenizer: PreTrainedTokenizerBase, dim: int, seed: int) -> Vectors:
    """Return one vector for each token of `tokenizer`, float32 (V, d); that of the padding token is zero.

    Tokens that the source does not know get random vectors with the standard deviation of those it knows
    (Kim 2014, section 3.1); how many it knows is logged.

    :param source: ``random``; a text file with a word and d numbers a line (GloVe; word2vec with its header), also
        as .gz; or a Hugging Face model (Hub id, folder, packaged:minilm). Where the tokenizer is the model's own its
        rows are taken; a word of the word vocabulary gets the mean of its pieces' rows.
    :param dim: the width of random vectors; other sources bring their own.
    :raises InputError: the source is missing, does not fit the tokenizer, or has a bad line.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    size = len(tokenizer)
    if source == "random":
        vectors = _uniform(rng, (size, dim), RANDOM_BOUND)
    else:
        path = local_path(source)
        if path.suffix in _TEXT_SUFFIXES and not path.is_file():
            raise InputError(f"model.vectors: found no file {source!r}.")
        known, found = _from_file(path, tokenizer) if path.is_file() else _from_model(source, tokenizer)
        if not known.any():
            raise InputError(
                f"model.vectors: expected vectors of the vocabulary's words, got none of them in {source!r}."
            )
        log.info("%s has vectors for %d of %d tokens", source, known.sum(), size)
        vectors = _uniform(rng, found.shape, float(np.sqrt(3) * found[known].std()))
        vectors[known] = found[known]
    vectors[tokenizer.pad_token_id] = 0
    return vectors


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> Vectors:
    return rng.uniform(-bound, bound, shape).astype(np.float32)


Found = tuple[npt.NDArray[np.bool_], Vectors]
"""Which tokens have a vector (V,), and the vectors (V, d)."""


def _from_file(path: Path, tokenizer: PreTrainedTokenizerBase) -> Found:
    index = {word.encode(): i for word, i in tokenizer.get_vocab().items()}
    known = np.zeros(len(tokenizer), dtype=bool)
    vectors = np.zeros((0, 0), dtype=np.float32)
    for number, word, values in _lines(path):
        if not vectors.size:
            vectors = np.zeros((len(tokenizer), len(values)), dtype=np.float32)
        i = index.get(word)
        if i is None:
            continue
        try:
            vectors[i] = np.array(values, dtype=np.float32)
        except ValueError as error:
            raise InputError(
                f"{path}: line {number}: expected numbers after the word {word!r}, got: {error}."
            ) from error
        if not np.isfinite(vectors[i]).all():
            raise InputError(f"{path}: line {number}: expected finite numbers after the word {word!r}.")
        known[i] = True
    if not vectors.size:
        raise InputError(f"{path}: expected a word and its vector on each line, got none.")
    return known, vectors


def _lines(path: Path) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Yield line number, word and numbers; the first vector says how many there are, for words may hold spaces."""
    width = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                parts = line.rstrip().rsplit(b" ", width or -1)
                if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                    continue  # the header of word2vec: words, width
                width = width or len(parts) - 1
                if width == 0 or len(parts) != width + 1:
                    raise InputError(f"{path}: line {number}: expected a word and {width} numbers, got {line[:80]!r}.")
                yield number, parts[0], parts[1:]
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: can't be read ({error}).") from error


def _from_model(source: str, tokenizer: PreTrainedTokenizerBase) -> Found:
    own = pretrained_tokenizer(source, "model.vectors")
    rows = _input_embeddings(source)
    if own.get_vocab() == tokenizer.get_vocab():
        pieces = [[i] for i in range(len(tokenizer))]
    elif tokenizer.is_fast and isinstance(tokenizer.backend_tokenizer.model, WordLevel):
        words = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        encoded = own([f" {word}" for word in words], add_special_tokens=False)["input_ids"]  # as inside a sentence
        pieces = [[piece for piece in ids if piece != own.unk_token_id] for ids in encoded]
    else:
        raise InputError(
            f"model.vectors: expected the model whose tokenizer data.tokenizer is, got {source!r}; "
            "data.tokenizer: words takes the vectors of any model."
        )
    return _means(rows, pieces)


def _means(rows: Vectors, pieces: list[list[int]]) -> Found:
    """Return for each token the mean of the rows of its pieces, as far as there are rows."""
    token = np.repeat(np.arange(len(pieces)), [len(p) for p in pieces])
    piece = np.fromiter((i for p in pieces for i in p), np.int64)
    stored = piece < len(rows)
    token, piece = token[stored], piece[stored]
    counts = np.bincount(token, minlength=len(pieces))
    means: Vectors = np.zeros((len(pieces), rows.shape[1]), np.float32)
    np.add.at(means, token, rows[piece])
    means /= np.maximum(counts, 1)[:, None]
    return counts > 0, means


def _input_embeddings(source: str) -> Vectors:
    """Read the input embeddings (V, d) of a model, alone out of its safetensors file where there is one."""
    path = resolve_packaged_model(source)
    with loading("model.vectors", "a model with input embeddings", source):
        with torch.device("meta"):
            skeleton = AutoModel.from_config(AutoConfig.from_pretrained(path, trust_remote_code=False))
        weight = skeleton.get_input_embeddings().weight
        name = next(name for name, parameter in skeleton.named_parameters() if parameter is weight)
        stored = _stored(path, name)
        if stored is None:  # older files hold no tensors that could be read one by one
            stored = AutoModel.from_pretrained(path, trust_remote_code=False).get_input_embeddings().weight.detach()
    vectors: Vectors = stored.float().numpy()
    return vectors


def _stored(path: str, name: str) -> torch.Tensor | None:
    """Return the tensor called `name`, or `<prefix>.name`, of a model's safetensors files; None where there is none."""
    index = cached_file(path, "model.safetensors.index.json", _raise_exceptions_for_missing_entries=False)
    files = ["model.safetensors"]
    if index is not None:
        shards = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        files = [file for key, file in shards.items() if f".{key}".endswith(f".{name}")]
    for file in files:
        found = cached_file(path, file, _raise_exceptions_for_missing_entries=False)
        if found is None:
            continue
        with safe_open(found, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - no dictionary
                if f".{key}".endswith(f".{name}"):
                    tensor: torch.Tensor = tensors.get_tensor(key)
                    return tensor
    return None
