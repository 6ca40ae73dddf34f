"""Adapters: few new weights beside the pretrained ones (package peft), and how they become part of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from textmix.config import PeftConfig
from textmix.errors import InputError


def add_adapters(model: PreTrainedModel, config: PeftConfig, new: Sequence[str], example: Mapping[str, Tensor]) -> None:
    """Freeze the pretrained weights of `model` and put trainable adapters beside them.

    The classifier, and every weight in `new`, is trained as a whole: nothing pretrained is lost there.

    :param new: names of the weights that were not in the checkpoint.
    :param example: inputs, on which the model is tried with its adapters.
    :raises InputError: peft is not installed, no module fits ``peft.target_modules``, one that does shares its weight
        with another, or the model can't run with adapters.
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
    except Exception as error:  # of whatever kind: peft meets modules that it does not know
        raise InputError(
            f"peft.target_modules: {list(config.target_modules)} does not fit {type(model).__name__}: {_reason(error)}"
        ) from error
    for parameter in fresh:
        parameter.requires_grad = True
    _check_unshared(model)
    _try(model, example)


def _check_unshared(model: PreTrainedModel) -> None:
    """Refuse adapters on a weight that other modules read, too: merged into it, they would change those as well.

    :raises InputError: there is such a weight.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer  # an extra

    paths = defaultdict(list)
    for path, parameter in model.named_parameters(remove_duplicate=False):
        paths[parameter].append(path.removesuffix(".weight").removesuffix(".base_layer"))
    layers = [module.get_base_layer() for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for sharing in (paths[parameter] for layer in layers for parameter in layer.parameters()):
        if len(sharing) > 1:
            raise InputError(
                f"peft.target_modules: expected modules of {type(model).__name__} with weights of their own, got one "
                f"that {' and '.join(sharing)} share, so that adapters can't be merged into it; name other modules."
            )


@torch.no_grad()
def _try(model: PreTrainedModel, example: Mapping[str, Tensor]) -> None:
    training = model.training
    model.eval()
    try:
        model(**{name: values for name, values in example.items() if name != "labels"})
    except Exception as error:  # of whatever kind: a module may be used in a way that its adapter does not know
        raise InputError(
            f"peft.kind: {type(model).__name__} fails with adapters in it ({_reason(error)}); name other modules with "
            "peft.target_modules, or train all weights with peft.kind none."
        ) from error
    model.train(training)


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def merge_adapters(model: PreTrainedModel) -> None:
    """Add what the adapters of `model` learnt to its weights, and remove them; without adapters nothing changes."""
    if find_spec("peft") is None:
        return
    from peft.tuners.tuners_utils import BaseTunerLayer  # an extra

    for path, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            model.set_submodule(path, layer.get_base_layer())
