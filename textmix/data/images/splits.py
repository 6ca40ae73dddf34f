"""From a configuration to splits of images, standardised by what was measured on the training split."""

from dataclasses import dataclass

from transformers import BaseImageProcessor

from textmix.config import Config, DataConfig
from textmix.data.divide import complete, labelled_parts, outside_part
from textmix.data.images.decode import DecodedOnRead, Decoder, Looked, encoded, look_at, open_image, where
from textmix.data.images.examples import ImageExamples, PixelSource
from textmix.data.images.processor import (
    Standard,
    plain_processor,
    pretrained_processor,
    size_of,
    standard_of,
    with_statistics,
)
from textmix.data.images.sources import read_images
from textmix.data.notes import count_absent, count_shared, tell
from textmix.data.parts import Part, names_of
from textmix.data.splits import Splits
from textmix.errors import InputError

KEPT_BYTES = 2 << 30
"""Decoded pixels of a split up to this many bytes are kept on disk; larger splits are decoded for every batch."""


def load_image_splits(config: Config, kept_bytes: int = KEPT_BYTES) -> Splits:
    """Read the source, divide it, and look at its images.

    :raises InputError: the source is missing or holds what can't be trained on.
    """
    data = config.data
    parts, names = labelled_parts(read_images(data.path, data))
    parts = complete(parts, data)
    decoder = _decoder_for(config, parts["train"])
    opened = {role: _open(part, decoder, data, kept_bytes) for role, part in parts.items()}
    train = opened["train"]
    processor = decoder.processor
    if config.model.name != "pretrained":  # which standardises as it was trained
        processor = with_statistics(processor, train.looked.histogram)
    standard = standard_of(processor)
    splits = {role: _examples(o, decoder, standard, data) for role, o in opened.items()}
    notes = {f"corrupt_{role}": len(o.looked.problems) for role, o in opened.items()}
    notes |= count_shared({role: o.looked.hashes for role, o in opened.items()})
    parts = {role: o.part for role, o in opened.items()}
    notes |= count_absent(parts, names)
    tell(notes, parts)
    return Splits(splits["train"], splits["validation"], splits.get("test"), names, processor, notes)


def load_images(
    path: str, config: Config, processor: BaseImageProcessor, kept_bytes: int = KEPT_BYTES
) -> ImageExamples:
    """Read images that lie outside the classes, from any source that `data.path` could name; every label is -1.

    Of a source with splits the test split is taken, else the training split; of a packaged corpus the tenth that a run
    on it would test with. Its only column of images is read, whatever its name. `processor` is that of the model: the
    images are brought to its size and standardised as it was trained.

    :raises InputError: the source is missing or has no such images.
    """
    decoder = Decoder(processor, size_of(processor), exact=False)
    opened = _open(outside_part(read_images(path, config.data, labelled=False)), decoder, config.data, kept_bytes)
    return _examples(opened, decoder, standard_of(processor), config.data)


@dataclass(frozen=True, eq=False)
class _Opened:
    """The readable rows of a part, what was found in it, and where its pixels come from."""

    part: Part
    looked: Looked
    pixels: PixelSource


def _open(part: Part, decoder: Decoder, data: DataConfig, kept_bytes: int) -> _Opened:
    """Look at a part's images and leave out, or refuse, what can't be read."""
    keep = len(part) * decoder.size[0] * decoder.size[1] * 3 <= kept_bytes
    looked = look_at(part, decoder, keep_pixels=keep)
    if looked.problems and not data.skip_corrupt:
        row, reason = looked.problems[0]
        raise InputError(
            f"{where(part, row)}: can't be read ({reason}), as {len(looked.problems)} of the {len(part)} images of "
            f"{part.table.name}; mend or remove them, or set data.skip_corrupt: true."
        )
    readable = part.where(looked.readable)
    if len(readable) == 0:
        raise InputError(f"{part.table.name}: expected images, got {len(part)} that can't be read.")
    return _Opened(readable, looked, DecodedOnRead(readable, decoder) if looked.pixels is None else looked.pixels)


def _examples(opened: _Opened, decoder: Decoder, standard: Standard, data: DataConfig) -> ImageExamples:
    return ImageExamples(names_of(opened.part), opened.part.labels, opened.pixels, decoder.size, standard, data)


def _decoder_for(config: Config, train: Part) -> Decoder:
    """Choose how images are sized: as the pretrained model has it, as configured, or not at all."""
    data = config.data
    if config.model.name == "pretrained":
        processor = pretrained_processor(str(config.model.path))
        return Decoder(processor, size_of(processor), exact=False)
    if data.image_size is not None:
        size = (data.image_size, data.image_size)
        return Decoder(plain_processor(size, data.resize or data.image_size), size, exact=False)
    for row in train.rows.tolist():
        try:
            image = open_image(encoded(train, row))
        except InputError:  # counted later
            continue
        size = (image.height, image.width)
        return Decoder(plain_processor(size, None), size, exact=True)
    raise InputError(f"{train.table.name}: expected images, got {len(train)} that can't be read.")
