"""One split of images: batches of raw pixels on the host, and what the model takes on its device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textmix.config import DataConfig
from textmix.data.augment import draw_views, view
from textmix.data.batching import Indices
from textmix.data.images.processor import Standard
from textmix.data.images.thumbnails import png


class PixelSource(Protocol):
    """Images as arrays, in memory, on disk or made when they are asked for."""

    def __getitem__(self, indices: Indices) -> npt.NDArray[Any]:
        """Return the images of the rows `indices` as (B, H, W, 3), uint8 or float from 0 to 255."""


@dataclass(frozen=True, eq=False)
class ImageExamples:
    """One split of images (see :class:`textmix.data.batching.Examples`)."""

    ids: Sequence[str]
    labels: npt.NDArray[np.int64]
    pixels: PixelSource
    size: tuple[int, int]
    standard: Standard
    config: DataConfig
    lengths: None = None
    texts: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def thumbnails(self, indices: Indices) -> list[bytes]:
        """Return the images of the rows `indices`, as the model is shown them, as small PNG files."""
        return [png(image) for image in self.pixels[indices]]

    def batch(self, indices: Indices) -> dict[str, Tensor]:
        """Return pixel_values (B, 3, H, W), from 0 to 255 and laid out with the colours last, and labels (B,)."""
        pixels = torch.from_numpy(self.pixels[indices]).permute(0, 3, 1, 2)
        return {"pixel_values": pixels, "labels": torch.from_numpy(self.labels[indices])}

    def transform(self, inputs: dict[str, Tensor], seed: tuple[int, int, int, int] | None) -> dict[str, Tensor]:
        """Turn a batch, on whatever device it is, into what the model takes: standardised float32.

        The colours stay last in memory, as in the weights of the model.

        :param seed: (seed, epoch, step, rank) that decide the augmentation in training; None shows images as they are.
        """
        pixels = inputs["pixel_values"].float()
        maps = None if seed is None else draw_views(self.config, len(pixels), self.size, seed)
        if maps is not None:
            pixels = view(pixels, maps)
        return {**inputs, "pixel_values": self.standard(pixels).contiguous(memory_format=torch.channels_last)}
