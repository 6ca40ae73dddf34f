"""Two real processes (gloo) against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from textmix.predictions import load

SMALL = ["--model.embedding_dim", "16", "--model.num_filters", "8", "--train.epochs", "2", "--train.learning_rate", "0.01",
         "--train.threads", "1", "--eval.resamples", "100"]  # fmt: skip


def launch(processes: int, program: Path, *argv: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
        str(program),
    ]
    return subprocess.run([*command, *argv], env=environment, capture_output=True, text=True, timeout=300, check=False)


def train(processes: int, folder: Path, topics: Path, *argv: str) -> Path:
    program = Path(__file__).parents[2] / "textmix" / "train.py"
    done = launch(processes, program, "--data.path", str(topics), "--output_dir", str(folder), *SMALL, *argv)
    assert done.returncode == 0, done.stderr
    return folder


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, topics):
    """The same training on one process with batches of 16 and on two with batches of 8: 301 rows leave an odd rest."""
    folder = tmp_path_factory.mktemp("runs")
    plain = ["--model.dropout", "0", "--train.optimizer", "sgd", "--loss.class_weights", "balanced"]
    one = train(
        1, folder / "one", topics, *plain, "--train.batch_size", "16", "--train.gradient_accumulation_steps", "3"
    )
    two = train(
        2, folder / "two", topics, *plain, "--train.batch_size", "8", "--train.gradient_accumulation_steps", "3"
    )
    return one, two


def test_the_same_global_batch_gives_the_same_weights(runs):
    one, two = map(weights, runs)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-5, rtol=0, err_msg=name)


def test_the_records_agree(runs):
    for mine, other in zip(*(map(json.loads, (run / "metrics.jsonl").open()) for run in runs), strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


def test_every_row_is_predicted_once_in_order(runs):
    one, two = (load(run / "predictions" / "test.parquet") for run in runs)
    assert list(one.ids) == list(two.ids)
    assert list(one.texts) == list(two.texts)
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-5)


PREDICT = """
import sys, numpy as np, torch, textmix.models
from transformers import AutoModelForSequenceClassification
from accelerate import Accelerator
from textmix.config import Config, DataConfig
from textmix.data import load_splits
from textmix.engine import predict_logits
splits = load_splits(Config(data=DataConfig(path=sys.argv[1])))
accelerator = Accelerator()
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[2])
logits = predict_logits(accelerator, model, splits.test, int(sys.argv[3]))
np.save(f"{sys.argv[4]}-{accelerator.num_processes}-{accelerator.process_index}.npy", logits.numpy())
"""


@pytest.mark.parametrize("batch_size", [4, 256])
def test_the_same_weights_give_the_same_logits_on_every_process(runs, topics, tmp_path, batch_size):
    """81 rows: with batches of 4 the last is a single row, with 256 the second process has nothing to do."""
    program = tmp_path / "predict.py"
    program.write_text(PREDICT)
    for processes in (1, 2):
        done = launch(
            processes, program, str(topics), str(runs[0] / "model"), str(batch_size), str(tmp_path / "logits")
        )
        assert done.returncode == 0, done.stderr
    alone = np.load(tmp_path / "logits-1-0.npy")
    assert alone.shape == (81, 3)
    for rank in (0, 1):
        np.testing.assert_allclose(np.load(tmp_path / f"logits-2-{rank}.npy"), alone, atol=1e-6)


def test_mixing_with_two_processes_repeats_itself_and_differs_by_process(tmp_path, topics):
    mixed = ["--mixup.alpha", "0.4", "--mixup.clean_weight", "1", "--train.batch_size", "8"]
    first = train(2, tmp_path / "first", topics, *mixed)
    again = train(2, tmp_path / "again", topics, *mixed)
    assert (first / "metrics.jsonl").read_bytes() == (again / "metrics.jsonl").read_bytes()
    for name, value in weights(first).items():
        np.testing.assert_array_equal(weights(again)[name], value)


def test_fewer_rows_than_processes_and_bad_input_do_not_hang(tmp_path, topics):
    """301 rows in global batches of 2 leave a single row: one of the two processes has none."""
    train(2, tmp_path / "rest", topics, "--train.batch_size", "1", "--train.epochs", "1")
    program = Path(__file__).parents[2] / "textmix" / "train.py"
    done = launch(2, program, "--data.path", str(tmp_path / "nothing"))
    assert done.returncode != 0
    assert "error: " in done.stderr
