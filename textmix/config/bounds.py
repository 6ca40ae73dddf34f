"""What every section shares: bounds that are checked where a section is made, and names with a meaning."""

from textmix.errors import InputError

PACKAGED = "packaged:"
"""Prefix of a corpus or model that an installed package carries, such as ``packaged:tweets``."""

NOISE = "noise"
"""In `eval.ood`: noise like the training examples."""


def check(ok: bool, key: str, expected: str, value: object) -> None:
    """Refuse the value of a configuration key.

    :raises InputError: `ok` is false.
    """
    if not ok:
        raise InputError(f"{key}: expected {expected}, got {value!r}.")
