"""What Optuna does for a search: it suggests settings and remembers, on disk, what they gave."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textmix.errors import InputError

JOURNAL = "study.log"
"""File of a search's folder that holds all its trials."""
_ALPHA = "mixup.alpha"


def open_study(folder: Path, search: Mapping[str, Any], base: Mapping[str, Any], seed: int) -> Any:
    """Return the study in `folder`, new or as it was left; a trial that was under way then will be suggested again.

    It tries the settings of `base` first, as far as the search can express them, and then those without mixing:
    whatever is found must beat them. Where they failed in an earlier sitting they are tried again.

    :param search: for each option, by dotted key, where to look. :param base: all options of the trials.
    :raises InputError: the package optuna is missing, or the folder holds another search.
    """
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise InputError("tune: needs the package optuna: pip install 'textmix[sweep]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = JournalFileBackend(str(folder / JOURNAL))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(journal), study_name="textmix", direction="minimize", load_if_exists=True
    )
    # Another seed for each sitting: the same one would suggest again what it has suggested.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    settings = json.dumps({"search": search, "base": base}, sort_keys=True)
    if study.user_attrs.get("settings", settings) != settings:
        raise InputError(f"{folder}: holds a search with other settings; give another --output_dir.")
    if not study.trials:
        study.set_user_attr("settings", settings)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        forget(study, trial.number)
        study.enqueue_trial(trial.params)
    waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    known = [trial.params for trial in complete(study)] + [trial.system_attrs["fixed_params"] for trial in waiting]
    for start in _starts(search, base):
        if not any(start.items() <= params.items() for params in known):
            study.enqueue_trial(start)
            known.append(start)
    return study


def _starts(search: Mapping[str, Any], base: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of `base` as far as `search` can express them, and those without mixing."""
    start = {key: base[key] for key, space in search.items() if _holds(space, base.get(key))}
    return [start, start | {_ALPHA: 0.0}] if _ALPHA in search and _holds(search[_ALPHA], 0.0) else [start]


def suggest(trial: Any, key: str, space: Any) -> Any:
    """Return a value from a list of them, or from a range, whole where its bounds are."""
    if isinstance(space, list):
        return space[space.index(trial.suggest_categorical(key, space))]  # 0 and 0.0 are the same choice
    low, high, log, step = space["low"], space["high"], space.get("log", False), space.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, log=log, step=step or 1)
    return trial.suggest_float(key, low, high, log=log, step=step)


def complete(study: Any) -> list[Any]:
    """Return the trials that gave a number, the best first."""
    return sorted((trial for trial in study.trials if trial.value is not None), key=lambda trial: trial.value)


def forget(study: Any, trial: Any) -> None:
    """Note that a trial gave nothing."""
    import optuna

    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _holds(space: Any, value: Any) -> bool:
    if isinstance(space, list):
        return value in space
    return isinstance(value, (int, float)) and space["low"] <= value <= space["high"]
