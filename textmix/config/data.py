"""Where the examples come from."""

from dataclasses import dataclass
from typing import Literal

from textmix.config.bounds import check, check_choices


@dataclass(frozen=True)
class DataConfig:
    """Where the examples come from and how they are read."""

    path: str = "packaged:tweets"
    """Hub id; file (csv, tsv, json, jsonl, parquet); folder holding train.*, validation.*, test.*, as such or in a
    folder data, as copies of Hub data sets have it; data set written by save_to_disk; or packaged corpus
    (packaged:tweets, packaged:bbc)."""
    subset: str | None = None
    """Configuration name of a Hub data set that has several."""
    revision: str | None = None
    """Branch, tag or commit of a Hub data set."""
    text_column: str | tuple[str, ...] = "text"
    """Column that holds the text; of several names the first that is there."""
    text_pair_column: str | None = None
    """Column that holds the second text of a pair (entailment, paraphrase)."""
    label_column: str | tuple[str, ...] = "label"
    """Column that holds the label, class indices or names; of several names the first that is there."""
    image_column: str | None = None
    """Column that holds the image; giving it makes this a run on images. For a folder (<split>/<class>/<image>) and for
    packaged:digits it is image."""
    train_split: str = "train"
    """Name of the split to train on."""
    validation_split: str | None = "validation"
    """Name of the split that chooses epochs, alpha and temperature; where it is missing or null, a part of train
    serves."""
    test_split: str | None = "test"
    """Name of the split that is read once, to report; where it is missing or null, the summary has no test metrics."""
    validation_fraction: float = 0.1
    """Share of train that becomes validation (stratified) where the source has none."""
    split_seed: int = 13
    """Seed of that split, apart from the run's seed so that every run validates on the same examples."""
    train_examples: int | None = None
    """Train on this many examples only (stratified, chosen by split_seed)."""
    encoding: str = "utf-8"
    """Encoding of csv, tsv and json files, such as utf-8, latin-1 or cp1252."""
    max_length: int = 128
    """Longest text in tokens; longer ones are cut, and counted."""
    tokenizer: str = "words"
    """For cnn and lstm: words (a lower-case vocabulary of the training texts) or a Hugging Face tokenizer (Hub id,
    folder, packaged:minilm). A pretrained model always brings its own."""
    vocab_size: int = 30_000
    """Most words in the vocabulary, the frequent ones first."""
    min_count: int = 1
    """Words seen fewer times in the training texts become [UNK]."""
    image_size: int | None = None
    """Side in pixels that images are brought to, by resizing and cutting out the middle; null takes them as they are,
    all of one size. A pretrained model brings its own."""
    resize: int | None = None
    """Shorter side in pixels that images are resized to before that cut; null is image_size."""
    augment: tuple[Literal["crop", "flip", "resized_crop"], ...] = ()
    """Random changes of training images: crop (moved by up to crop_padding pixels), flip (left to right), resized_crop
    (a part of the image, stretched; instead of crop)."""
    crop_padding: int = 4
    """Pixels by which crop moves an image at most."""
    skip_corrupt: bool = False
    """Leave out images that can't be read, instead of stopping."""

    def __post_init__(self) -> None:
        check_choices(self, "data.")
        check(bool(self.path), "data.path", "a Hub id, file, folder or packaged corpus", self.path)
        columns = [_names(self.text_column), _names(self.text_pair_column), _names(self.label_column)]
        named = [name for names in columns for name in dict.fromkeys(names)]
        for key in ("text_column", "label_column"):
            check(len(_names(vars(self)[key])) > 0, f"data.{key}", "the name of a column", vars(self)[key])
        check(all(named), "data.text_column, data.label_column", "names of columns", named)
        keys = "data.text_column, data.text_pair_column, data.label_column"
        check(len({*named}) == len(named), keys, "another name in each", named)
        check(is_encoding(self.encoding), "data.encoding", "an encoding such as utf-8 or latin-1", self.encoding)
        check(
            0 < self.validation_fraction < 1, "data.validation_fraction", "a share in (0, 1)", self.validation_fraction
        )
        check(self.train_examples is None or self.train_examples >= 2, "data.train_examples", "at least 2",
               self.train_examples)  # fmt: skip
        check(self.split_seed >= 0, "data.split_seed", "an integer >= 0", self.split_seed)
        check(1 <= self.max_length < 2**31, "data.max_length", "an integer in [1, 2^31)", self.max_length)
        check(3 <= self.vocab_size < 2**31, "data.vocab_size", "an integer in [3, 2^31)", self.vocab_size)
        check(self.min_count >= 1, "data.min_count", "an integer >= 1", self.min_count)
        for key in ("image_size", "resize"):
            value = vars(self)[key]
            check(value is None or value >= 1, f"data.{key}", "an integer >= 1, or null", value)
        least = self.image_size or float("inf")
        check(self.resize is None or self.resize >= least, "data.resize", "at least data.image_size", self.resize)
        crops = {"crop", "resized_crop"}.intersection(self.augment)
        check(len(crops) < 2, "data.augment", "either crop or resized_crop", self.augment)
        check(self.crop_padding >= 1, "data.crop_padding", "an integer >= 1", self.crop_padding)

    @property
    def kind(self) -> Literal["texts", "images"]:
        """What the examples are."""
        return "texts" if self.image_column is None else "images"


def _names(column: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (column,) if isinstance(column, str) else column or ()


def is_encoding(name: str) -> bool:
    """Tell whether text can be read in the encoding `name`."""
    try:
        "".encode(name)
    except (LookupError, ValueError):  # unknown, or of bytes rather than of text
        return False
    return True
