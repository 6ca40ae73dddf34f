"""From a configuration to splits of images, standardised by what was measured on the training split."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import BaseImageProcessor

from textmix.config import Config, DataConfig
from textmix.data.divide import complete, labelled_parts
from textmix.data.images.decode import DecodedOnRead, Decoder, Looked, look_at, open_image, where
from textmix.data.images.examples import ImageExamples, PixelSource
from textmix.data.images.processor import plain_processor, pretrained_processor, size_of, standard_of, with_statistics
from textmix.data.images.sources import read_images
from textmix.data.parts import Part, names_of
from textmix.data.sources import WHOLE
from textmix.data.splits import Splits
from textmix.errors import InputError
from textmix.predictions.core import UNLABELLED

log = logging.getLogger(__name__)

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
    splits = {
        role: ImageExamples(names_of(o.part), o.part.labels, o.pixels, decoder.size, standard, data)
        for role, o in opened.items()
    }
    notes = {f"corrupt_{role}": len(o.looked.problems) for role, o in opened.items()}
    notes |= _count_shared({role: o.looked.hashes for role, o in opened.items()})
    notes |= {f"absent_classes_{role}": len(names) - len(np.unique(o.part.labels)) for role, o in opened.items()}
    _tell(notes, {role: len(examples) for role, examples in splits.items()})
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
    tables = read_images(path, config.data, labelled=False)
    if WHOLE in tables:
        part = labelled_parts(tables)[0]["test"]
    else:
        table = tables["test"] if "test" in tables else tables["train"]
        part = Part(table, np.arange(len(table)), np.empty(len(table), np.int64))
    decoder = Decoder(processor, size_of(processor), exact=False)
    opened = _open(part, decoder, config.data, kept_bytes)
    labels = np.full(len(opened.part), UNLABELLED)
    return ImageExamples(
        names_of(opened.part), labels, opened.pixels, decoder.size, standard_of(processor), config.data
    )


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
            image = open_image(train.table.columns["image"][row].as_py())
        except InputError:  # counted later
            continue
        size = (image.height, image.width)
        return Decoder(plain_processor(size, None), size, exact=True)
    raise InputError(f"{train.table.name}: expected images, got {len(train)} that can't be read.")


def _count_shared(hashes: dict[str, npt.NDArray[np.uint64]]) -> dict[str, int]:
    """Count the images whose file is, byte by byte, in an earlier split: train, then validation, then test."""
    seen, notes = hashes["train"], {}
    for role in ("validation", "test"):
        if role in hashes:
            notes[f"shared_{role}"] = int(np.isin(hashes[role], seen).sum())
            seen = np.concatenate([seen, hashes[role]])
    return notes


_TOLD = {
    "corrupt": "{count} images of {split} can't be read and were left out",
    "shared": "{count} of the {size} images of {split} are also among the images trained or selected on",
    "absent_classes": "{count} classes have no example in {split}",
}


def _tell(notes: dict[str, int], sizes: dict[str, int]) -> None:
    for note, count in notes.items():
        kind, split = note.rsplit("_", 1)
        if count:
            log.warning("%s", _TOLD[kind].format(count=count, split=split, size=sizes[split]))
