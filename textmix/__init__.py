"""Train classifiers whose probabilities can be trusted.

The public names are loaded when they are first used, so that ``import textmix`` and the command line start at once.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "CalibrationState": "textmix.metrics",
    "InputError": "textmix.errors",
    "LossConfig": "textmix.config",
    "Mix": "textmix.mixup",
    "Mixup": "textmix.mixup",
    "MixupConfig": "textmix.config",
    "MixupTrainer": "textmix.trainer",
    "compare": "textmix.inference",
    "draw": "textmix.mixup",
    "ece": "textmix.metrics",
    "fit_temperature": "textmix.temperature",
    "oe": "textmix.metrics",
    "soft_cross_entropy": "textmix.losses",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module behind a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'textmix' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(_HOME)
