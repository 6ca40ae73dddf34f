"""From the bytes of an image file to pixels: each image is looked at once, and what was found is kept on disk."""

import hashlib
import io
import json
import logging
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from transformers import BaseImageProcessor

from textmix.data.batching import Indices
from textmix.data.cache import cached
from textmix.data.images.processor import sized
from textmix.data.parts import Part
from textmix.errors import InputError

log = logging.getLogger(__name__)

Pixels = npt.NDArray[np.uint8]
_PIECE = 256
"""Images that are in memory at a time while all are looked at."""
_DEEP_MODES = ("I", "F")
"""Beginnings of Pillow's modes with more than 8 bits a colour, whose conversion would cut off all that is bright."""
UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, Image.DecompressionBombError
)  # fmt: skip
"""What Pillow raises on damaged files."""


def encoded(part: Part, row: int) -> bytes:
    """Return the file of the image in a row of the part's table.

    :raises InputError: there is none.
    """
    image = part.table.columns["image"][row].as_py() or {"bytes": None, "path": None}
    if image["bytes"] is not None:
        return bytes(image["bytes"])
    if image["path"] is None:
        raise InputError("there is no image")
    try:
        return Path(image["path"]).read_bytes()
    except OSError as error:
        raise InputError(str(error.strerror)) from error


def open_image(content: bytes) -> Image.Image:
    """Decode an image into 8-bit RGB, turned as its camera was held; grey and palette images are converted, and
    transparency is dropped, as :func:`transformers.image_utils.load_image` does.

    :param content: the image's file.
    :raises InputError: it can't be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith(_DEEP_MODES):
                raise InputError(f"expected 8 bits a colour, got mode {image.mode}")
            # By way of RGBA, or Pillow warns of palettes with transparent colours.
            whole = ImageOps.exif_transpose(image)
            return whole.convert("RGBA").convert("RGB") if "transparency" in whole.info else whole.convert("RGB")
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError("no kind of image that is known") from error
    except UNREADABLE as error:
        raise InputError((str(error).splitlines() or [type(error).__name__])[0][:200]) from error


@dataclass(frozen=True)
class Decoder:
    """Turns RGB images into pixels of one `size` (height, width), as `processor` does; `exact` refuses other sizes."""

    processor: BaseImageProcessor
    size: tuple[int, int]
    exact: bool

    def key(self) -> tuple[object, ...]:
        """Return what decides the pixels."""
        return type(self.processor).__name__, self.processor.to_json_string(), self.exact

    def pixels(self, image: Image.Image) -> Pixels:
        """Return an image as uint8 (H, W, 3).

        :raises InputError: it has not the size that all images must have.
        """
        if not self.exact:
            return sized(self.processor, image)
        height, width = self.size
        if image.size != (width, height):
            raise InputError(
                f"expected {width} x {height} pixels as the first image has, got {image.width} x {image.height}; set "
                "data.image_size"
            )
        return np.asarray(image)


@dataclass(frozen=True, eq=False)
class Looked:
    """What was found in a part of N images.

    `readable` (N,) marks those that could be decoded; the arrays below are about these M alone: `hashes` (M,) of their
    files, `histogram` (3, 256) of their pixels' values and, where they were kept, `pixels` (M, H, W, 3).
    `problems` tells of the others: row and reason.
    """

    readable: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint64]
    histogram: npt.NDArray[np.int64]
    pixels: Pixels | None
    problems: list[tuple[int, str]]


def look_at(part: Part, decoder: Decoder, *, keep_pixels: bool) -> Looked:
    """Decode every image of a part, the first time it is asked for.

    :raises InputError: an image has another size than all must have.
    """
    key = ("images", part.key(), decoder.key(), keep_pixels)
    folder = cached(key, lambda made: _look(part, decoder, made, keep_pixels=keep_pixels))
    readable, found = np.load(folder / "readable.npy"), int(np.load(folder / "readable.npy").sum())
    return Looked(
        readable=readable,
        hashes=np.load(folder / "hashes.npy"),
        histogram=np.load(folder / "histogram.npy"),
        pixels=np.load(folder / "pixels.npy", mmap_mode="r")[:found] if keep_pixels else None,
        problems=[(row, reason) for row, reason in json.loads((folder / "problems.json").read_text())],
    )


def _look(part: Part, decoder: Decoder, folder: Path, *, keep_pixels: bool) -> None:
    log.info("%s: decoding %d images, once", part.table.name, len(part))
    shape = (len(part) if keep_pixels else 0, *decoder.size, 3)
    kept = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)
    readable = np.zeros(len(part), bool)
    histogram = np.zeros((3, 256), np.int64)
    hashes: list[int] = []
    problems: list[tuple[int, str]] = []
    for i, result in enumerate(_decoded(part, decoder)):
        if isinstance(result, str):
            problems.append((int(part.rows[i]), result))
            continue
        pixels, digest = result
        if keep_pixels:
            kept[len(hashes)] = pixels
        histogram += np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])
        hashes.append(digest)
        readable[i] = True
    kept.flush()
    np.save(folder / "readable.npy", readable)
    np.save(folder / "hashes.npy", np.array(hashes, np.uint64))
    np.save(folder / "histogram.npy", histogram)
    (folder / "problems.json").write_text(json.dumps(problems))


def _decoded(part: Part, decoder: Decoder) -> Iterator[tuple[Pixels, int] | str]:
    """Yield for each image its pixels and a hash of its file, or why it can't be read; on many threads, for Pillow
    decodes without holding Python's lock.
    """

    def decode(row: int) -> tuple[Pixels, int] | str:
        try:
            content = encoded(part, row)
            image = open_image(content)
        except InputError as error:
            return str(error)
        try:
            pixels = decoder.pixels(image)
        except InputError as error:
            raise InputError(f"{where(part, row)}: {error}.") from error
        return pixels, int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(part), _PIECE):
            yield from pool.map(decode, part.rows[start : start + _PIECE].tolist())


def where(part: Part, row: int) -> str:
    """Name an image: its file, or its row."""
    path = part.table.columns["image"][row].as_py()
    name = None if path is None or path["bytes"] is not None else path["path"]
    return name or f"{part.table.name}: row {row} (counted from 0)"


class DecodedOnRead:
    """The pixels of a part, decoded whenever they are asked for: by the processes that read batches ahead."""

    def __init__(self, part: Part, decoder: Decoder) -> None:
        self._part = part
        self._decoder = decoder

    def __getitem__(self, indices: Indices) -> Pixels:
        """Return the images of the rows `indices` as uint8 (B, H, W, 3).

        :raises InputError: an image, readable at the start of the run, is so no more.
        """
        return np.stack([self._decode(row) for row in self._part.rows[indices].tolist()])

    def _decode(self, row: int) -> Pixels:
        try:
            return self._decoder.pixels(open_image(encoded(self._part, row)))
        except InputError as error:
            raise InputError(
                f"{where(self._part, row)}: can't be read any more ({error}), though it could before the training; put "
                "the image back, and start the same command again."
            ) from error
