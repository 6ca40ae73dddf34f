"""The folder of a run: where it is, whose it is, and what in it says that the run is finished."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from textmix.config import PACKAGED, Config
from textmix.errors import InputError
from textmix.files import write_text

CONFIG, SUMMARY = "config.yaml", "summary.json"


def run_dir(config: Config, config_file: str | None) -> Path:
    """Return ``config.output_dir``, or ``runs/<name>-<seed>``, named after the configuration file or the data."""
    if config.output_dir is not None:
        return Path(config.output_dir)
    source = config_file or config.data.path.removeprefix(PACKAGED)
    name = Path(source).resolve().stem if config_file else Path(source).name
    return Path("runs") / f"{name}-{config.seed}"


def is_finished(folder: Path, config: Config) -> bool:
    """Tell whether `folder` holds this very run, finished.

    :raises InputError: it holds something else: a run with another configuration, or no run at all.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder for the run, got a file; give another --output_dir.")
    if not (folder / CONFIG).exists():
        if any(folder.iterdir()):
            raise InputError(
                f"{folder}: expected an empty folder or a run, got other files; give another --output_dir."
            )
        return False
    there, here = _flat(_read(folder / CONFIG)), _flat(_plain(config))
    differing = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
    if differing:
        told = ", ".join(f"{key} is {there.get(key)!r} there and {here.get(key)!r} here" for key in differing)
        raise InputError(f"{folder}: holds a run with another configuration ({told}); give another --output_dir.")
    return (folder / SUMMARY).exists()


def begin(folder: Path, config: Config) -> None:
    """Make the folder and write the resolved configuration, which starts the same run again.

    :raises InputError: the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, yaml.safe_dump(_plain(config), sort_keys=False))
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be written to, got: {error.strerror}.") from error
    for name in ("metrics.jsonl", "timing.jsonl"):
        (folder / name).unlink(missing_ok=True)


def _plain(config: Config) -> dict[str, Any]:
    """Return the configuration as YAML can hold it, without the place of the run, which does not decide its result."""
    values = asdict(config)
    del values["output_dir"]
    plain: dict[str, Any] = _untuple(values)
    return plain


def _untuple(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untuple(item) for key, item in value.items()}
    return [_untuple(item) for item in value] if isinstance(value, tuple) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: expected the configuration of a run, got: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected the configuration of a run, got {type(values).__name__}.")
    return values


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
