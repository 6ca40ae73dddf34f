"""What every section shares: bounds that are checked where a section is made, and names with a meaning."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

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


def check_choices(section: object, prefix: str = "") -> None:
    """Refuse, in every field of a dataclass whose annotation names its choices (Literal), what is none of them.

    :param prefix: section of the keys, such as ``mixup.``
    :raises InputError: there is such a value.
    """
    for name, hint in get_type_hints(type(section)).items():
        if Literal in (get_origin(part) for part in (hint, *get_args(hint))):
            check(_fits(value := vars(section)[name], hint), f"{prefix}{name}", _either(_choices(hint)), value)


def _fits(value: object, hint: Any) -> bool:
    """Tell whether `value` is one of the texts, the null or the list that `hint` allows; other types are not judged."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in parts
    if get_origin(hint) is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(item, parts[0]) for item in value)
    return any(_fits(value, part) for part in parts) if parts else value is None or hint is not NoneType


def _choices(hint: Any) -> list[str]:
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return list(parts)
    if get_origin(hint) is tuple:
        return [f"a list of {_either(choices)}" if (choices := _choices(parts[0])) else "a list"]
    return ["null"] if hint is NoneType else [choice for part in parts for choice in _choices(part)]


def _either(choices: list[str]) -> str:
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last


def check_statistics(bins: int, resamples: int, prefix: str = "") -> None:
    """Refuse numbers of bins and resamples with which nothing, or nothing in a lifetime, can be measured.

    :param prefix: section of the keys, such as ``eval.``
    :raises InputError: a number is too small or too large.
    """
    check(1 <= bins <= 10_000, f"{prefix}bins", "an integer in [1, 10000]", bins)
    check(100 <= resamples <= 1_000_000, f"{prefix}resamples", "an integer in [100, 1000000]", resamples)
