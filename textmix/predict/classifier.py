"""A classifier that somebody trained, here or elsewhere, with what it takes to give it texts."""

from dataclasses import dataclass

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

import textmix.models  # registers our architectures  # noqa: F401
from textmix.data import resolve_packaged_model
from textmix.data.loading import loading
from textmix.data.vocabulary import pretrained_tokenizer
from textmix.errors import InputError
from textmix.files import local_path
from textmix.models.limits import check_tokens, max_positions
from textmix.models.padding import pad_with, pools_last_token
from textmix.models.pretrained import quiet_loading

_LONGEST = 512
"""Where neither the model nor its tokenizer says how much of a text can be read."""


@dataclass(frozen=True)
class Classifier:
    """A model, its tokenizer, the names of its labels in the order of the logits, and the tokens it reads of a text."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    label_names: tuple[str, ...]
    max_length: int


def load_classifier(path: str, max_length: int | None = None) -> Classifier:
    """Load a trained single-label classifier: a Hub id, a model folder, or the folder of a run.

    :param max_length: tokens to read of a text; None is as many as the model and its tokenizer allow.
    :raises InputError: there is none, or it is of another kind.
    """
    own = local_path(path) / "model"
    place = str(own) if (own / "config.json").is_file() else path
    model = _load_model(place)
    tokenizer = pretrained_tokenizer(place, "model")
    check_tokens(model, tokenizer)
    pad_with(model, tokenizer.pad_token_id)
    if pools_last_token(model):
        tokenizer.padding_side = "right"  # or those with learned positions would count the padding
    names = tuple(str(name) for _, name in sorted((model.config.id2label or {}).items()))
    if len(set(names)) < len(names):
        raise InputError(f"model: expected different names for the labels of {path!r}, got {list(names)}.")
    positions = max_positions(model)
    limit = min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
    if max_length is not None and max_length > limit:
        raise InputError(f"max_length: expected at most the {limit} tokens that {path!r} can read, got {max_length}.")
    return Classifier(model, tokenizer, names, max_length or (limit if limit < 2**31 else _LONGEST))


def _load_model(path: str) -> PreTrainedModel:
    with loading("model", "a Hub id or the folder of a classifier", path), quiet_loading():
        model, info = AutoModelForSequenceClassification.from_pretrained(
            resolve_packaged_model(path), dtype=torch.float32, trust_remote_code=False, output_loading_info=True
        )
    if info["missing_keys"]:
        raise InputError(
            f"model: expected a trained classifier, got {path!r}, which has no weights for "
            f"{', '.join(sorted(info['missing_keys'])[:3])}; train it first with `textmix train`."
        )
    loaded: PreTrainedModel = model
    if loaded.config.num_labels == 1 or loaded.config.problem_type not in {None, "single_label_classification"}:
        raise InputError(
            f"model: expected a classifier that gives each text one of several labels, got {path!r} with "
            f"{loaded.config.num_labels} label(s) and problem_type {loaded.config.problem_type!r}."
        )
    return loaded
