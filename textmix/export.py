"""The model folder: what ``pipeline("text-classification", model=...)`` loads, calibrated if asked, and on the Hub."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library it was built on
from torch import Tensor, nn
from transformers import PreTrainedModel
from yaml import YAMLError

from textmix.config import ExportConfig
from textmix.data import resolve_packaged_model
from textmix.errors import InputError, RunError
from textmix.models.pretrained import BAKED


class Saveable(Protocol):
    """What is saved beside a model: its tokenizer, or its image processor."""

    def save_pretrained(self, save_directory: Path) -> object:
        """Write its files into a folder."""


def save_model(model: PreTrainedModel, processor: Saveable, folder: Path) -> None:
    """Save the model and its tokenizer to `folder`, which holds the whole of them or what it held before."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    processor.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def baked_temperature(model: PreTrainedModel) -> float:
    """Return what the logits of `model` have been divided by since its training; 1 for most models."""
    return float(model.config.to_dict().get(BAKED, 1.0))


@torch.no_grad()
def bake(model: PreTrainedModel, temperature: float, probe: Mapping[str, Tensor]) -> None:
    """Divide the last layer of `model` by `temperature`, so that its logits come out calibrated wherever it is loaded.

    The layer is the linear one with an output a label for which this divides the logits of `probe`, too. The
    temperature is written into the model's configuration.

    :param probe: inputs of the model.
    :raises InputError: the model has a temperature in it already, or no such layer.
    """
    name = type(model).__name__
    if BAKED in model.config.to_dict():
        raise InputError(
            f"calibration.bake: expected a {name} whose logits are raw, got one that was divided by "
            f"{baked_temperature(model):.4g} already."
        )
    inputs = {key: values.to(model.device) for key, values in probe.items() if key != "labels"}
    model.eval()
    wanted = model(**inputs).logits / temperature
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for layer in [module for module in reversed(linear) if module.out_features == model.config.num_labels]:
        raw = {key: values.clone() for key, values in layer.state_dict().items()}
        for parameter in layer.parameters():
            parameter.div_(temperature)
        if torch.allclose(model(**inputs).logits, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max())):
            setattr(model.config, BAKED, temperature)
            return
        layer.load_state_dict(raw)
    raise InputError(
        f"calibration.bake: expected a linear layer of {name} that gives the logits, found none; set calibration.bake "
        "false and divide the logits by the temperature in summary.json."
    )


def base_license(path: str) -> str | None:
    """Return the licence that the card of a pretrained model names; None where there is no card, or none to be had.

    :param path: Hub id, folder or packaged:minilm.
    """
    folder = Path(resolve_packaged_model(path))
    try:
        card = ModelCard.load(str(folder / "README.md") if folder.is_dir() else path)
    except (OSError, ValueError, HTTPError, YAMLError):
        return None
    named: str | None = card.data.license
    return named


def push_to_hub(run: Path, config: ExportConfig) -> str:
    """Upload the model folder of the finished run and its card, in one commit; return where it can be seen.

    :raises RunError: the Hub can't be reached or does not let us.
    """
    repository, model = str(config.push_to_hub), run / "model"
    files = [(file.name, file) for file in sorted(model.iterdir())] + [("README.md", run / "README.md")]
    api = HfApi()
    try:
        api.create_repo(repository, private=config.private, exist_ok=True)
        done = api.create_commit(
            repository,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=file) for name, file in files],
            commit_message=f"Upload {run.resolve().name}, trained with textmix",
        )
    except (OSError, ValueError, HTTPError) as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{run}: the run is finished, but its model could not be uploaded to {repository} ({reason}); try again "
            f"with `hf upload {repository} {model}`."
        ) from error
    return str(done.commit_url)
