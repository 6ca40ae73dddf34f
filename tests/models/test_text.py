import numpy as np
import pytest
import torch
from checkpoints_kit import checkpoint
from transformers import AutoConfig, AutoModelForSequenceClassification

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data import load_splits
from textmix.models import (
    BiLSTMConfig,
    BiLSTMForSequenceClassification,
    KimCNNConfig,
    KimCNNForSequenceClassification,
)
from textmix.models.build import build_model
from textmix.models.text import WordEmbedding

SMALL = {"vocab_size": 50, "num_rows": 20, "embedding_dim": 16, "num_labels": 3}


@pytest.fixture(params=["cnn", "lstm"])
def model(request):
    torch.manual_seed(0)
    if request.param == "cnn":
        return KimCNNForSequenceClassification(KimCNNConfig(**SMALL, num_filters=8)).eval()
    return BiLSTMForSequenceClassification(BiLSTMConfig(**SMALL, hidden_size=8, num_layers=2)).eval()


@pytest.fixture
def ids():
    ids = torch.randint(1, 50, (4, 9), generator=torch.Generator().manual_seed(1))
    ids[0, 1:] = 0
    ids[1, 4:] = 0
    return ids


def test_logits_do_not_depend_on_padding(model, ids):
    wider = torch.cat([ids, torch.zeros(4, 7, dtype=torch.long)], dim=1)
    torch.testing.assert_close(model(wider).logits, model(ids).logits, atol=1e-6, rtol=0)
    for row, length in zip(ids, [1, 4, 9, 9], strict=True):
        alone = model(row[None, :length]).logits
        torch.testing.assert_close(alone[0], model(ids).logits[(ids == row).all(1)][0], atol=1e-6, rtol=0)


def test_a_tokenizer_that_pads_on_the_left_pads_on_the_right_here(tmp_path, topics):
    """The LSTM reads from the first token on."""
    words = checkpoint(tmp_path / "xlnet", "xlnet")
    small = ModelConfig(name="lstm", embedding_dim=8, hidden_size=4)
    config = Config(data=DataConfig(path=str(topics), tokenizer=str(words), max_length=32), model=small)
    splits = load_splits(config)
    model = build_model(config, splits).eval()
    batches = [splits.test.batch(np.array(rows)) for rows in ([0, 1, 2], [0], [1], [2])]
    together, *alone = [model(batch["input_ids"], batch["attention_mask"]).logits for batch in batches]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)


def test_every_token_counts(model, ids):
    clean = model(ids).logits
    for row, length in enumerate([1, 4, 9, 9]):
        for position in range(length):
            changed = ids.clone()
            changed[row, position] = 1 + ids[row, position] % 18
            moved = (model(changed).logits - clean).abs().amax(dim=1) > 1e-7
            assert moved.tolist() == [i == row for i in range(4)]


def test_a_mask_says_what_is_padding(model, ids):
    mask = (ids != 0).long()
    filled = torch.where(ids == 0, 7, ids)
    torch.testing.assert_close(model(filled, attention_mask=mask).logits, model(ids).logits)


def test_a_row_without_tokens_has_logits(model):
    assert model(torch.zeros(2, 5, dtype=torch.long)).logits.isfinite().all()


def test_saved_and_loaded_with_the_auto_classes(model, ids, tmp_path):
    model.embedding.rows[5] = 17
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert type(loaded) is type(model)
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=0, rtol=0)
    assert AutoConfig.from_pretrained(tmp_path).embedding_dim == 16


def test_the_cnn_is_kims():
    model = KimCNNForSequenceClassification(KimCNNConfig(vocab_size=10, num_rows=10, num_labels=2))
    shapes = [tuple(c.weight.shape) for c in model.convolutions]
    assert shapes == [(100, 300, 3), (100, 300, 4), (100, 300, 5)]
    assert model.dropout.p == 0.5
    assert model.classifier.in_features == 300


def test_the_cnn_is_its_formula(ids):
    """Against plain loops: zeros around the text, one dot product a position, the maximum, then ReLU."""
    torch.manual_seed(0)
    model = KimCNNForSequenceClassification(KimCNNConfig(**SMALL, filter_widths=[2, 3], num_filters=4)).eval()
    text = ids[1, :4]
    vectors = torch.nn.functional.embedding(model.embedding.rows[text], model.embedding.weight)
    features = []
    for width, convolution in zip([2, 3], model.convolutions, strict=True):
        around = torch.cat([torch.zeros(width - 1, 16), vectors, torch.zeros(width - 1, 16)])
        scores = [
            torch.einsum("fdw,wd->f", convolution.weight, around[start : start + width]) + convolution.bias
            for start in range(len(around) - width + 1)
        ]
        features.append(torch.stack(scores).amax(dim=0).relu())
    expected = model.classifier(torch.cat(features))
    torch.testing.assert_close(model(ids).logits[1], expected, atol=1e-5, rtol=0)


def test_kept_rows_hold_their_vectors_and_the_others_read_unknown():
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2) + 1
    embedding = WordEmbedding(vocab_size=6, num_rows=4, dim=2)
    embedding.keep(vectors, used=np.array([2, 3, 4, 5]), pad_id=3, unk_id=5)
    read = embedding(torch.arange(6)).detach().numpy()
    expected = vectors.copy()
    expected[3] = 0  # padding
    expected[[0, 1]] = vectors[5]  # not in use: unknown
    np.testing.assert_array_equal(read, expected)


def test_padding_gets_no_gradient():
    embedding = WordEmbedding(vocab_size=5, num_rows=5, dim=3)
    embedding(torch.tensor([[0, 1, 1]])).sum().backward()
    assert embedding.weight.grad[:, 0].tolist() == [0.0, 2.0, 0.0, 0.0, 0.0]
