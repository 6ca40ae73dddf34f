"""The files in which a run tells of itself: its summary, its configuration and its metrics."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from textmix.errors import InputError
from textmix.files import write_text


@contextmanager
def as_written(folder: Path) -> Iterator[None]:
    """Say in one sentence that the files of a run are not what textmix writes, where the body stumbles over them."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"{folder}: expected summary.json, config.yaml and metrics.jsonl as textmix writes them, got others "
            f"({type(error).__name__}: {str(error)[:200]}); restore them, or train again."
        ) from error


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the summary of a run.

    :raises InputError: it is missing or no JSON object.
    """
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: expected the summary of a finished run, got: {reason}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got: {error}; restore the file, or train again.") from error
    if not isinstance(summary, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(summary).__name__}.")
    return summary


def used_temperature(summary: Mapping[str, Any]) -> float:
    """Return what the logits of a run are divided by where its temperature is used; 1 where none was fitted, or none is
    best, for the model stays as it was trained.
    """
    return 1.0 if "temperature_reason" in summary else float(summary.get("temperature", 1.0))


def write_summary(summary: Mapping[str, Any], folder: Path) -> None:
    """Write summary.json into `folder`; it replaces the old one whole."""
    write_text(folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")


def read_config(path: Path) -> dict[str, Any]:
    """Read the resolved configuration of a run; empty where there is none.

    :raises InputError: it is no YAML mapping.
    """
    if not path.exists():
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: expected the configuration of a run, got: {str(error).splitlines()[0]}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected the configuration of a run, got {type(config).__name__}.")
    if not _is_plain(config):
        raise InputError(f"{path}: expected the configuration of a run, got keys or values that textmix never writes.")
    return config


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read what metrics.jsonl holds of the validation metrics, one record an epoch; empty where there is no file.

    :raises InputError: it is no JSON.
    """
    if not path.exists():
        return []
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected one JSON object a line, got: {error}; restore the file.") from error
    return [record for record in records if isinstance(record, dict) and record.get("event") == "validation"]
