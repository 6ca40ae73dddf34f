"""Tiny Hugging Face checkpoints on disk, with real tokenizers of the topics' words."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from topics_kit import FILLERS, TOPICS
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from textmix.config import Config, DataConfig, ModelConfig
from textmix.data import load_splits
from textmix.models.build import build_model

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*(word for words in TOPICS.values() for word in words), *FILLERS]
SIZES = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "roberta": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "llama": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
              "intermediate_size": 32},
    "xlnet": {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32},
    "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
    "perceiver": {"d_model": 16, "d_latents": 16, "num_latents": 4, "num_self_attends_per_block": 1,
                  "num_self_attention_heads": 2, "num_cross_attention_heads": 2},
    "phimoe": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
               "intermediate_size": 32, "num_local_experts": 2},
}  # fmt: skip
POSITIONS = {"gpt2": "n_positions", "xlnet": None}


def tokenizer(*, decoder: bool = False, side: str = "right", max_length: int = 1024) -> PreTrainedTokenizerFast:
    """A word tokenizer: with [CLS] and [SEP], or, of a decoder, with an end of text and nothing to pad with."""
    words = ["<end>", *WORDS] if decoder else [*SPECIAL, *WORDS]
    unknown = "<end>" if decoder else "[UNK]"
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=unknown))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ["input_ids", "attention_mask"]
    if decoder:
        tokens = {"eos_token": "<end>", "unk_token": "<end>"}
    else:
        tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        names.append("token_type_ids")
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, padding_side=side, model_max_length=max_length, model_input_names=names, **tokens
    )


def checkpoint(folder: Path, family: str = "bert", labels: tuple[str, ...] | None = None, **changes: object) -> Path:
    """Save a checkpoint: a classifier for `labels`, or, without any, a backbone that has no head."""
    decoder = family in {"gpt2", "llama", "phimoe"}
    words = tokenizer(decoder=decoder, side="left" if family == "xlnet" else "right")
    ids = {
        "pad_token_id": None if decoder else 0,
        "eos_token_id": 0 if decoder else 3,
        "bos_token_id": 0 if decoder else 2,
    }
    positions = POSITIONS.get(family, "max_position_embeddings")
    config = AutoConfig.for_model(
        family,
        vocab_size=len(words),
        **ids,
        **({} if positions is None else {positions: 64}),
        **SIZES[family],
        **changes,
    )
    torch.manual_seed(0)
    if labels is None:
        model = AutoModel.from_config(config)
    else:
        config.id2label, config.label2id = dict(enumerate(labels)), {name: k for k, name in enumerate(labels)}
        model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():  # large enough for a wrong mask or position to show
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def config_for(path, topics, max_length=32, **model) -> Config:
    """The configuration that fine-tunes a checkpoint."""
    return Config(
        data=DataConfig(path=str(topics), max_length=max_length),
        model=ModelConfig(name="pretrained", path=str(path), **model),
    )


def built(path, topics, **options):
    """The classifier made of a checkpoint, and the data it is made for."""
    config = config_for(path, topics, **options)
    splits = load_splits(config)
    return build_model(config, splits), splits
