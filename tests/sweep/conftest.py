import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BASE = {
    "model": {"embedding_dim": 8, "num_filters": 4},
    "train": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "threads": 1},
    "eval": {"resamples": 100, "ood": ["noise"]},
}
"""A network that learns a little in a second."""


@pytest.fixture(scope="session")
def write_sweep(topics):
    """Write the file of a sweep on the topics in a folder; return the command that runs it."""

    def write(folder, *, base=None, **keys):
        values = {"base": {**BASE, "data.path": str(topics), **(base or {})}, "resamples": 200, **keys}
        values["output_dir"] = str(folder / "out")
        (folder / "grid.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        program = "import sys; from textmix.cli import main; sys.exit(main(sys.argv[1:]))"
        return [sys.executable, "-c", program, "sweep", "--config", str(folder / "grid.yaml")]

    return write


def run_command(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, **options)


@pytest.fixture(scope="session")
def swept(tmp_path_factory, write_sweep):
    """A sweep of four methods, one of which fails, with two jobs: what it said, and its folder."""
    folder = tmp_path_factory.mktemp("swept")
    command = write_sweep(
        folder,
        methods={
            "no mixup": {"seeds": [0, 1]},
            "diverging": {"train.learning_rate": 1e30, "train.max_grad_norm": None},
            "mixup 0.4": {"mixup.alpha": 0.4, "seeds": [0, 1]},
            "dominant 0.4": {"mixup.alpha": 0.4, "mixup.labels": "dominant"},
        },
        seeds=[0],
        jobs=2,
    )
    return run_command(command), folder / "out", command
