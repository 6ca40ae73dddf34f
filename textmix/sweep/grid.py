"""From a sweep to its runs: every combination of data set, model, size, method and seed, with its configuration."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from textmix.command import make_parser, read_values
from textmix.config import PACKAGED, Config
from textmix.config.keys import MEASURED_ON, flat, nested
from textmix.errors import InputError
from textmix.files import local_path
from textmix.options import SweepConfig, check_seeds

WHOLE = "all"
"""Name of the size of a sweep that has no sizes: all training examples."""

_SEEDS = "seeds"
_OURS = ("seed", "output_dir", "resume")
"""Options of train that the sweep itself decides."""
_LONGEST = 200
"""Bytes of a folder's name; most systems take 255 for a file's, which is the folder's with an ending."""

Cell = tuple[tuple[str, dict[str, Any]], ...]
"""Names and overrides of one data set, model, size and method."""


@dataclass(frozen=True)
class Run:
    """One training: its place in the grid, its settings as a file would hold them, and its folder.

    `changes` are the method's own settings, with dotted keys.
    """

    data: str
    model: str
    size: str
    method: str
    seed: int
    changes: dict[str, Any]
    settings: dict[str, Any]
    config: Config
    folder: Path

    @property
    def group(self) -> tuple[str, str, str]:
        """What only runs of other methods and seeds share: data set, model and size."""
        return self.data, self.model, self.size


def expand(sweep: SweepConfig, folder: Path) -> list[Run]:
    """Return the runs of a sweep, the first seed of everything before the second of anything.

    :param folder: of the sweep; each run gets a folder in it.
    :raises InputError: the settings of a run can't be used, two runs would share a folder, or a local copy is missing.
    """
    local = _local_copies(sweep)
    entries = [_entries(kind, sweep) for kind in ("data", "models", "sizes", "methods")]
    parser = make_parser(Config, "", "")
    runs = [run for cell in itertools.product(*entries) for run in _repetitions(sweep, cell, folder, local, parser)]
    runs.sort(key=lambda run: run.seed)  # stable: within a seed, the order of the file
    seen: dict[Path, Run] = {}
    for run in runs:
        other = seen.setdefault(run.folder, run)
        if other is not run:
            raise InputError(
                f"{run.method!r} on {run.data!r} and {other.method!r} on {other.data!r} would share the folder "
                f"{run.folder}; give them names that differ in letters or digits."
            )
        if len(run.folder.name.encode()) > _LONGEST or len(run.folder.parent.name.encode()) > _LONGEST:
            raise InputError(f"{run.method!r} on {run.data!r}: expected names to call a folder by; give shorter ones.")
    return runs


def chosen(runs: list[Run], only: tuple[str, ...]) -> list[Run]:
    """Return the runs that `only` speaks of: of each kind the names it holds, or all where it holds none.

    :raises InputError: a name that no data set, model, size or method has.
    """
    for kind in ("data", "model", "size", "method"):
        names = {getattr(run, kind) for run in runs}
        wanted = names.intersection(only) or names
        runs, only = [run for run in runs if getattr(run, kind) in wanted], tuple(n for n in only if n not in wanted)
    if only:
        raise InputError(f"only: expected names of data sets, models, sizes or methods of this sweep, got {only[0]!r}.")
    return runs


def fingerprint(sweep: SweepConfig) -> str:
    """Return a hash of what a sweep compares: not of where its data lie, and how and when it is run."""
    entries = [_entries(kind, sweep) for kind in ("data", "models", "sizes", "methods")]
    text = json.dumps([_base(sweep), entries, sweep.seeds], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _base(sweep: SweepConfig) -> dict[str, Any]:
    settings = flat(sweep.base)
    _refuse(settings, _OURS, "base")
    if _SEEDS in settings:
        check_seeds(settings[_SEEDS], f"base: {_SEEDS}")
    return settings


def _entries(kind: str, sweep: SweepConfig) -> list[tuple[str, dict[str, Any]]]:
    """Return names with overrides, or the one entry without a name of a kind that the sweep has not."""
    entries: Mapping[str, Mapping[str, Any]] = vars(sweep)[kind] or {"": {}}
    result = []
    for name, overrides in entries.items():
        settings = flat(overrides)
        _refuse(settings, _OURS, f"{kind}: {name}")
        if kind == "methods":
            _refuse(settings, MEASURED_ON, f"{kind}: {name}")
        if _SEEDS in settings:
            check_seeds(settings[_SEEDS], f"{kind}: {name}: {_SEEDS}")
        result.append((str(name), settings))
    return result


def _refuse(settings: Mapping[str, Any], keys: Sequence[str], place: str) -> None:
    found = [key for key in keys if key in settings]
    if found:
        told = "the sweep does not decide" if found[0] in _OURS else "choose no other data; these belong under data"
        raise InputError(f"{place}: expected options that {told}, got {found[0]}.")


def _repetitions(
    sweep: SweepConfig,
    cell: Cell,
    folder: Path,
    local: Mapping[str, str],
    parser: ArgumentParser,
) -> list[Run]:
    """Return a run for each seed of one combination of entries (data, model, size, method)."""
    settings: dict[str, Any] = {}
    for _, overrides in cell[:-1]:
        settings |= overrides
    settings = _base(sweep) | settings
    shared = Config().model
    of_group = settings.get("model.path", shared.path) or settings.get("model.name", shared.name)
    settings |= cell[-1][1]
    seeds = settings.pop(_SEEDS, sweep.seeds)
    settings = _on_local_copies(settings, local)
    data, model, size, method = (name for name, _ in cell)
    place = ", ".join(name for name in (data, model, size, method) if name)
    config = read_values(parser, Config, nested(settings), place)
    group = "-".join(_slug(name) for name in (data, model, size) if name)
    data = data or _last(config.data.path)
    model = model or _last(of_group)  # whatever a method makes of it: methods of one group are compared
    changes = {key: value for key, value in cell[-1][1].items() if key != _SEEDS}
    return [
        Run(
            data, model, size or WHOLE, method, seed, changes, nested(settings | {"seed": seed}),
            replace(config, seed=seed), folder / (group or _slug(data)) / f"{_slug(method)}-{seed}",
        )
        for seed in seeds
    ]  # fmt: skip


def _last(path: str) -> str:
    return Path(path.removeprefix(PACKAGED)).name


def _slug(name: str) -> str:
    """Return a name as a folder can have it.

    >>> _slug("RegMixup, alpha 0.4"), _slug("100 texts")
    ('regmixup-alpha-0.4', '100-texts')
    """
    return re.sub(r"[^\w.+-]+", "-", name.lower()).strip("-.")


def _local_copies(sweep: SweepConfig) -> dict[str, str]:
    """Return data.path -> local copy, for each data set that has one."""
    if sweep.data_root is None:
        return {}
    copies = {}
    for name, overrides in _entries("data", sweep):
        path = (_base(sweep) | overrides).get("data.path", "")
        if path and isinstance(path, str) and not path.startswith(PACKAGED):  # of another type is told of later
            copies[path] = str(local_path(sweep.data_root) / (name or Path(path).name))
    missing = [copy for copy in copies.values() if not Path(copy).exists()]
    if missing:
        raise InputError(f"data_root: expected a folder {missing[0]}, found none.")
    return copies


def _on_local_copies(settings: dict[str, Any], local: Mapping[str, str]) -> dict[str, Any]:
    path = settings.get("data.path", "")
    moved = {**settings}
    if isinstance(path, str) and path in local:
        moved |= {"data.path": local[path]}
        moved = {key: value for key, value in moved.items() if key not in {"data.subset", "data.revision"}}
    if isinstance(settings.get("eval.ood"), list):
        moved["eval.ood"] = [local.get(source, source) for source in settings["eval.ood"]]
    return moved
