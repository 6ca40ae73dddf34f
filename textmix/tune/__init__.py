"""A search for the settings with the lowest validation NLL, trial by trial, within a budget."""

from textmix.tune.job import tune

__all__ = ["tune"]
