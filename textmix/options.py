"""Options of the jobs that start from models, predictions and runs; :mod:`textmix.config` has those of a training run.

This module imports nothing heavy, so that ``--help`` answers at once.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from textmix.config import Config, DataConfig
from textmix.config.bounds import check, check_choices, check_statistics
from textmix.config.data import is_encoding
from textmix.config.keys import MEASURED_ON


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure the predictions of any model."""

    file: str
    """Predictions: parquet, csv, tsv, jsonl or npz with `label` and one column a class (`logit_<label name>`)."""
    source: Literal["logits", "probabilities"] = "logits"
    """What the class columns hold; probabilities are read from `prob_<label name>`."""
    columns: tuple[str, ...] = ()
    """Class columns in the order of the classes, where they are not all that begin with logit_ (or prob_)."""
    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval, and label draws behind the null band."""
    ood: tuple[str, ...] = ()
    """Predictions of the same model on examples outside its classes: files of the same form, without labels."""
    calibrate_on: str | None = None
    """Predictions of the same model on a validation set: a temperature is fitted there and applied here."""
    output_dir: str | None = None
    """Folder for summary.json, report.html and README.md; null is <name of the file>-report here."""
    seed: int = 0
    """Seed of the bootstrap and of the null band."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_statistics(self.bins, self.resamples)
        check(self.seed >= 0, "seed", "an integer >= 0", self.seed)


@dataclass(frozen=True)
class CompareConfig:
    """Set runs or files of predictions side by side."""

    paths: tuple[str, ...]
    """Run folders or files of predictions, two or more; the others are compared with the first. Runs whose settings
    differ in the seed alone count as repetitions of one method. Runs are compared raw, and once more at their own
    temperatures; files as they are."""
    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval."""
    seed: int = 0
    """Seed of the bootstrap."""

    def __post_init__(self) -> None:
        check(len(self.paths) >= 2, "paths", "two or more runs or files to compare", list(self.paths))
        check_statistics(self.bins, self.resamples)
        check(self.seed >= 0, "seed", "an integer >= 0", self.seed)


@dataclass(frozen=True)
class ReportConfig:
    """Write the report and the model card of a run again, from the files in its folder; or the page of a sweep."""

    run: str
    """Folder of the run, or results.json of a sweep, under any name."""


@dataclass(frozen=True)
class PredictConfig:
    """Predict the rows of a file."""

    model: str
    """Folder of a run or of its model, or the Hub id of any Hugging Face text classifier."""
    input: str
    """File of texts (parquet, csv, tsv, jsonl), of any size; all its columns are passed through."""
    output: str
    """File to write (parquet, csv, tsv, jsonl): the input's columns, prediction, confidence, and for each label prob_
    and logit_<name>."""
    text_column: str = "text"
    """Column that holds the text."""
    text_pair_column: str | None = None
    """Column that holds the second text of a pair."""
    threshold: float | None = None
    """Adds the column abstain: whether confidence is below this."""
    target_accuracy: float | None = None
    """Adds the column abstain, with the lowest threshold above which the model was this accurate on validation."""
    validation: str | None = None
    """Predictions of this model on labelled examples, to choose that threshold; null is predictions/validation.parquet
    of the run."""
    max_length: int | None = None
    """Longest text in tokens; longer ones are cut, and counted; null is as the model was trained."""
    batch_size: int = 64
    """Texts of a batch."""
    encoding: str = "utf-8"
    """Encoding of a csv, tsv or jsonl input."""
    threads: int | None = None
    """CPU threads; null takes all cores."""

    def __post_init__(self) -> None:
        for key, value in (("threshold", self.threshold), ("target_accuracy", self.target_accuracy)):
            check(value is None or 0 <= value <= 1, key, "a share in [0, 1]", value)
        alone = self.threshold is None or self.target_accuracy is None
        check(alone, "threshold", "none beside target_accuracy", self.threshold)
        beside = self.validation is None or self.target_accuracy is not None
        check(beside, "validation", "target_accuracy beside it", self.validation)
        check(is_encoding(self.encoding), "encoding", "one such as utf-8 or latin-1", self.encoding)
        for key in ("max_length", "batch_size", "threads"):
            check(vars(self)[key] is None or vars(self)[key] >= 1, key, "an integer >= 1", vars(self)[key])


@dataclass(frozen=True)
class EvaluateModelConfig:
    """Measure a text classifier, trained here or not, on labelled examples."""

    model: str
    """Folder of a run or of its model, or the Hub id of any Hugging Face text classifier."""
    data: DataConfig = field(default_factory=DataConfig)
    """The labelled examples."""
    split: str = "test"
    """Name of the split to measure on; a single file is measured as a whole."""
    calibrate_split: str | None = None
    """Name of a split on which a temperature is fitted, to be applied on the other; null fits none."""
    label_map: dict[str, str] = field(default_factory=dict)
    """What the data calls a label -> what the model calls it, where names don't agree: {pos: LABEL_1, neg: LABEL_0}."""
    batch_size: int = 64
    """Texts of a batch."""
    bins: int = 15
    """Equal-width confidence bins of ECE and OE."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval, and label draws behind the null band."""
    output_dir: str | None = None
    """Folder for summary.json, report.html, README.md and the predictions; null is <model>-on-<data>-report here."""
    seed: int = 0
    """Seed of the bootstrap and of the null band."""
    threads: int | None = None
    """CPU threads; null takes all cores."""

    def __post_init__(self) -> None:
        check_statistics(self.bins, self.resamples)
        for key in ("batch_size", "threads"):
            check(vars(self)[key] is None or vars(self)[key] >= 1, key, "an integer >= 1", vars(self)[key])
        check(self.seed >= 0, "seed", "an integer >= 0", self.seed)
        other = self.calibrate_split != self.split
        check(other, "calibrate_split", f"another split than {self.split!r}, which is measured", self.calibrate_split)


Overrides = dict[str, Any]
"""Keys of a training configuration, nested or dotted, and their values."""


@dataclass(frozen=True)
class SweepConfig:
    """Train every method on every data set with every model, size and seed, and compare.

    A run's configuration is `base`, overridden by what its data set, model, size and method say, in this order. An
    entry may also hold `seeds`, in place of the sweep's.
    """

    base: Overrides = field(default_factory=dict)
    """Options of train that all runs share, nested or with dotted keys."""
    data: dict[str, Overrides] = field(default_factory=dict)
    """Data sets: a name, and the options of train it stands for. An entry of eval.ood that is the data.path of one of
    them stands for that set."""
    models: dict[str, Overrides] = field(default_factory=dict)
    """Models, alike."""
    sizes: dict[str, Overrides] = field(default_factory=dict)
    """Amounts of training data, alike."""
    methods: dict[str, Overrides] = field(default_factory=dict)
    """What is compared, alike; every other one is compared with the first."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the repetitions."""
    output_dir: str | None = None
    """Folder of the runs and of results.json; null is runs/sweeps/<name of the configuration file>."""
    data_root: str | None = None
    """Folder of local copies: the data set NAME is read from <data_root>/NAME; packaged ones stay as they are."""
    only: tuple[str, ...] = ()
    """Names of data sets, models, sizes and methods to train now, such as [trec, no mixup]; () is all."""
    jobs: int = 1
    """Runs at a time."""
    threads: int | None = None
    """CPU threads of each run that does not say train.threads; null divides the cores of this machine among the jobs,
    and is 1 on Ray."""
    launcher: Literal["local", "ray"] = "local"
    """Where runs are started: on this machine, or on the Ray cluster that RAY_ADDRESS names (without it, a Ray of this
    machine), whose machines must share output_dir."""
    gpus: float = 0.0
    """GPUs that Ray reserves for each run."""
    keep_models: bool = True
    """Keep each run's model; its checkpoints go once it is finished."""
    bins: int = 15
    """Equal-width confidence bins of ECE and OE in the results, beside the paper's 100."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval of the results."""

    def __post_init__(self) -> None:
        check_choices(self)
        check(len(self.methods) >= 1, "methods", "at least one method", self.methods)
        check_seeds(self.seeds, "seeds")
        check_job(self.jobs, self.threads)
        check(self.gpus == 0 or self.launcher == "ray", "gpus", "0 for launcher local", self.gpus)
        check(0 <= self.gpus < float("inf"), "gpus", "a number >= 0", self.gpus)
        check_statistics(self.bins, self.resamples)


def check_seeds(seeds: object, key: str) -> None:
    """Refuse seeds of which some are no seeds, or the same."""
    found = list(seeds) if isinstance(seeds, (list, tuple)) else []
    valid = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in found)
    check(valid and len(set(found)) == len(found) >= 1, key, "one or more different integers >= 0", seeds)


def check_job(jobs: int, threads: int | None) -> None:
    """Refuse numbers of processes and threads that make no sense."""
    check(jobs >= 1, "jobs", "an integer >= 1", jobs)
    check(threads is None or threads >= 1, "threads", "an integer >= 1, or null", threads)


SEARCHED: dict[str, Any] = {
    "mixup.alpha": [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 2.0, 10.0],
    "mixup.clean_weight": [0.0, 0.5, 1.0],
    "mixup.off_last_epochs": [0, 1, 2],
    "loss.label_smoothing": {"low": 0.0, "high": 0.15},
}
"""Where tune looks, unless it is told."""


@dataclass(frozen=True)
class TuneConfig(Config):
    """Search for the settings with the lowest validation NLL; the options of train are what all trials share."""

    minutes: float = 30.0
    """Budget: no trial is started that would probably end later; what earlier sittings took counts."""
    search: dict[str, Any] = field(default_factory=lambda: dict(SEARCHED))
    """Options of train that are searched, by dotted key: a list of values, or a range {low, high}, with log: true for
    an even search of magnitudes, or with step for multiples of it."""
    trials: int | None = None
    """Most trials, whatever the budget."""
    jobs: int = 1
    """Trials at a time."""
    launcher: Literal["local", "ray"] = "local"
    """Where trials are started, as in sweep."""
    gpus: float = 0.0
    """GPUs that Ray reserves for each trial."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 < self.minutes < float("inf"), "minutes", "a number > 0", self.minutes)
        check(bool(self.search), "search", "options and where to look for them", self.search)
        for key, space in self.search.items():
            check(key not in MEASURED_ON, "search", "options that leave the validation set as it is", key)
            check(is_space(space), f"search.{key}", "a list of values or {low, high}, low < high; step > 0", space)
        check(self.trials is None or self.trials >= 1, "trials", "an integer >= 1, or null", self.trials)
        check_job(self.jobs, None)
        check(self.gpus == 0 or self.launcher == "ray", "gpus", "0 for launcher local", self.gpus)
        check(self.resume == "auto", "resume", "auto; another output_dir starts another search", self.resume)


def is_space(space: object) -> bool:
    """Tell whether something says where to look: a list of values, or a finite range with low < high."""
    if isinstance(space, list):
        return bool(space) and all(value is None or isinstance(value, (bool, int, float, str)) for value in space)
    if not isinstance(space, dict) or not {"low", "high"} <= space.keys() <= {"low", "high", "log", "step"}:
        return False
    low, high, step, log = space["low"], space["high"], space.get("step", 1), space.get("log", False)
    kinds = {type(number) for number in (low, high, step)}
    if not kinds <= {int, float} or type(log) is not bool or not all(map(isfinite, (low, high, step))):
        return False
    whole = type(low) is type(high) is int
    stepped = step > 0 and not (whole and type(step) is float)
    return low < high and stepped and not (log and (low <= 0 or "step" in space))
