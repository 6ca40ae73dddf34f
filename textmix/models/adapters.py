"""Adapters: few new weights beside the pretrained ones (package peft), and how they become part of them."""

from collections.abc import Sequence
from importlib.util import find_spec

from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from textmix.config import PeftConfig
from textmix.errors import InputError


def add_adapters(model: PreTrainedModel, config: PeftConfig, new: Sequence[str]) -> None:
    """Freeze the pretrained weights of `model` and put trainable adapters beside them.

    The classifier, and every weight in `new`, is trained as a whole: nothing pretrained is lost there.

    :param new: names of the weights that were not in the checkpoint.
    :raises InputError: peft is not installed, or no module fits ``peft.target_modules``.
    """
    if find_spec("peft") is None:
        raise InputError('peft.kind: needs the package peft; run `pip install "textmix[peft]"`.')
    from peft import LoraConfig, inject_adapter_in_model  # an extra

    fresh = [parameter for name, parameter in model.named_parameters() if name in new]
    lora = LoraConfig(
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules) or "all-linear",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2's, stored transposed
    )
    try:
        inject_adapter_in_model(lora, model.base_model)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"peft.target_modules: {list(config.target_modules)} does not fit {type(model).__name__}: {reason}"
        ) from error
    for parameter in fresh:
        parameter.requires_grad = True


def merge_adapters(model: PreTrainedModel) -> None:
    """Add what the adapters of `model` learnt to its weights, and remove them; without adapters nothing changes."""
    if find_spec("peft") is None:
        return
    from peft.tuners.tuners_utils import BaseTunerLayer  # an extra

    for path, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            model.set_submodule(path, layer.get_base_layer())
