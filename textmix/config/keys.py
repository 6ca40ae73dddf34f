"""Nested settings, and the same with dotted keys on one level."""

from collections.abc import Mapping
from typing import Any

from textmix.errors import InputError

MEASURED_ON = (
    "data.path", "data.subset", "data.revision", "data.label_column", "data.validation_split",
    "data.validation_fraction", "data.split_seed", "data.test_split",
)  # fmt: skip
"""Options that decide which examples a run is measured on: of runs that differ in them none is the better one."""


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level, with dotted keys.

    >>> flat({"mixup": {"alpha": 0.4}, "train.epochs": 3})
    {'mixup.alpha': 0.4, 'train.epochs': 3}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return result


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with dotted keys as a YAML file would hold them.

    :raises InputError: a key is both a section and a value.

    >>> nested({"mixup.alpha": 0.4, "mixup.labels": "soft", "seed": 3})
    {'mixup': {'alpha': 0.4, 'labels': 'soft'}, 'seed': 3}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        place = result
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise InputError(f"{key}: expected a section {section!r}, got the value {place!r}.")
        place[last] = value
    return result
