"""Jobs that start from saved predictions: measure one file, compare several runs."""

from textmix.evaluate.compare import Contest, compare_runs
from textmix.evaluate.file import Evaluation, evaluate_file

__all__ = ["Contest", "Evaluation", "compare_runs", "evaluate_file"]
