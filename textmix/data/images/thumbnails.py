"""Images small enough to stand in a report."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LONGEST = 96
"""Pixels of the longer side, at most."""


def png(pixels: npt.NDArray[Any]) -> bytes:
    """Return an image as a PNG file, made smaller where it is large; of a tiny one every pixel becomes a square.

    :param pixels: (H, W, 3) from 0 to 255, of any number type; what lies outside is cut off.
    """
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    times = LONGEST // max(image.size)
    if times > 1:
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
