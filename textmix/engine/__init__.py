"""Training and predicting: the only modules that know of processes and devices."""

from textmix.engine.launch import seed_torch, start
from textmix.engine.loop import FitResult, fit
from textmix.engine.predict import predict, predict_logits

__all__ = ["FitResult", "fit", "predict", "predict_logits", "seed_torch", "start"]
