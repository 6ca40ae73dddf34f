"""The model folder: what ``pipeline("text-classification", model=...)`` loads."""

import shutil
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase


def save_model(model: PreTrainedModel, processor: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the model and its tokenizer to `folder`, which holds the whole of them or what it held before."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    processor.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
