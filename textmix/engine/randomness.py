"""The generators that a training draws from behind our back: dropout's, and those that some models use."""

import random
from typing import Any

import numpy as np
import torch

State = dict[str, Any]
"""Tensors, numbers, texts and tuples of them: what ``torch.load(weights_only=True)`` reads."""


def seed_generators(*key: int) -> None:
    """Seed every global generator from the integers of `key`, such that different keys give unrelated streams.

    Torch's draws the first weights and the dropout. Nothing of ours draws from Python's and numpy's, but BigBird's
    random attention does, and it is not alone.
    """
    words = np.random.SeedSequence(key).generate_state(4, np.uint64)
    torch.manual_seed(int(words[0]))
    random.seed(int(words[1]))
    np.random.seed(words[2:].view(np.uint32))  # noqa: NPY002


def random_state(device: torch.device) -> State:
    """Return the state of every generator that training on `device` may draw from."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
    }
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state()
    return state


def set_random_state(state: State, device: torch.device) -> None:
    """Go on drawing where :func:`random_state` was called."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state["device"])
