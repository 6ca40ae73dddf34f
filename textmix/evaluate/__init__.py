"""Jobs that measure: one file of predictions, several runs side by side; :mod:`textmix.evaluate.model` runs a model."""

from textmix.evaluate.compare import Contest, compare_runs
from textmix.evaluate.file import Evaluation, evaluate_file

__all__ = ["Contest", "Evaluation", "compare_runs", "evaluate_file"]
