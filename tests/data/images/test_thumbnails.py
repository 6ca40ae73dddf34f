import io

import numpy as np
import pytest
from PIL import Image

from textmix.data.images.thumbnails import png


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("size", "shown"), [((8, 8), (96, 96)), ((32, 32), (96, 96)), ((60, 60), (60, 60)), ((224, 448), (48, 96))]
)
def test_every_size_becomes_a_small_one(size, shown):
    assert opened(png(np.zeros((*size, 3), np.uint8))).shape == (*shown, 3)


def test_a_tiny_image_keeps_its_pixels_as_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(opened(png(pixels))[::12, ::12], pixels)
    np.testing.assert_array_equal(opened(png(pixels))[11::12, 11::12], pixels)


def test_numbers_are_rounded_and_cut_off():
    assert opened(png(np.full((60, 60, 3), [-7.0, 99.6, 300.0])))[0, 0].tolist() == [0, 100, 255]
