"""Tokenizers: the words of the training texts, or those of a Hugging Face model."""

import logging

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from textmix.config import Config, DataConfig
from textmix.data.cache import cached
from textmix.data.corpora import resolve_packaged_model
from textmix.data.loading import loading
from textmix.data.parts import Part
from textmix.errors import InputError

log = logging.getLogger(__name__)

PAD, UNK, SEP = "[PAD]", "[UNK]", "[SEP]"


def load_tokenizer(config: Config, train: Part) -> PreTrainedTokenizerBase:
    """Return the tokenizer that the configuration asks for; words are those of the part `train`.

    :raises InputError: a Hugging Face tokenizer is missing, or has no token to pad with.
    """
    if config.model.name == "pretrained":
        return pretrained_tokenizer(str(config.model.path), "model.path")
    if config.data.tokenizer == "words":
        return word_tokenizer(train, config.data)
    tokenizer = pretrained_tokenizer(config.data.tokenizer, "data.tokenizer")
    tokenizer.padding_side = "right"  # where the LSTM has its padding, whatever this tokenizer's own model reads
    return tokenizer


def pretrained_tokenizer(path: str, key: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a Hugging Face model; one that lacks a padding token pads with its end of text.

    :param path: Hub id, folder or packaged:minilm.
    :param key: the configuration key to name in errors.
    :raises InputError: there is none, or nothing to pad with.
    """
    with loading(key, "a Hub id or folder with a tokenizer", path):
        tokenizer = AutoTokenizer.from_pretrained(resolve_packaged_model(path), trust_remote_code=False)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise InputError(
                f"{key}: the tokenizer of {path!r} has neither a padding nor an end token; choose another one."
            )
        tokenizer.pad_token = tokenizer.eos_token
        log.warning("%s: the tokenizer of %r has no padding token; it pads with %r", key, path, tokenizer.eos_token)
    return tokenizer


def word_tokenizer(train: Part, data: DataConfig) -> PreTrainedTokenizerFast:
    """Return a tokenizer of lower-case words and single punctuation marks, as BERT's before its word pieces.

    Id 0 is ``[PAD]``, 1 ``[UNK]``, for pairs 2 ``[SEP]``; then the words by falling count, ties in alphabetical order.

    :param train: the texts whose words are counted.
    """
    key = ("words", *train.key(), data.vocab_size, data.min_count)
    file = cached(key, lambda folder: _count_words(train, data).save(str(folder / "tokenizer.json"))) / "tokenizer.json"
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(file)),
        pad_token=PAD,
        unk_token=UNK,
        sep_token=SEP if train.has("pair") else None,
        model_max_length=data.max_length,
        model_input_names=["input_ids", "attention_mask"],
    )


def _count_words(train: Part, data: DataConfig) -> Tokenizer:
    special = [PAD, UNK, SEP] if train.has("pair") else [PAD, UNK]
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
    split_chinese = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), split_chinese])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=data.vocab_size, min_frequency=data.min_count, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator((piece.to_pylist() for piece in train.readable()), trainer)
    if train.has("pair"):
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A", pair=f"$A {SEP} $B:1", special_tokens=[(SEP, special.index(SEP))]
        )
    return tokenizer
