"""The image processor: saved beside the model, it sizes and standardises images for every tool as for training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, BaseImageProcessor, ViTImageProcessorPil

from textmix.data.corpora import resolve_packaged_model
from textmix.data.loading import loading
from textmix.errors import InputError


@dataclass(frozen=True)
class Standard:
    """Mean and standard deviation of each colour, (3,) each, of pixels from 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, 3, H, W) standardised."""
        mean, std = (torch.tensor(v).to(pixels.device, non_blocking=True).view(-1, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std


def plain_processor(size: tuple[int, int], resize: int | None) -> BaseImageProcessor:
    """Make a processor that brings images to `size` (height, width).

    :param resize: shorter side in pixels before the middle is cut out; None stretches images to `size`, which leaves
        those that have it as they are.
    """
    height, width = size
    box = {"height": height, "width": width}
    if resize is None:
        return ViTImageProcessorPil(size=box)
    return ViTImageProcessorPil(size={"shortest_edge": resize}, do_center_crop=True, crop_size=box)


def pretrained_processor(path: str) -> BaseImageProcessor:
    """Load the processor of a pretrained model.

    :raises InputError: there is none, or it does something that the engine would not.
    """
    with loading("model.path", "a Hub id or folder with an image processor", path):
        processor: BaseImageProcessor = AutoImageProcessor.from_pretrained(
            resolve_packaged_model(path), trust_remote_code=False
        )
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    whole = processor(image, return_tensors="pt")["pixel_values"]
    ours = standard_of(processor)(torch.from_numpy(sized(processor, image)).permute(2, 0, 1)[None].float())
    if not (whole.shape == ours.shape and torch.allclose(whole, ours, atol=1e-4)):
        raise InputError(
            f"model.path {path}: {type(processor).__name__} does more than resize, crop, rescale and normalise, "
            "which is all that training does; use another model."
        )
    return processor


def sized(processor: BaseImageProcessor, image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return an RGB image as `processor` resizes and cuts it, uint8 (H, W, 3)."""
    planes = processor(image, do_rescale=False, do_normalize=False)["pixel_values"][0]
    return np.moveaxis(np.asarray(planes, np.uint8), 0, -1)


def size_of(processor: BaseImageProcessor) -> tuple[int, int]:
    """Return the height and width that `processor` brings every image to.

    :raises InputError: they depend on the image.
    """
    shapes = {sized(processor, Image.new("RGB", size)).shape[:2] for size in ((300, 200), (200, 300))}
    if len(shapes) > 1:
        raise InputError(
            f"{type(processor).__name__}: expected images of one size, got {sorted(shapes)} for images of other shapes."
        )
    height, width = shapes.pop()
    return height, width


def with_statistics(processor: BaseImageProcessor, histogram: npt.NDArray[np.int64]) -> BaseImageProcessor:
    """Return a processor that standardises by the mean and deviation of the pixels counted in `histogram` (3, 256)."""
    share = histogram / histogram.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    std = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
    std = np.where(std > 0, std, 1)  # images of one colour
    return type(processor)(**{**processor.to_dict(), "image_mean": mean.tolist(), "image_std": std.tolist()})


def standard_of(processor: BaseImageProcessor) -> Standard:
    """Return how `processor` standardises."""
    options = processor.to_dict()
    unit = 1 / options["rescale_factor"] if options["do_rescale"] else 1.0
    mean, std = (options["image_mean"], options["image_std"]) if options["do_normalize"] else ((0.0,) * 3, (1.0,) * 3)
    return Standard(tuple(m * unit for m in mean), tuple(s * unit for s in std))
