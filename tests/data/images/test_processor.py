import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ConvNextImageProcessorPil, EfficientNetImageProcessorPil, ViTImageProcessorPil

from textmix.data.images.processor import plain_processor, pretrained_processor, size_of, standard_of, with_statistics
from textmix.errors import InputError


def test_a_pretrained_processor_is_taken_as_it_is(tmp_path):
    colours = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    ConvNextImageProcessorPil(size={"shortest_edge": 28}, crop_pct=0.875, **colours).save_pretrained(tmp_path)
    processor = pretrained_processor(str(tmp_path))
    assert size_of(processor) == (28, 28)
    assert standard_of(processor).mean == pytest.approx((0.1 * 255, 0.2 * 255, 0.3 * 255))
    assert standard_of(processor).std == pytest.approx((0.4 * 255, 0.5 * 255, 0.6 * 255))


def test_a_processor_that_does_more_is_refused(tmp_path):
    EfficientNetImageProcessorPil(include_top=True, rescale_factor=1 / 127.5, rescale_offset=True).save_pretrained(
        tmp_path
    )
    with pytest.raises(InputError, match="EfficientNetImageProcessorPil does more than resize, crop, rescale"):
        pretrained_processor(str(tmp_path))


def test_no_processor_there(tmp_path):
    with pytest.raises(InputError, match=r"model\.path: expected .* an image processor, got .*none"):
        pretrained_processor(str(tmp_path / "none"))


def test_images_must_come_out_alike():
    with pytest.raises(InputError, match="expected images of one size, got"):
        size_of(ViTImageProcessorPil(size={"shortest_edge": 32}))


def test_statistics_of_a_histogram():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1000, 3)) // np.array([1, 2, 300])  # the last colour is always 0
    histogram = np.stack([np.bincount(pixels[:, c], minlength=256) for c in range(3)])
    processor = with_statistics(plain_processor((4, 6), None), histogram)
    assert size_of(processor) == (4, 6)
    np.testing.assert_allclose(processor.image_mean, (pixels / 255).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(processor.image_std[:2], (pixels / 255).std(axis=0)[:2], atol=1e-12)
    assert processor.image_std[2] == 1


@pytest.mark.parametrize("options", [{}, {"do_normalize": False}, {"do_rescale": False}, {"rescale_factor": 0.5}])
def test_standard_is_what_the_processor_does(options):
    processor = ViTImageProcessorPil(size={"height": 5, "width": 5}, **options)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8))
    theirs = processor(image, return_tensors="pt")["pixel_values"].float()
    ours = standard_of(processor)(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float())
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
