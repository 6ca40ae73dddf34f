"""Mixup inside any model: draw the pairs, apply them at a site, get the targets."""

from textmix.mixup.draw import Mix, draw
from textmix.mixup.mixer import Mixup
from textmix.mixup.noise import EmbeddingNoise

__all__ = ["EmbeddingNoise", "Mix", "Mixup", "draw"]
