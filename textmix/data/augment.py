"""Random views of images: drawn on the host without any state, applied to a whole batch on its device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from textmix.config import DataConfig

_STREAM = 1 << 63
"""Sets the counter apart from that of the mixing, which is drawn with the same seed, epoch, step and rank."""
_AREA = (0.08, 1.0)
_LOG_RATIO = (np.log(3 / 4), np.log(4 / 3))


def draw_views(
    config: DataConfig, batch_size: int, shape: tuple[int, int], seed: tuple[int, int, int, int]
) -> Tensor | None:
    """Draw which part of each image is seen, and which images are mirrored; the arguments alone decide.

    `flip` mirrors half of the images, `crop` moves them by up to `crop_padding` pixels each way and fills with black
    (He et al. 2016, section 4.2), `resized_crop` shows a part of 8 to 100 % of the area, of an aspect ratio between
    3/4 and 4/3, stretched to the image's size (Szegedy et al. 2015, section 6).

    :param shape: height and width of the images in pixels.
    :param seed: (seed, epoch, step, rank); `step` counts micro-batches.
    :return: affine maps (B, 2, 3) from the coordinates of the view to those of the image, both from -1 to 1; None where
        the configuration asks for no augmentation.
    """
    if not config.augment:
        return None
    key, epoch, step, rank = seed
    generator = np.random.Generator(np.random.Philox(key=key, counter=[_STREAM, step, epoch, rank]))
    scale, shift = np.ones((batch_size, 2)), np.zeros((batch_size, 2))  # along x and y
    if "crop" in config.augment:
        pixels = generator.integers(-config.crop_padding, config.crop_padding, (batch_size, 2), endpoint=True)
        shift = 2 * pixels / np.array(shape)[::-1]
    if "resized_crop" in config.augment:
        ratio = np.exp(generator.uniform(*_LOG_RATIO, batch_size) / 2)
        side = np.sqrt(generator.uniform(*_AREA, batch_size))
        scale = np.minimum(side[:, None] * np.stack([ratio, 1 / ratio], axis=1), 1)
        shift = generator.uniform(-1, 1, (batch_size, 2)) * (1 - scale)
    if "flip" in config.augment:
        scale[:, 0] *= generator.choice([-1, 1], batch_size)
    maps = np.zeros((batch_size, 2, 3), np.float32)
    maps[:, [0, 1], [0, 1]], maps[:, :, 2] = scale, shift
    return torch.from_numpy(maps)


def view(pixels: Tensor, maps: Tensor) -> Tensor:
    """Show each image through its map, bilinearly; what lies outside is black.

    >>> image = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> mirrored = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> view(image, mirrored)
    tensor([[[[3., 2., 1.]]]])

    :param pixels: float (B, C, H, W), 0 for black.
    :param maps: (B, 2, 3) as :func:`draw_views` gives them, on any device.
    """
    grid = F.affine_grid(maps.to(pixels.device, non_blocking=True), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)
