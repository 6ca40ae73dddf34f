"""Real searches over small networks."""

import math
import subprocess
import sys

import pytest
import yaml

from textmix.command import make_parser, parse
from textmix.config import Config
from textmix.errors import InputError
from textmix.metrics import accuracy, ece, nll
from textmix.options import TuneConfig
from textmix.predictions import load

pytest.importorskip("optuna", reason="needs the package optuna: pip install 'textmix[sweep]'")

SEARCH = {"mixup.alpha": [0.0, 0.4], "train.learning_rate": {"low": 0.001, "high": 0.1, "log": True}}


@pytest.fixture
def search(tmp_path, topics):
    """Write the file of a search on data whose test split can't be read; return the command that makes it."""
    for split in ("train", "validation"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{split}.csv").write_bytes((topics / f"{split}.csv").read_bytes())
    (tmp_path / "data" / "test.csv").write_bytes(b"\xff\x00\x00,")
    values = {
        "data": {"path": str(tmp_path / "data")},
        "model": {"embedding_dim": 8, "num_filters": 4},
        "mixup": {"alpha": 0.4},
        "train": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "threads": 1},
        "eval": {"resamples": 100, "ood": ["noise"]},
        "search": SEARCH,
        "output_dir": str(tmp_path / "out"),
    }
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(values))
    program = "import sys; from textmix.cli import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", program, "tune", "--config", str(tmp_path / "search.yaml")]


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def as_saved(trial):
    """Return the validation NLL of the model in the folder of a trial, its temperature baked into it."""
    validation = load(trial / "predictions" / "validation.parquet")
    temperature = yaml.safe_load((trial / "summary.json").read_text())["temperature"]
    return nll(validation.logits / temperature, validation.labels)


def test_a_search_never_reads_test_and_ends_with_a_configuration(tmp_path, search):
    done = run([*search, "--trials", "2"])
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out"
    assert len(list(folder.glob("trials/*/summary.json"))) == 2
    assert not list(folder.glob("trials/*/predictions/test.parquet"))
    assert not list(folder.glob("trials/*/model"))

    best, _ = parse(make_parser(Config, "textmix train", ""), Config, ["--config", str(folder / "best.yaml")])
    assert (best.data.test_split, best.eval.ood, best.output_dir) == ("test", ("noise",), None)
    values = {path.parent: as_saved(path.parent) for path in folder.glob("trials/*/summary.json")}
    chosen = yaml.safe_load((min(values, key=values.get) / "config.yaml").read_text())
    assert (best.mixup.alpha, best.train.learning_rate) == (chosen["mixup"]["alpha"], chosen["train"]["learning_rate"])
    assert f"{min(values.values()):.4f}" in (folder / "best.yaml").read_text()
    # The settings it started from are tried too.
    tried = [yaml.safe_load(path.read_text()) for path in folder.glob("trials/*/config.yaml")]
    assert (0.4, 0.01) in [(each["mixup"]["alpha"], each["train"]["learning_rate"]) for each in tried]

    # It goes on from there: two trials are done, and only the third is trained.
    before = set(folder.glob("trials/*/summary.json"))
    done = run([*search, "--trials", "3"])
    assert done.returncode == 0, done.stderr
    assert len(set(folder.glob("trials/*/summary.json")) - before) == 1
    assert "best of 3" in done.stderr

    done = run([*search, "--trials", "3", "--train.epochs", "3"])
    assert done.returncode == 2
    assert "holds a search with other settings; give another --output_dir" in done.stderr


def test_every_choice_is_tried_once_and_no_mixing_early(tmp_path, search):
    done = run([*search, "--search", "{mixup.alpha: [0, 0.1, 0.4, 1]}", "--trials", "2"])
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out"
    tried = [yaml.safe_load(path.read_text())["mixup"]["alpha"] for path in folder.glob("trials/*/config.yaml")]
    assert sorted(tried) == [0.0, 0.4]  # the settings it starts from, and those without mixing

    done = run([*search, "--search", "{mixup.alpha: [0, 0.1, 0.4, 1]}", "--trials", "9"])
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("trials/*/summary.json"))) == 4
    assert "the best of 4 trials" in (folder / "best.yaml").read_text()
    assert "nothing that has not been tried was found any more" in done.stderr

    # The table shows the model as it would be saved, all of it.
    first = done.stdout.splitlines()[2].split()
    best = min(folder.glob("trials/*/summary.json"), key=lambda path: as_saved(path.parent))
    validation = load(best.parent / "predictions" / "validation.parquet")
    scaled = validation.logits / yaml.safe_load(best.read_text())["temperature"]
    assert first[:3] == [f"{metric(scaled, validation.labels):.4f}" for metric in (nll, accuracy, ece)]


def test_a_search_that_only_fails_says_so(search):
    done = run(
        [*search, "--trials", "2", "--search", "{train.learning_rate: [1.0e+30]}", "--train.max_grad_norm", "null"]
    )
    assert done.returncode == 1
    assert "none of the trials succeeded" in done.stderr
    assert "error: the loss is" in done.stdout


def test_the_settings_it_starts_from_are_tried_again_after_they_failed(tmp_path, search):
    data = tmp_path / "data" / "train.csv"
    texts = data.read_bytes()
    data.write_bytes(b"\xff\x00\x00,")
    assert run([*search, "--trials", "2"]).returncode == 1
    data.write_bytes(texts)
    assert run([*search, "--trials", "2"]).returncode == 0
    tried = [yaml.safe_load(path.read_text()) for path in (tmp_path / "out").glob("trials/*/config.yaml")]
    settings = {(each["mixup"]["alpha"], each["train"]["learning_rate"]) for each in tried}
    assert {(0.4, 0.01), (0.0, 0.01)} <= settings


def test_a_spent_budget_starts_nothing(tmp_path, search):
    assert run([*search, "--trials", "1"]).returncode == 0
    done = run([*search, "--minutes", "0.0001"])
    assert done.returncode == 0
    assert len(list((tmp_path / "out").glob("trials/*/summary.json"))) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"minutes": 0}, "minutes: expected a number > 0"),
        ({"search": {}}, "search: expected options"),
        ({"search": {"mixup.alpha": 3}}, r"search.mixup.alpha: expected a list of values or \{low, high\}"),
        ({"search": {"mixup.alpha": {"low": 2, "high": 1}}}, "search.mixup.alpha"),
        ({"search": {"mixup.alpha": {"low": 0, "high": math.inf}}}, "search.mixup.alpha"),
        ({"search": {"mixup.alpha": {"low": 0, "high": 1, "log": "no"}}}, "search.mixup.alpha"),
        *(
            ({"search": {"mixup.alpha": {"low": 0, "high": 4, "step": step}}}, r"search.mixup.alpha: .* step > 0")
            for step in (0, -1, "a", 0.5, True)
        ),
        (
            {"search": {"data.split_seed": [1, 2]}},
            "search: .* leave the validation set as it is, got 'data.s",
        ),
        ({"search": {"mixup.alpha": {"low": 0, "high": 1, "log": True}}}, "search.mixup.alpha"),
        ({"trials": 0}, "trials: expected an integer >= 1"),
        ({"resume": "never"}, "resume: expected auto"),
    ],
)
def test_bounds(fields, message):
    with pytest.raises(InputError, match=message):
        TuneConfig(**fields)
