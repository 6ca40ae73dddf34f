"""What every section shares: bounds that are checked where a section is made, and names with a meaning."""

from textmix.errors import InputError

PACKAGED = "packaged:"
"""Prefix of a corpus or model that an installed package carries, such as ``packaged:tweets``."""

NOISE = "noise"
"""In `eval.ood`: noise like the training examples."""

NOISE_EMBEDDINGS = "noise:embeddings"
"""In `eval.ood`: noise like the embeddings of the training texts."""


def check(ok: bool, key: str, expected: str, value: object) -> None:
    """Refuse the value of a configuration key.

    :raises InputError: `ok` is false.
    """
    if not ok:
        raise InputError(f"{key}: expected {expected}, got {value!r}.")


def check_statistics(bins: int, resamples: int, prefix: str = "") -> None:
    """Refuse numbers of bins and resamples with which nothing, or nothing in a lifetime, can be measured.

    :param prefix: section of the keys, such as ``eval.``
    :raises InputError: a number is too small or too large.
    """
    check(1 <= bins <= 10_000, f"{prefix}bins", "an integer in [1, 10000]", bins)
    check(100 <= resamples <= 1_000_000, f"{prefix}resamples", "an integer in [100, 1000000]", resamples)
