"""Jobs made of runs: a grid of methods, data sets, models, sizes and seeds, its results, and the page they make."""

from textmix.sweep.job import sweep

__all__ = ["sweep"]
