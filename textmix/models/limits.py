"""What a Hugging Face model can read: so many positions, and so many different tokens."""

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.data import Examples, TextExamples
from textmix.errors import InputError


def check_length(model: PreTrainedModel, max_length: int) -> None:
    """Refuse texts that are longer than the model has positions for.

    :raises InputError: they are.
    """
    limit = max_positions(model)
    if limit is not None and max_length > limit:
        raise InputError(
            f"data.max_length: expected at most the {limit} positions of {type(model).__name__}, got {max_length}; "
            f"set data.max_length {limit}."
        )


def max_positions(model: PreTrainedModel) -> int | None:
    """Return the length of the longest text the model can read; None where its configuration knows of no limit."""
    declared = model.config.get_text_config().to_dict()
    name = model.config.get_text_config().attribute_map.get("max_position_embeddings", "max_position_embeddings")
    limit: int | None = declared.get(name)
    if limit is None:
        return None
    for module in model.modules():
        # RoBERTa and its kin count positions from the one after their padding's.
        if isinstance(module, nn.Embedding) and module.num_embeddings == limit and module.padding_idx is not None:
            return limit - module.padding_idx - 1
    return limit


def check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *parts: Examples | None) -> None:
    """Refuse a token of padding, and texts with tokens, that the model has no vector for.

    Tokens that never occur need none: Gemma 3's tokenizer has one for images, which its models of texts don't know.

    :raises InputError: there are such tokens.
    """
    size: int | None = model.config.get_text_config().to_dict().get("vocab_size")
    if size is None or len(tokenizer) <= size:
        return
    largest = int(tokenizer.pad_token_id)
    for part in parts:
        if isinstance(part, TextExamples):
            largest = max(largest, int(part.tokens["input_ids"].max(initial=0)))
    if largest >= size:
        token = tokenizer.convert_ids_to_tokens(largest)
        raise InputError(
            f"{model.name_or_path}: expected token ids below {size}, of which {type(model).__name__} has vectors, got "
            f"{largest} for {token!r}; call resize_token_embeddings({len(tokenizer)}) on the model, and save it again."
        )
