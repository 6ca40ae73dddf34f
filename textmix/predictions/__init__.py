"""Saved predictions: what every metric, figure and comparison starts from."""

from textmix.predictions.core import OOD_PREFIX, Predictions, aligned, save
from textmix.predictions.readers import load
from textmix.predictions.thumbnails import load_thumbnails, save_thumbnails

__all__ = ["OOD_PREFIX", "Predictions", "aligned", "load", "load_thumbnails", "save", "save_thumbnails"]
