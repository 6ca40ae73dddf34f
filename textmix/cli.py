"""The command line: ``textmix COMMAND ...``.

Options are read before anything heavy is imported, so that ``--help`` and mistakes are answered at once.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from textmix import train
from textmix.command import guard, make_parser, parse
from textmix.config import Config
from textmix.errors import InputError
from textmix.files import local_path
from textmix.options import (
    CompareConfig,
    EvaluateConfig,
    EvaluateModelConfig,
    PredictConfig,
    ReportConfig,
    SweepConfig,
    TuneConfig,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (by default the process's own arguments) names, and return its exit code."""
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    return guard(lambda: _dispatch(command, rest))


def evaluate(argv: Sequence[str]) -> None:
    """Measure the predictions of any model: a file of them, or (--model) those it makes on labelled examples."""
    if any(word.split("=")[0] == "--model" for word in argv):
        _evaluate_model(argv)
        return
    description = f"{_first_line(evaluate)} --model has other options: see textmix evaluate --model MODEL --help."
    parser = make_parser(EvaluateConfig, "textmix evaluate", description, skip=("file", "source", "columns", "ood"))
    parser.add_argument("file", help="Predictions: parquet, csv, tsv, jsonl or npz with label and one column a class.")
    parser.add_argument(
        "--from", dest="source", type=Literal["logits", "probabilities"], default="logits",
        help="What the class columns hold: logits (logit_<name>) or probabilities (prob_<name>).",
    )  # fmt: skip
    parser.add_argument("--columns", nargs="+", default=(), help="Class columns, in the order of the classes.")
    parser.add_argument("--ood", nargs="+", default=(), help="Predictions on examples outside the classes.")
    config, _ = parse(parser, EvaluateConfig, argv)

    from textmix.evaluate import evaluate_file

    done = evaluate_file(config)
    sys.stdout.write(f"{done.table}\nSee {done.folder / 'report.html'}.\n")


def _evaluate_model(argv: Sequence[str]) -> None:
    parser = make_parser(EvaluateModelConfig, "textmix evaluate --model MODEL", _first_line(evaluate))
    config, _ = parse(parser, EvaluateModelConfig, ["--help"] if {"-h", "--help"} & set(argv) else argv)

    from textmix.evaluate.model import evaluate_model

    done = evaluate_model(config)
    sys.stdout.write(f"{done.table}\nSee {done.folder / 'report.html'}.\n")


def predict(argv: Sequence[str]) -> None:
    """Predict the rows of a file, and say which to leave to a human."""
    config, _ = parse(make_parser(PredictConfig, "textmix predict", _first_line(predict)), PredictConfig, argv)

    from textmix.predict import predict_file

    sys.stdout.write(f"{predict_file(config).text(config.output)}\n")


def compare(argv: Sequence[str]) -> None:
    """Set runs or files of predictions side by side, and say what is established."""
    parser = make_parser(CompareConfig, "textmix compare", _first_line(compare), skip=("paths",))
    parser.add_argument(
        "paths", nargs="+",
        help="Run folders or files of predictions; the first is what others are compared with. Runs are compared raw, "
        "and once more at their own temperatures, which saved models hold; files as they are.",
    )  # fmt: skip
    config, _ = parse(parser, CompareConfig, argv)

    from textmix.evaluate import compare_runs

    sys.stdout.write(f"{compare_runs(config).text}\n")


def report(argv: Sequence[str]) -> None:
    """Write report.html and the model card of a run again, or the page of a sweep's results."""
    parser = make_parser(ReportConfig, "textmix report", _first_line(report), skip=("run",))
    parser.add_argument("run", help="Folder of the run, or results.json of a sweep.")
    config, _ = parse(parser, ReportConfig, argv)

    run = local_path(config.run)
    if run.suffix == ".json":
        from textmix.sweep.page import write_page
        from textmix.sweep.results import read_results

        page = run.with_suffix(".md")
        write_page(read_results(run), page)
        sys.stdout.write(f"Wrote {page} and its figures beside it.\n")
        return

    from textmix.report import make_report

    make_report(run)
    sys.stdout.write(f"Wrote {run / 'report.html'} and README.md beside it.\n")


def doctor(argv: Sequence[str]) -> None:
    """Tell in seconds what a training run would find out in an hour; takes the options of train."""
    config, config_file = parse(make_parser(Config, "textmix doctor", _first_line(doctor)), Config, argv)

    from textmix.doctor import examine
    from textmix.engine import speaks
    from textmix.run_folder import run_dir

    for part in examine(config, run_dir(config, config_file)):
        if speaks():
            sys.stdout.write(f"{part}\n\n")
            sys.stdout.flush()
    if speaks():
        sys.stdout.write("Nothing stands in the way of this run.\n")


def sweep(argv: Sequence[str]) -> None:
    """Train a grid of methods, data sets, models and seeds, and compare them."""
    parser = make_parser(SweepConfig, "textmix sweep", _first_line(sweep))
    config, config_file = parse(parser, SweepConfig, argv)

    from textmix.sweep import sweep as run_sweep

    run_sweep(config, "sweep" if config_file is None else Path(config_file).stem)


def tune(argv: Sequence[str]) -> None:
    """Search settings for the lowest validation NLL within a budget; takes the options of train."""
    config, config_file = parse(make_parser(TuneConfig, "textmix tune", _first_line(tune)), TuneConfig, argv)

    from textmix.run_folder import run_dir
    from textmix.tune import tune as run_tune

    run_tune(config, run_dir(replace(config, output_dir=None), config_file).name)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train.main,
    "predict": predict,
    "evaluate": evaluate,
    "compare": compare,
    "report": report,
    "doctor": doctor,
    "sweep": sweep,
    "tune": tune,
}


def _dispatch(command: str, argv: list[str]) -> None:
    if command in {"-h", "--help"}:
        sys.stdout.write(_usage())
    elif command == "--version":
        sys.stdout.write(f"textmix {version('textmix')}\n")
    elif command in COMMANDS:
        COMMANDS[command](argv)
    else:
        raise InputError(f"unknown command {command!r}; expected one of {', '.join(COMMANDS)}.")


def _usage() -> str:
    lines = [f"  {name:<10}{_first_line(function)}" for name, function in COMMANDS.items()]
    return "\n".join([
        "usage: textmix COMMAND [options]",
        "",
        "Classifiers whose probabilities can be trusted.",
        "",
        *lines,
        "",
        "textmix COMMAND --help explains every option; textmix --version names the version.",
        "",
    ])  # fmt: skip


def _first_line(function: Callable[[Sequence[str]], None]) -> str:
    return (function.__doc__ or "").splitlines()[0]
