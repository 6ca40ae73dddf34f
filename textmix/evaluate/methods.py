"""What is compared: methods, each with the predictions of its runs on the same examples."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textmix.config.keys import flat
from textmix.errors import InputError
from textmix.inference.pairing import align
from textmix.predictions import Predictions, load
from textmix.run_files import as_written, read_config, read_summary, used_temperature
from textmix.temperature import apply_temperature

log = logging.getLogger(__name__)

_SHOWN = 60
"""Characters of a text that a warning quotes."""
SEED_KEYS = ("seed", "output_dir")
"""Settings in which the repetitions of one method may differ."""


@dataclass(frozen=True)
class Method:
    """A way to make predictions: its name, its settings (empty for a file), and for each seed the predictions of a run
    and the run's own temperature, 1 where it has none.
    """

    name: str
    settings: dict[str, Any]
    runs: tuple[Predictions, ...]
    temperatures: tuple[float, ...]

    @property
    def has_temperature(self) -> bool:
        """Whether a run has a temperature of its own."""
        return any(temperature != 1 for temperature in self.temperatures)

    def scaled(self) -> "Method":
        """Return this method with each run's logits at the run's own temperature."""
        pairs = zip(self.runs, self.temperatures, strict=True)
        return replace(self, runs=tuple(replace(run, logits=apply_temperature(run.logits, t)) for run, t in pairs))


def read_methods(paths: Sequence[Path], part: str) -> list[Method]:
    """Read runs and files, and put runs together whose settings differ in the seed alone.

    :param part: the part of the data that is read of runs, as :func:`common_part` finds it.
    :raises InputError: a path can't be read, is given twice, repeats the seed of another run of its method, or holds
        predictions on other examples than the first.
    """
    repeated = sorted({str(path) for path in paths if paths.count(path) > 1})
    if repeated:
        raise InputError(f"{repeated[0]}: expected every run or file once, got it twice.")
    groups: dict[str, list[tuple[Path, dict[str, Any], Predictions, float]]] = {}
    of_seeds: dict[tuple[str, Any], Path] = {}
    reference: Predictions | None = None
    for path in paths:
        settings, seed, predictions, temperature = _read(path, part)
        reference = reference or predictions
        try:
            _, predictions = align([reference, predictions])
            _look_at_texts(reference, predictions, path)
        except InputError as error:
            raise InputError(f"{path}, compared with {paths[0]}: {error}") from error
        key = json.dumps(settings, sort_keys=True) if settings else str(path)
        twin = of_seeds.setdefault((key, seed), path)
        if twin is not path:
            raise InputError(
                f"{path}: expected another seed or other settings than those of {twin}, got the same: a copy is no "
                "repetition; leave one out."
            )
        groups.setdefault(key, []).append((path, settings, predictions, temperature))
    names = _names([[path for path, *_ in group] for group in groups.values()])
    methods = []
    for name, group in zip(names, groups.values(), strict=True):
        _, settings, runs, temperatures = zip(*group, strict=True)
        methods.append(Method(name, settings[0], runs, temperatures))
    return methods


def _look_at_texts(first: Predictions, other: Predictions, path: Path) -> None:
    """Warn of rows that may share no more than their id, which is the row's number where a file has no ids.

    They are not refused: models may read other columns of the same rows, or the same texts cleaned.
    """
    if first.texts is None or other.texts is None:
        return
    row = next((i for i, pair in enumerate(zip(first.texts, other.texts, strict=True)) if pair[0] != pair[1]), None)
    if row is not None:
        log.warning(
            "%s: other texts than in the first, such as %r instead of %r under id %r; if these are other examples, "
            "give both files an id column or the same order.",
            path, other.texts[row][:_SHOWN], first.texts[row][:_SHOWN], other.ids[row],
        )  # fmt: skip


def differences(first: Method, other: Method) -> list[str]:
    """Return in which settings `other` differs from `first`, as ``mixup.alpha 0.4 instead of 0.0``."""
    if not (first.settings and other.settings):
        return []
    here, there = flat(other.settings), flat(first.settings)
    return [
        f"{key} {here.get(key, 'absent')} instead of {there.get(key, 'absent')}"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    ]


def common_part(paths: Sequence[Path]) -> str:
    """Return `test`, or `validation` where a run has no test predictions: all are compared on the same examples."""
    runs = [path for path in paths if path.is_dir()]
    return "test" if all((run / "predictions" / "test.parquet").exists() for run in runs) else "validation"


def _read(path: Path, part: str) -> tuple[dict[str, Any], Any, Predictions, float]:
    """Return the settings of a run without its seed, the seed, the predictions and the temperature; of a file only the
    predictions, which stay as they are.
    """
    if not path.is_dir():
        return {}, None, load(path), 1.0
    with as_written(path):
        temperature = used_temperature(read_summary(path))
    config = read_config(path / "config.yaml")
    settings = {key: value for key, value in config.items() if key not in SEED_KEYS}
    return settings, config.get("seed"), load(path / "predictions" / f"{part}.parquet"), temperature


def _names(groups: Sequence[Sequence[Path]]) -> list[str]:
    """Name each group after its first path, with as many parents as it takes to tell the groups apart."""
    names: list[str] = []
    for depth in range(1, 1 + max(len(group[0].parts) for group in groups)):
        names = ["/".join(group[0].parts[-depth:]) for group in groups]
        if len(set(names)) == len(names):
            break
    return [
        name if len(group) == 1 else f"{name} and {len(group) - 1} more seeds"
        for name, group in zip(names, groups, strict=True)
    ]
