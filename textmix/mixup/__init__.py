"""Mixup inside any model: draw the pairs, apply them at a site, get the targets."""

from textmix.mixup.draw import Mix, draw
from textmix.mixup.mixer import Mixup

__all__ = ["Mix", "Mixup", "draw"]
