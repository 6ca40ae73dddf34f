"""Training and predicting: the only modules that know of processes and devices."""

from textmix.engine.launch import main_first, speaks, start, together
from textmix.engine.learner import total_epochs
from textmix.engine.loop import FitResult, fit
from textmix.engine.predict import predict, predict_logits
from textmix.engine.randomness import seed_generators

__all__ = [
    "FitResult",
    "fit",
    "main_first",
    "predict",
    "predict_logits",
    "seed_generators",
    "speaks",
    "start",
    "together",
    "total_epochs",
]
