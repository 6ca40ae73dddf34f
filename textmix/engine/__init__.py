"""Training and predicting: the only modules that know of processes and devices."""

from textmix.engine.launch import start
from textmix.engine.loop import FitResult, fit
from textmix.engine.predict import predict, predict_logits
from textmix.engine.randomness import seed_generators

__all__ = ["FitResult", "fit", "predict", "predict_logits", "seed_generators", "start"]
