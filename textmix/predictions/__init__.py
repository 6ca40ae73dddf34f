"""Saved predictions: what every metric, figure and comparison starts from."""

from textmix.predictions.core import Predictions, aligned, save
from textmix.predictions.readers import load

__all__ = ["Predictions", "aligned", "load", "save"]
