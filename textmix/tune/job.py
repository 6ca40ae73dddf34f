"""textmix tune: trial after trial until the budget is spent, then the best settings as a file; test stays unread."""

import hashlib
import json
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from textmix.command import make_parser, read_values
from textmix.config import Config
from textmix.config.keys import flat, nested
from textmix.engine.stop import StopRequest, stop_requests
from textmix.errors import InputError, RunError
from textmix.files import local_path, write_text
from textmix.options import TuneConfig
from textmix.report import text_table
from textmix.run_files import read_summary
from textmix.run_folder import clear_finished, is_finished, locked, plain
from textmix.sweep.job import LAUNCHERS
from textmix.sweep.launch import Share, Task
from textmix.sweep.pace import spoken
from textmix.sweep.tasks import log_of, share_of, tail, train_task
from textmix.tune.study import complete, forget, open_study, suggest

logger = logging.getLogger(__name__)

SHOWN = 10
"""Best trials that are shown."""
_METRICS = ("accuracy", "nll", "ece")
_MOST_FAILED = 3
"""Trials that fail before any gives a number, after which a search stops."""
_MOST_USELESS = 100
"""Suggestions in a row that were tried before or can't be trained; then the search is over."""


def tune(config: TuneConfig, name: str) -> None:
    """Search, and write the best settings to best.yaml, which ``textmix train --config`` takes.

    What is minimised is the NLL on validation of the model as it would be saved: at its temperature where
    ``calibration.bake`` is true.

    :param name: of the search, and of its folder where the configuration names none.
    :raises InputError: the search can't be made as it is.
    :raises RunError: no trial succeeded.
    :raises SystemExit: a signal asked to stop; the trials under way have saved, and the exit code is 128 + its number.
    """
    folder = Path("runs") / f"tune-{name}" if config.output_dir is None else local_path(config.output_dir)
    share = share_of(config.jobs, config.train.threads, config.launcher, config.gpus)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), stop_requests() as request:
        search = Search(config, folder)
        for ended in LAUNCHERS[config.launcher](search.tasks(share, request), config.jobs, share, request):
            if ended.code == 0 or not request.signal:
                search.ended(Path(ended.task.name), ended.code, ended.seconds)
        if search.complete:
            sys.stdout.write(_write_best(search))
    if request.signal:
        logger.warning("stopped by %s; the same command goes on with it.", signal.Signals(request.signal).name)
        raise SystemExit(128 + request.signal)
    for run in search.failed:
        sys.stdout.write(f"\n{run} failed; the last lines of {log_of(run)}:\n{tail(log_of(run))}\n")
    if not search.complete:
        raise RunError(f"{folder}: none of the trials succeeded; the last lines of those that failed are above.")


class Search:
    """A search under way: its study, and the trials that are being trained.

    A trial's folder is named after its settings, so that equal ones are trained once, and a trial that was stopped goes
    on when it is suggested again.
    """

    def __init__(self, config: TuneConfig, folder: Path) -> None:
        own = {field.name for field in fields(TuneConfig)} - {field.name for field in fields(Config)}
        self.config = config
        self.folder = folder
        self.base = flat(plain(Config(**{key: value for key, value in vars(config).items() if key not in own})))
        unknown = [key for key in config.search if key not in self.base]
        if unknown:
            raise InputError(f"search: expected options of train, such as mixup.alpha, got {unknown[0]!r}.")
        self.study = open_study(folder, config.search, self.base, config.seed)
        self._parser = make_parser(Config, "", "")
        self.under_way: dict[Path, Any] = {}
        self.failed: list[Path] = []

    @property
    def complete(self) -> list[Any]:
        """The trials that gave a number, the best first; no two have the same settings."""
        return complete(self.study)

    @property
    def _told(self) -> set[str]:
        return {trial.user_attrs["name"] for trial in self.complete}

    def tasks(self, share: Share, request: StopRequest) -> Iterator[Task]:
        """Yield the training of one trial after the other, as long as the budget and new suggestions last."""
        while not request.signal and self._has_budget():
            found = self._next()
            if found is None:
                logger.info("nothing that has not been tried was found any more.")
                return
            trial, settings, run = found
            self.under_way[run] = trial
            yield train_task(run, nested(settings), share)

    def ended(self, run: Path, code: int, seconds: float) -> None:
        """Note what a trial gave: its validation NLL, or that it failed."""
        trial = self.under_way.pop(run)
        trial.set_user_attr("seconds", seconds)
        if code:
            self.failed.append(run)
            forget(self.study, trial)
            logger.warning("%s: failed with exit code %d.", run, code)
            return
        value = self._tell(trial, run)
        clear_finished(run, keep_model=False)
        told = ", ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
        best = self.complete
        logger.info("%s: NLL %.4f in %s; best of %d: %.4f.", told, value, spoken(seconds), len(best), best[0].value)

    def _has_budget(self) -> bool:
        if self.config.trials is not None and len(self.complete) + len(self.under_way) >= self.config.trials:
            return False
        took = [trial.user_attrs["seconds"] for trial in self.study.trials if "seconds" in trial.user_attrs]
        if len(self.failed) >= _MOST_FAILED and not self.complete:
            return False  # nothing but failures, in this sitting: what was the matter before may be mended
        expected = fmean(took) * (1 + len(self.under_way)) if took else 0.0
        return bool((sum(took) + expected) / self.config.jobs <= 60 * self.config.minutes)

    def _next(self) -> tuple[Any, dict[str, Any], Path] | None:
        """Return a trial, its settings and its folder; None where nothing new was suggested."""
        for _ in range(_MOST_USELESS):
            trial = self.study.ask()
            chosen = {key: suggest(trial, key, space) for key, space in self.config.search.items()}
            # Neither test examples nor those outside the classes: nothing is chosen by them.
            settings = self.base | chosen | {"data.test_split": None, "eval.ood": []}
            name = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]
            run = self.folder / "trials" / name
            try:
                config = read_values(self._parser, Config, nested(settings), "search")
            except InputError as error:
                logger.info("not tried: %s", error)
                forget(self.study, trial)
                continue
            if run in self.under_way or run in self.failed or name in self._told:
                forget(self.study, trial)
            elif is_finished(run, config):
                self._tell(trial, run)
            else:
                return trial, settings, run
        return None

    def _tell(self, trial: Any, run: Path) -> float:
        summary = read_summary(run)
        found = summary["validation_calibrated" if summary["baked"] else "validation"]  # the model as it is saved
        trial.set_user_attr("name", run.name)
        for metric in _METRICS:
            trial.set_user_attr(metric, found[metric])
        self.study.tell(trial, found["nll"])
        return float(found["nll"])


def _write_best(search: Search) -> str:
    """Write the settings of the best trial, and return a table of the best ones."""
    trials, path = search.complete, search.folder / "best.yaml"
    told = f"the best of {len(trials)} trials, NLL {trials[0].value:.4f} on validation, where it was chosen"
    head = f"# Found by textmix tune: {told}.\n# textmix train --config {path}\n"
    write_text(path, head + yaml.safe_dump(nested(search.base | trials[0].params), sort_keys=False))
    rows = [
        {"NLL": f"{trial.value:.4f}"}
        | {metric: f"{trial.user_attrs[metric]:.4f}" for metric in _METRICS if metric != "nll"}
        | {key: _short(value) for key, value in trial.params.items()}
        for trial in trials[:SHOWN]
    ]
    return (
        f"{text_table(rows)}\nOn validation; test was not read. The first is in {path}: textmix train --config {path}\n"
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
