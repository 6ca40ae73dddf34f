"""The configuration: one frozen dataclass per section, every field with its meaning, bounds checked where it is made.

Values come from defaults, a YAML file and ``--section.key value`` flags (see :mod:`textmix.cli`), or from Python.
This module imports nothing heavy, so that ``--help`` answers at once.
"""

from textmix.config.bounds import NOISE, NOISE_EMBEDDINGS, PACKAGED
from textmix.config.data import DataConfig
from textmix.config.model import ModelConfig, PeftConfig
from textmix.config.run import CalibrationConfig, Config, EvalConfig, ExportConfig
from textmix.config.training import LossConfig, MixupConfig, TrainConfig

__all__ = [
    "NOISE",
    "NOISE_EMBEDDINGS",
    "PACKAGED",
    "CalibrationConfig",
    "Config",
    "DataConfig",
    "EvalConfig",
    "ExportConfig",
    "LossConfig",
    "MixupConfig",
    "ModelConfig",
    "PeftConfig",
    "TrainConfig",
]
