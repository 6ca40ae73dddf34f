"""Images: read, decoded once or by the processes that read batches ahead, and standardised on the model's device."""

from textmix.data.images.examples import ImageExamples
from textmix.data.images.splits import load_image_splits, load_images

__all__ = ["ImageExamples", "load_image_splits", "load_images"]
