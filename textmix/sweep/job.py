"""textmix sweep: train what is not trained yet, then measure and compare all there is."""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from textmix.engine.stop import stop_requests
from textmix.errors import RunError
from textmix.files import local_path
from textmix.options import SweepConfig
from textmix.run_folder import clear_finished, is_finished
from textmix.sweep.cluster import launch_ray
from textmix.sweep.grid import Run, chosen, expand
from textmix.sweep.launch import Launcher
from textmix.sweep.local import launch_local
from textmix.sweep.pace import Pace, spoken
from textmix.sweep.page import text_page, write_page
from textmix.sweep.results import collect, write_results
from textmix.sweep.tasks import log_of, share_of, tail, train_task

logger = logging.getLogger(__name__)

LAUNCHERS: dict[str, Launcher] = {"local": launch_local, "ray": launch_ray}
"""The launchers, by the names that ``launcher`` gives them."""


def sweep(config: SweepConfig, name: str) -> None:
    """Train the runs of a sweep that are not finished, write results.json and its page, and show the comparison.

    A run under way that was stopped or died goes on from its newest checkpoint.

    :param name: of the sweep, and of its folder where the configuration names none.
    :raises InputError: the sweep can't be run as it is; nothing was started.
    :raises RunError: runs failed; the others were trained and compared all the same.
    :raises SystemExit: a signal asked to stop; all runs under way have saved, and the exit code is 128 + its number.
    """
    folder = local_path(config.output_dir) if config.output_dir is not None else Path("runs") / "sweeps" / name
    runs = expand(config, folder)
    waiting = [run for run in chosen(runs, config.only) if not is_finished(run.folder, run.config)]
    logger.info("%s: %d runs, %d of them to train.", folder, len(runs), len(waiting))
    failed = _train(waiting, config)
    finished = [run for run in runs if is_finished(run.folder, run.config)]
    if finished:
        results = collect(config, name, runs, finished)
        write_results(results, folder / "results.json")
        write_page(results, folder / "results.md")
        sys.stdout.write(f"{text_page(results)}\n{folder}: {len(finished)} of {len(runs)} runs; see "
                         f"{folder / 'results.md'} and results.json beside it.\n")  # fmt: skip
    if failed:
        for run in failed:
            sys.stdout.write(f"\n{run.folder} failed; the last lines of {log_of(run.folder)}:\n"
                             f"{tail(log_of(run.folder))}\n")  # fmt: skip
        raise RunError(
            f"{len(failed)} of {len(waiting)} runs failed, {failed[0].folder} first; their last lines are above, and "
            "the same command tries them again."
        )


def _train(runs: Sequence[Run], config: SweepConfig) -> list[Run]:
    """Train the runs, tell how far that is, and return those that failed."""
    share = share_of(config.jobs, config.threads, config.launcher, config.gpus)
    by_name = {str(run.folder): run for run in runs}
    failed: list[Run] = []
    pace = Pace(runs, config.jobs)
    with stop_requests() as request:
        tasks = (train_task(run.folder, run.settings, share) for run in runs)
        for ended in LAUNCHERS[config.launcher](tasks, config.jobs, share, request):
            run = by_name[ended.task.name]
            if ended.code == 0:
                pace.done(run, ended.seconds)
                clear_finished(run.folder, keep_model=config.keep_models)
                logger.info("%s: trained in %s; %s.", run.folder, spoken(ended.seconds), pace)
            elif not request.signal:
                failed.append(run)
                pace.lost(run)
                logger.warning("%s: failed with exit code %d; %s.", run.folder, ended.code, pace)
    if request.signal:
        logger.warning("stopped by %s; the same command goes on with this sweep.", signal.Signals(request.signal).name)
        raise SystemExit(128 + request.signal)
    return failed
