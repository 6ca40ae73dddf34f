"""What a finished run leaves behind: predictions, the model, the report, and last of all the summary."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from textmix import predictions as predictions_files
from textmix.config import PACKAGED, Config
from textmix.data import Splits
from textmix.engine import FitResult
from textmix.export import save_model
from textmix.predictions import Predictions
from textmix.report import make_report, metric_rows, read_summary, summarise, text_table
from textmix.report.material import OOD_PREFIX, write_summary
from textmix.temperature import Temperature

PACKAGES = ("textmix", "torch", "transformers", "datasets", "tokenizers", "accelerate", "numpy", "scipy")


def save(
    folder: Path,
    config: Config,
    splits: Splits,
    model: PreTrainedModel,
    fitted: FitResult,
    predictions: Mapping[str, Predictions],
    temperature: Temperature | None,
) -> None:
    """Write everything a run leaves into `folder`.

    The summary comes last, for it says that the run is finished.

    :param predictions: on `validation`, on `test` where there is one, and on sets outside the classes
        (:func:`ood_name`).
    """
    for name, part in predictions.items():
        predictions_files.save(part, folder / "predictions" / f"{name}.parquet")
    ood = {name.removeprefix(OOD_PREFIX): p for name, p in predictions.items() if name.startswith(OOD_PREFIX)}
    save_model(model, splits.processor, folder / "model")
    measured = summarise(
        predictions.get("test"), predictions["validation"], temperature, config.eval, ood=ood, seed=config.seed
    )
    write_summary({**measured, **_facts(config, splits, model, fitted)}, folder)
    make_report(folder)


def ood_name(path: str) -> str:
    """Name a set outside the classes after its source, as a file can be named.

    >>> ood_name("packaged:bbc"), ood_name("../data/imdb/"), ood_name("fancyzhx/ag_news")
    ('ood_bbc', 'ood_imdb', 'ood_ag_news')
    """
    return OOD_PREFIX + re.sub(r"[^\w.-]", "_", Path(path.removeprefix(PACKAGED)).name)


def tell(folder: Path, state: str) -> None:
    """Show the metrics of the run in `folder` and where its files are."""
    table = text_table(metric_rows({folder.name: read_summary(folder)}))
    sys.stdout.write(f"{table}\n{folder}: {state}; see {folder / 'report.html'}.\n")


def _facts(config: Config, splits: Splits, model: PreTrainedModel, fitted: FitResult) -> dict[str, Any]:
    sizes = {"train": len(splits.train), "validation": len(splits.validation)}
    return {
        "seed": config.seed,
        "sizes": sizes | ({} if splits.test is None else {"test": len(splits.test)}),
        "notes": dict(splits.notes),
        "parameters": model.num_parameters(),
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "steps": fitted.steps,
        "seconds": round(fitted.seconds, 3),
        "examples_per_second": round(fitted.examples_per_second, 2),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """Return the commit of the checkout that textmix runs from; None where it runs from no checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing of it is input
    return done.stdout.strip() if re.fullmatch(r"[0-9a-f]{40,64}\n", done.stdout) else None
