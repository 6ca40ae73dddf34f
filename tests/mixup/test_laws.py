"""The laws of mixing, on models of many kinds, against each row run alone and unpadded."""

import pytest
import torch

from textmix.config import MixupConfig
from textmix.mixup import Mix, Mixup, draw
from textmix.models.text import (
    BiLSTMConfig,
    BiLSTMForSequenceClassification,
    KimCNNConfig,
    KimCNNForSequenceClassification,
)

RIGHT = [
    *("cnn", "lstm", "bert", "distilbert", "roberta", "xlm-roberta", "electra", "albert", "deberta-v2", "mpnet"),
    *("modernbert", "longformer", "big_bird", "fnet", "funnel", "mobilebert", "bart", "t5"),
]
DECODERS = ["gpt2", "llama", "qwen3", "mistral", "gemma", "opt", "bloom"]
LEFT = ["xlnet", *DECODERS]
TEXTS = [f"{family}-right" for family in (*RIGHT, *DECODERS)] + [f"{family}-left" for family in LEFT]
HIDDEN = [
    *("bert-right", "distilbert-right", "roberta-right", "deberta-v2-right", "modernbert-right", "longformer-right"),
    *("xlnet-left", "gpt2-right", "gpt2-left", "llama-right", "llama-left", "opt-left", "bloom-right", "bloom-left"),
]

# What these make of a row depends on the padding beside it: FNet has no mask, MobileBERT's word vectors look at both
# neighbours, and Funnel pools pairs of columns.
PADDING_COUNTS = {"fnet", "mobilebert", "funnel"}

CYCLES = [torch.tensor([1, 2, 0]), torch.tensor([2, 0, 1])]
LENGTHS = {"unequal": (4, 9, 13), "equal": (9, 9, 9)}
EXACT = {"atol": 1e-5, "rtol": 1e-5}


def named(tiny, subject, name):
    family, _, side = name.rpartition("-")
    torch.manual_seed(0)
    if family == "cnn":
        model = KimCNNForSequenceClassification(
            KimCNNConfig(vocab_size=99, num_rows=99, embedding_dim=8, num_filters=8, num_labels=3)
        )
    elif family == "lstm":
        config = BiLSTMConfig(vocab_size=99, num_rows=99, embedding_dim=8, hidden_size=8, num_layers=2, num_labels=3)
        model = BiLSTMForSequenceClassification(config)
    else:
        model = tiny(family)
    if family in ("cnn", "lstm"):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.6)
    return subject(model, side, family in PADDING_COUNTS)


@pytest.fixture(scope="module", params=TEXTS)
def text(request, tiny, subject):
    it = named(tiny, subject, request.param)
    example = it.batch(it.rows((4, 7, 11, 11, 7)))
    with torch.no_grad():
        it.bare = it.model(**example).logits
    return it, Mixup(it.model, example=example)


@pytest.fixture(scope="module", params=HIDDEN)
def hidden(request, tiny, subject):
    it = named(tiny, subject, request.param)
    return it, Mixup(it.model, "hidden:1", example=it.batch(it.rows((4, 7, 11, 11, 7))))


def check_ends(it, mixup, lengths, cycle, per_sample):
    """At full weight a row has the clean logits of the longer row, and of either where both are equally long."""
    rows = it.rows(lengths)
    clean, length = it.clean(rows), torch.tensor(lengths)
    if "attention_mask" not in it.takes:  # padding is text to such a model
        length = torch.full((3,), max(lengths))
    for weight in (1.0, 0.0):
        heavy = torch.arange(3) if weight else cycle
        carries = length[heavy] >= length[cycle if weight else torch.arange(3)]
        assert carries.any()
        mix = Mix(cycle, torch.full((3,), weight) if per_sample else torch.tensor(weight))
        torch.testing.assert_close(it.mixed(mixup, mix, rows)[carries], clean[heavy][carries], **EXACT)


@pytest.mark.parametrize("per_sample", [False, True], ids=["batch", "sample"])
@pytest.mark.parametrize("cycle", CYCLES, ids=["forth", "back"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_full_weight_on_the_longer_row_gives_its_clean_logits(text, lengths, cycle, per_sample):
    check_ends(*text, lengths, cycle, per_sample)


@pytest.mark.parametrize("cycle", CYCLES, ids=["forth", "back"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_full_weight_at_a_hidden_layer_gives_the_longer_row_s_clean_logits(hidden, lengths, cycle):
    check_ends(*hidden, lengths, cycle, per_sample=False)


def check_influence(it, mixup):
    """A row's partner reaches it with every token, its tail too; a row that is not its partner does not."""
    rows = it.rows((4, 9, 13))
    mix = Mix(CYCLES[0], torch.tensor(0.6))
    before = it.mixed(mixup, mix, rows)
    for changed, row in enumerate(rows):
        for position in {0, len(row) // 2, len(row) - 2}:
            others = [r.clone() for r in rows]
            others[changed][position] = 3 + (row[position] - 2) % 96
            moved = (it.mixed(mixup, mix, others) - before).abs().amax(dim=1)
            bystander = (changed + 1) % 3  # its partner is the row after it
            assert moved[bystander] < 1e-5
            moved[bystander] = torch.inf
            assert moved.min() > 1e-4, (changed, position, moved)


def test_a_row_depends_on_every_token_of_its_partner_and_on_no_other_row(text):
    check_influence(*text)


def test_that_holds_at_a_hidden_layer(hidden):
    check_influence(*hidden)


def test_unarmed_it_is_bit_identical(text):
    it, mixup = text
    batch = it.batch(it.rows((4, 7, 11, 11, 7)))
    identity = draw(MixupConfig(alpha=0.0), 5, seed=(0, 0, 0, 0))
    with torch.no_grad():
        assert torch.equal(it.model(**batch).logits, it.bare)
        with mixup.applied(identity, batch) as inputs:
            assert all(inputs[name] is value for name, value in batch.items())
            assert torch.equal(it.model(**inputs).logits, it.bare)
