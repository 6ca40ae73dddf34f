"""Tiny random models of any family that transformers classifies sequences with, and batches for them."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig

# A script that test_training.py starts in processes of its own.
collect_ignore = ["distributed.py"]

# A configuration takes those of these sizes that it has.
BY_SIZE = {
    2: """num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers num_decoder_layers
        num_self_attends_per_block num_attention_heads num_heads n_head n_heads encoder_attention_heads
        decoder_attention_heads num_key_value_heads num_self_attention_heads num_cross_attention_heads
        num_experts_per_tok n_group topk_group index_n_heads num_query_groups""",
    4: """num_local_experts num_experts n_routed_experts linear_num_key_heads linear_num_value_heads n_mamba_heads""",
    8: """head_dim d_kv d_head kv_channels attention_head_dim kv_lora_rank q_lora_rank qk_nope_head_dim
        qk_rope_head_dim v_head_dim index_head_dim rotary_dim linear_key_head_dim linear_value_head_dim num_latents
        image_size mamba_dt_rank mamba_headdim gated_norm_rank adapter_rank mamba_d_state index_topk chunk_size
        input_size patch_size""",
    16: """hidden_size d_model n_embd dim emb_dim embedding_size embedding_dim d_latents pooler_hidden_size
        entity_emb_size moe_intermediate_size shared_expert_intermediate_size pronunciation_embed_dim shape_embed_dim
        word_embed_proj_dim bottleneck_size intra_bottleneck_size""",
    32: """intermediate_size d_ff ffn_dim n_inner d_inner encoder_ffn_dim decoder_ffn_dim hidden_dim dff
        ffn_hidden_size attention_hidden_size""",
    64: """max_position_embeddings n_positions max_2d_position_embeddings entity_vocab_size pronunciation_vocab_size
        shape_vocab_size""",
}
SIZES = {name: size for size, names in BY_SIZE.items() for name in names.split()}
TOKENS = {"vocab_size": 99, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0}

_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}

# What sizes alone can't say.
SPECIAL: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 3, "shape_size": 2},
    "lilt": {"hidden_size": 24, "channel_shrink_ratio": 2},
    "mistral4": {
        "rope_parameters": {**_ROPE, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 64},
    },
    # Without its tanh, which saturates.
    "mobilebert": {"classifier_activation": False},
    "perceiver": {"pad_token_id": 0},
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"]},
    "reformer": {
        "axial_pos_embds": False,
        "attn_layers": ["local", "lsh"],
        "attention_head_size": 8,
        "feed_forward_size": 32,
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "num_hashes": 2,
    },
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"], "hybrid_layer_ids": [1]},
}


def _config(kind: type[PreTrainedConfig], **changes: Any) -> PreTrainedConfig:
    default = kind()
    known = {*default.to_dict(), *kind.attribute_map, "decoder_start_token_id"}
    parts = {name: getattr(default, name) for name in kind.sub_configs}
    nested = {name: _config(type(part)) for name, part in parts.items() if part is not None}
    sizes = {name: size for name, size in {**SIZES, **TOKENS}.items() if name in known}
    return kind(**{**sizes, **nested, "num_labels": 3, **SPECIAL.get(kind.model_type, {}), **changes})


def tiny_model(family: str, seed: int = 0, **changes: Any) -> nn.Module:
    """Build the classifier of a family in eval mode, its weights large enough for a wrong mask or position to show."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(_config(transformers.CONFIG_MAPPING[family], **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
    return model.eval()


@pytest.fixture(scope="session")
def tiny() -> Callable[..., nn.Module]:
    return tiny_model


class Subject:
    """A model of one family, and batches padded on one side."""

    def __init__(self, model, side, padding_counts=False):
        self.model = model.eval()
        self.left = side == "left"
        self.padding_counts = padding_counts
        self.takes = set(signature(model.forward).parameters)

    def batch(self, rows, length=None):
        """Pad rows of ids; a row ends with the end token, which BART and T5 pool at."""
        length = length or max(map(len, rows))
        batch = {"input_ids": torch.zeros(len(rows), length, dtype=torch.long)}
        mask = torch.zeros_like(batch["input_ids"])
        for i, row in enumerate(rows):
            place = slice(length - len(row), length) if self.left else slice(0, len(row))
            batch["input_ids"][i, place] = row
            mask[i, place] = 1
        batch["attention_mask"] = mask
        if self.left and "position_ids" in self.takes:
            batch["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        return {name: value for name, value in batch.items() if name in self.takes}

    def rows(self, lengths, seed=1):
        generator = torch.Generator().manual_seed(seed)
        return [torch.cat([torch.randint(3, 99, (n - 1,), generator=generator), torch.tensor([2])]) for n in lengths]

    @torch.no_grad()
    def clean(self, rows):
        """Each row's logits, alone and unpadded where the model allows it."""
        length = max(map(len, rows)) if self.padding_counts else None
        return torch.cat([self.model(**self.batch([row], length)).logits for row in rows])

    @torch.no_grad()
    def mixed(self, mixup, mix, rows):
        with mixup.applied(mix, self.batch(rows)) as inputs:
            return self.model(**inputs).logits


@pytest.fixture(scope="session")
def subject() -> type[Subject]:
    return Subject
