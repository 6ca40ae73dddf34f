"""A trained classifier at work: on files of any size, with a column that says when to ask a human."""

from textmix.predict.classifier import Classifier, load_classifier
from textmix.predict.job import Done, predict_file

__all__ = ["Classifier", "Done", "load_classifier", "predict_file"]
