"""Write docs/results/cifar10_subset.md and its figures from the runs of cifar10_subset.sh.

    python scripts/paper/cifar10_subset.py [--runs runs/paper] [--results docs/results]

Every number and every statement of the page is computed here from the files of the runs.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from contrasts import LEVEL, RESAMPLES, Estimate, Finding, Values, oe_contrast, outside

from textmix.figures import accuracy_confidence_density, confidence_histograms
from textmix.inference import Comparison, compare
from textmix.ood import msp
from textmix.predictions import Predictions, load

METHODS = {"no mixup": "0", "mixup, alpha 0.3": "0.3"}
METRICS = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier score", "ece": "ECE", "oe": "OE"}
OUTSIDE = {"digits": "scikit-learn's digits", "noise": "Gaussian noise"}
FOLD, MARGIN = 5, 0.03
"""OE is to fall this many times, with accuracy within this of what it was."""
CHANCE = 0.5
FIGURES = "cifar10_subset"


@dataclass(frozen=True)
class Run:
    """What a run left: its configuration, its summary, and its predictions by the name of their file."""

    folder: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    predictions: dict[str, Predictions]


def read(folder: Path) -> Run:
    """Read a finished run."""
    if not (folder / "summary.json").exists():
        raise SystemExit(f"{folder}: expected a finished run, found none; run scripts/paper/cifar10_subset.sh first.")
    names = {"test": True, **{f"ood_{name}": False for name in OUTSIDE}}
    return Run(
        folder,
        yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")),
        json.loads((folder / "summary.json").read_text(encoding="utf-8")),
        {name: load(folder / "predictions" / f"{name}.parquet", labelled=known) for name, known in names.items()},
    )


def shared_config(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the configurations have in common: all but the seed, alpha and where the data lie."""
    rest = []
    for run in runs:
        config = {section: dict(v) if isinstance(v, dict) else v for section, v in run.config.items()}
        del config["seed"], config["mixup"]["alpha"], config["data"]["path"]
        rest.append(config)
        if config != rest[0] or run.summary["versions"] != runs[0].summary["versions"]:
            raise SystemExit(f"{run.folder}: has other settings or versions than {runs[0].folder}; train both again.")
    return rest[0]


def confidences(groups: list[list[Run]], name: str) -> Values:
    """Return the confidences (methods, seeds, N) on a set of examples, in the same order for every run."""
    first = groups[0][0].predictions[name].ids
    if any(list(run.predictions[name].ids) != list(first) for runs in groups for run in runs):
        raise SystemExit(f"{name}: expected the same examples in every run.")
    return np.array([[msp(run.predictions[name].logits) for run in runs] for runs in groups])


def on_test(comparison: Comparison, suffix: str = "") -> dict[str, Finding]:
    """Return what was found on the test images, by the titles of the metrics."""
    return {
        METRICS[name] + suffix: Finding(d.a, d.b, Estimate(d.difference, d.low, d.high))
        for name, d in comparison.differences.items()
    }


def rows(findings: dict[str, Finding]) -> str:
    """Write findings as the rows of a table."""
    return "\n".join(
        f"| {title} | {f.before:.4f} | {f.after:.4f} | {f.difference} | {f.direction or 'not established'} |"
        for title, f in findings.items()
    )


def summed_up(findings: dict[str, Finding]) -> list[str]:
    """Say which differences are established and which are not, and on what images confidence is no guide at all."""
    sure = [f"{title} {f.direction}" for title, f in findings.items() if f.direction]
    unsure = [title for title, f in findings.items() if not f.direction]
    lines = [f"- Established, of mixup against none: {'; '.join(sure) or 'nothing'}.",
             f"- Not established, either way: {'; '.join(unsure) or 'nothing'}."]  # fmt: skip
    blind = [title for title, f in findings.items() if "AUROC" in title and max(f.before, f.after) < CHANCE]
    return lines + [
        f"- {title} is below {CHANCE} with both methods: they are surer of these images than of test images."
        for title in blind
    ]


def fall(groups: list[list[Run]], bins: int) -> str:
    """Say how far OE falls, and whether it is established that it falls FOLD times."""
    oe, difference = oe_contrast([[run.predictions["test"] for run in runs] for runs in groups], bins, FOLD)
    before, after = oe.mean(axis=1)
    ratio = f"{before / after:,.1f}-fold" if after > 0 else "to nothing"
    sure = "established" if difference.low > 0 else "refuted" if difference.high < 0 else "not established"
    return (
        f"- OE over {bins} bins falls {ratio}, from {before:.4f} to {after:.4f}, "
        f"{'at least' if before >= FOLD * after else 'less than'} {FOLD}-fold in these runs. That it falls at least "
        f"{FOLD}-fold is {sure}: OE without mixup less {FOLD} times OE with it is {difference}."
    )


def kept(accuracy: Finding) -> str:
    """Say whether accuracy stays within MARGIN, and whether that is established."""
    change = accuracy.difference
    if change.low >= -MARGIN and change.high <= MARGIN:
        sure = "established: the whole interval lies within it"
    elif change.low > MARGIN or change.high < -MARGIN:
        sure = "refuted: the whole interval lies outside of it"
    else:
        sure = "not established: the interval reaches beyond it"
    return (
        f"- Accuracy changes by {change}, {'within' if abs(change.value) <= MARGIN else 'more than'} {MARGIN} in these "
        f"runs. That it stays within {MARGIN} is {sure}."
    )


def seed_rows(groups: list[list[Run]]) -> list[str]:
    """Return a table's row for each run."""
    return [
        f"| {method}, seed {run.summary['seed']} | "
        + " | ".join(f"{run.summary['test'][key]:.4f}" for key in (*METRICS, "ece_100", "oe_100", "over", "under"))
        + f" | {run.summary['temperature']:.3f} |"
        for method, runs in zip(METHODS, groups, strict=True)
        for run in runs
    ]


def scaled(runs: list[Run]) -> list[Predictions]:
    """Return test predictions after temperature scaling, each run with the temperature of its validation split."""
    return [
        replace(run.predictions["test"], logits=run.predictions["test"].logits / run.summary["temperature"])
        for run in runs
    ]


def draw(groups: list[list[Run]], sets: dict[str, Values], results: Path) -> None:
    """Save the figures: confidence on every set of images, and accuracy against confidence over the epochs."""
    histograms = {
        method: {title: values[k].ravel() for title, values in sets.items()} for k, method in enumerate(METHODS)
    }
    confidence_histograms(histograms, name=f"{FIGURES}_confidence").save(results / f"{FIGURES}_confidence.svg")
    for alpha, runs in zip(METHODS.values(), groups, strict=True):
        epochs = {}
        for file in (runs[0].folder / "epochs").glob("*.parquet"):
            table = pq.read_table(file)
            epochs[int(file.stem)] = table["confidence"].to_numpy(), table["correct"].to_numpy()
        name = f"{FIGURES}_density_{alpha}"
        accuracy_confidence_density(epochs, name=name).save(results / f"{name}.svg")


def page(groups: list[list[Run]], sets: dict[str, Values]) -> str:
    """Write the page."""
    summary, config = groups[0][0].summary, shared_config([run for runs in groups for run in runs])
    tests = [[run.predictions["test"] for run in runs] for runs in groups]
    found = on_test(compare(*tests, metrics=list(METRICS), num_bins=15, resamples=RESAMPLES))
    found |= on_test(compare(*tests, metrics=["ece", "oe"], num_bins=100, resamples=RESAMPLES), " over 100 bins")
    after = on_test(compare(*map(scaled, groups), metrics=["nll", "brier", "ece", "oe"], resamples=RESAMPLES))
    inside, *others = sets.items()
    apart = {
        f"{quantity}, {title}": finding
        for title, values in others
        for quantity, finding in outside(inside[1], values).items()
    }
    verdicts = [fall(groups, 15), fall(groups, 100), kept(found["accuracy"]), *summed_up(found | apart)]
    sizes, seeds = summary["sizes"], [run.summary["seed"] for run in groups[0]]
    revisions = sorted({str(run.summary["git_revision"])[:12] for runs in groups for run in runs})
    return PAGE.format(
        sizes=f"{sizes['train']:,} training, {sizes['validation']:,} validation and {sizes['test']:,} test images",
        settings=f"{config['train']['epochs']} epochs in {config['train']['precision']}",
        seeds=f"{len(seeds)} seeds ({', '.join(map(str, seeds))}) for each method",
        verdicts="\n".join(verdicts),
        head=f"| | {' | '.join(METHODS)} | difference, {LEVEL:.0%} interval | established |\n|---|---|---|---|---|",
        found=rows(found),
        scaled=rows(after),
        apart=rows(apart),
        by_seed="\n".join(seed_rows(groups)),
        versions=", ".join(f"{name} {version}" for name, version in summary["versions"].items()),
        revisions=", ".join(revisions),
        digest=hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16],
    )


PAGE = """# ResNet-20 on a part of CIFAR-10, without and with mixup

Generated by `bash scripts/paper/cifar10_subset.sh` from its runs, down to the last sentence: {sizes}, {settings},
{seeds}. The images are JPEG-compressed, and fewer than CIFAR-10's: these numbers are not comparable with those of the
full set.

## What is established

{verdicts}

An interval covers the draw of the examples, which are the same for both methods, and of the seeds; with so few seeds it
is wide. What it does not exclude is called not established, whatever these runs show.

## Test images

Over 15 bins, where no other number is given.

{head}
{found}

After temperature scaling, each run with the temperature that its validation split asks for:

{head}
{scaled}

## Images outside the classes

Mean of the highest probability, and how well it tells these images from test images (AUROC; 0.5 is chance).

{head}
{apart}

![Confidence on test images, digits and noise](cifar10_subset_confidence.svg)

## Accuracy and confidence over the epochs

Batches of validation images of the first seed, epoch by epoch; below the diagonal a network is overconfident. Without
mixup:

![Accuracy against confidence without mixup](cifar10_subset_density_0.svg)

With mixup, alpha 0.3:

![Accuracy against confidence with mixup](cifar10_subset_density_0.3.svg)

## Run by run

| | accuracy | NLL | Brier score | ECE | OE | ECE, 100 bins | OE, 100 bins | over | under | temperature |
|---|---|---|---|---|---|---|---|---|---|---|
{by_seed}

Made with {versions}, at the commit {revisions}. The runs' configuration, but for seed, alpha and the path of the data,
has the sha256 {digest}.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="two or more")
    args = parser.parse_args(argv)
    groups = [[read(args.runs / f"cifar10-subset-alpha-{alpha}-{seed}") for seed in args.seeds]
              for alpha in METHODS.values()]  # fmt: skip
    names = {"test": "test images", **{f"ood_{name}": title for name, title in OUTSIDE.items()}}
    sets = {title: confidences(groups, name) for name, title in names.items()}
    args.results.mkdir(parents=True, exist_ok=True)
    draw(groups, sets, args.results)
    (args.results / f"{FIGURES}.md").write_text(page(groups, sets), encoding="utf-8")


if __name__ == "__main__":
    main()
