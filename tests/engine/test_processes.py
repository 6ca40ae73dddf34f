"""Real processes: several against one, dying, stopped, resumed, killed at random."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ranks
from checkpoints_kit import checkpoint
from safetensors.numpy import load_file

from textmix import cli
from textmix.predictions import load

ROOT = Path(__file__).parents[2]
SMALL = ["--model.embedding_dim", "16", "--model.num_filters", "8", "--train.learning_rate", "0.01",
         "--train.threads", "1", "--eval.resamples", "100"]  # fmt: skip
MIXED = ["--train.epochs", "1", "--train.batch_size", "2", "--mixup.alpha", "0.4", "--mixup.clean_weight", "1"]
"""301 rows in batches of 2 on each of two processes: in the last step one process has no row at all."""
PLAIN = ["--mixup.alpha", "0", "--model.dropout", "0", "--train.epochs", "2", "--train.optimizer", "sgd",
         "--train.gradient_accumulation_steps", "3", "--loss.class_weights", "balanced"]  # fmt: skip


def command(topics, folder, *argv):
    return ["train", "--data.path", str(topics), "--output_dir", str(folder), *SMALL, *argv]


def train(count, folder, topics, *argv):
    codes = ranks.join(ranks.start(count, folder.with_suffix(".log"), cli.main, command(topics, folder, *argv)))
    assert codes == [0] * count, said(folder)
    return folder


def said(folder, rank=0):
    return Path(f"{folder.with_suffix('.log')}.{rank}").read_text()


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def timing(folder):
    """Return the records of a run's times; empty before it has any."""
    path = folder / "timing.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, topics):
    """The same training on one process with batches of 20 and on two of 10: of 301 rows the last is for one alone."""
    folder = tmp_path_factory.mktemp("plain")
    one = train(1, folder / "one", topics, *PLAIN, "--train.batch_size", "20")
    return one, train(2, folder / "two", topics, *PLAIN, "--train.batch_size", "10")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, topics):
    """A mixed training on two processes that nobody stopped."""
    return train(2, tmp_path_factory.mktemp("mixed") / "run", topics, *MIXED)


def test_the_same_global_batch_gives_the_same_weights_and_records(plain):
    one, two = plain
    for name, value in weights(one).items():
        np.testing.assert_allclose(weights(two)[name], value, atol=1e-5, rtol=0, err_msg=name)
    records = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in plain]
    for mine, other in zip(*records, strict=True):
        assert mine.pop("event") == other.pop("event")
        assert mine == pytest.approx(other, abs=1e-4)


def test_a_model_with_weights_that_play_no_part_trains_on_several(topics, tmp_path):
    path = checkpoint(tmp_path / "xlnet", "xlnet")
    run = tmp_path / "run"
    argv = ["train", "--data.path", str(topics), "--data.max_length", "32", "--output_dir", str(run)]
    argv += ["--model.name", "pretrained", "--model.path", str(path), "--mixup.clean_weight", "1"]
    argv += ["--train.max_steps", "4", "--eval.resamples", "100"]
    assert ranks.join(ranks.start(2, run.with_suffix(".log"), cli.main, argv)) == [0, 0], said(run)


def test_every_row_is_predicted_once_in_order(plain):
    one, two = (load(run / "predictions" / "test.parquet") for run in plain)
    assert list(one.ids) == list(two.ids)
    assert list(one.texts) == list(two.texts)
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-5)


def test_the_same_weights_give_the_same_logits_on_every_process(plain, topics, tmp_path):
    """81 rows: with batches of 4 the last is a single row, with 256 the second process has nothing to do."""
    for count in (1, 2):
        args = (str(topics), str(plain[0] / "model"), (4, 256), str(tmp_path / f"of-{count}"))
        assert ranks.join(ranks.start(count, tmp_path / "log", ranks.predict_logits, *args)) == [0] * count
    alone = np.load(tmp_path / "of-1.0.npz")
    for rank in (0, 1):
        shared = np.load(tmp_path / f"of-2.{rank}.npz")
        for size in ("4", "256"):
            assert shared[size].shape == (81, 3)
            np.testing.assert_allclose(shared[size], alone[size], atol=1e-6)


def test_a_signal_to_one_process_stops_all_and_the_run_goes_on_exactly(mixed, topics, tmp_path):
    folder = tmp_path / "run"
    processes = ranks.start(2, folder.with_suffix(".log"), cli.main, command(topics, folder, *MIXED))
    wait_for(lambda: any(record["step"] >= 20 for record in timing(folder)))
    os.kill(processes[1].pid, signal.SIGUSR1)
    assert ranks.join(processes) == [128 + signal.SIGUSR1] * 2
    assert "by SIGUSR1, all saved; go on with: accelerate launch --num_processes 2 textmix/train.py" in said(folder)

    assert cli.main(command(topics, folder, *MIXED)) == 2  # on one process
    train(2, folder, topics, *MIXED)
    [resumed] = [record["step"] for record in timing(folder) if record["event"] == "resume"]
    assert 20 <= resumed < 76
    assert (folder / "metrics.jsonl").read_bytes() == (mixed / "metrics.jsonl").read_bytes()
    for name, value in weights(mixed).items():
        np.testing.assert_array_equal(weights(folder)[name], value)
    for name in ("validation", "test"):
        ours, theirs = (load(run / "predictions" / f"{name}.parquet") for run in (folder, mixed))
        np.testing.assert_array_equal(ours.logits, theirs.logits)


def test_a_process_that_dies_ends_the_other(topics, tmp_path):
    folder = tmp_path / "run"
    argv = [*MIXED, "--train.checkpoint_every", "10"]
    processes = ranks.start(2, folder.with_suffix(".log"), cli.main, command(topics, folder, *argv))
    wait_for(lambda: any(record["step"] >= 20 for record in timing(folder)))
    processes[1].kill()
    assert ranks.join(processes, timeout=60) == [1, -9]
    assert "error: another process died after step" in said(folder)


def test_a_loss_that_is_no_number_on_one_process_stops_all(topics, tmp_path):
    folder = tmp_path / "run"
    processes = ranks.start(2, folder.with_suffix(".log"), ranks.spoil_one, command(topics, folder, *MIXED), 1, 13)
    assert ranks.join(processes) == [1, 1]
    for rank in (0, 1):
        assert "error: the loss is nan at step 13 (epoch 1, lambda" in said(folder, rank)


def test_one_process_short_of_memory_makes_all_take_smaller_pieces(plain, topics, tmp_path):
    """The rows of every step stay the same, and so do the weights; a resumed run keeps what was found."""
    folder = tmp_path / "run"
    argv = command(topics, folder, *PLAIN, "--train.batch_size", "10", "--train.auto_batch", "true")
    processes = ranks.start(2, folder.with_suffix(".log"), ranks.short_of_memory, argv, 1, 5)
    assert ranks.join(processes) == [0, 0], said(folder, 1)
    assert "out of memory at step 1 (epoch 1), in a batch of " in said(folder)
    assert "goes on with train.batch_size 5 and train.gradient_accumulation_steps 6" in said(folder)
    for name, value in weights(plain[1]).items():
        np.testing.assert_allclose(weights(folder)[name], value, atol=1e-5, rtol=0, err_msg=name)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["batch_size"], summary["gradient_accumulation_steps"]) == (5, 6)


def test_uneven_data_lose_nothing(topics, tmp_path):
    """21 rows in batches of 4: trained on, evaluated and predicted, each row once, as on one process."""
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "validation", "test"):
        lines = (topics / f"{split}.csv").read_text().splitlines()[:22]
        (data / f"{split}.csv").write_text("\n".join(lines) + "\n")
    options = ["--mixup.alpha", "0", "--train.epochs", "1", "--model.dropout", "0", "--train.log_every", "1",
               "--train.eval_batch_size", "4", "--train.checkpoint_every", "2", "--train.optimizer", "sgd"]  # fmt: skip
    one = train(1, tmp_path / "one", data, *options, "--train.batch_size", "4")
    two = train(2, tmp_path / "two", data, *options, "--train.batch_size", "2")
    mine, its = ([json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (one, two))
    assert sum(record["event"] == "train" for record in its) == 6
    for a, b in zip(mine, its, strict=True):
        assert a == pytest.approx(b, abs=1e-6)
    for name in ("validation", "test"):
        a, b = (load(run / "predictions" / f"{name}.parquet") for run in (one, two))
        assert list(a.ids) == list(b.ids)
        assert len(set(b.ids)) == 21
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-6)
    a, b = (json.loads((run / "summary.json").read_text()) for run in (one, two))
    assert a["test"] == pytest.approx(b["test"], abs=1e-6)


@pytest.mark.parametrize("size", [8_000, 20_000])
def test_a_full_disk_ends_the_run_and_more_room_lets_it_go_on(mixed, topics, tmp_path, size):
    """Too full for the weights of the first checkpoint, or for the state of the optimizer.

    The tokens are in the cache already, thanks to the run before.
    """
    folder = tmp_path / "run"
    argv = command(topics, folder, "--train.epochs", "1", "--train.checkpoint_every", "5")
    processes = ranks.start(1, folder.with_suffix(".log"), ranks.on_a_small_disk, argv, size)
    assert ranks.join(processes) == [1]
    assert f"error: {folder}: can't be written to any more (" in said(folder)
    assert "make room, and start the same command again" in said(folder)
    assert list((folder / "checkpoints").iterdir()) == []
    assert cli.main(argv) == 0


def broken_table(topics, tmp_path):
    """A test split without labels, which every process would find."""
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        (tmp_path / "data" / f"{split}.csv").write_bytes((topics / f"{split}.csv").read_bytes())
    (tmp_path / "data" / "test.csv").write_text("text,other\nthe oven,food\n")
    return tmp_path / "data", f"{tmp_path / 'data' / 'test.csv'}: expected a column 'label' (data.label_column)"


def file_in_the_way(topics, tmp_path):
    """A folder that only the main process writes to, and can't."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").mkdir()
    return topics, f"{tmp_path / 'run'}: expected a folder that can be written to, got: Is a directory"


@pytest.mark.parametrize("broken", [broken_table, file_in_the_way])
def test_bad_input_ends_all_processes_with_one_sentence(topics, tmp_path, broken):
    folder = tmp_path / "run"
    data, message = broken(topics, tmp_path)
    processes = ranks.start(2, folder.with_suffix(".log"), cli.main, command(data, folder))
    assert ranks.join(processes) == [2, 2], said(folder, 1)
    for rank in (0, 1):
        assert f"error: {message}" in said(folder, rank)
        assert "Traceback" not in said(folder, rank)


def test_bad_input_on_one_process_ends_all_with_its_sentence(topics, tmp_path):
    """Data that only one machine has."""
    folder, missing = tmp_path / "run", tmp_path / "missing.csv"
    argv = command(topics, folder)
    processes = ranks.start(2, folder.with_suffix(".log"), ranks.with_other_data, argv, 1, str(missing))
    assert ranks.join(processes) == [2, 2], said(folder)
    for rank in (0, 1):
        assert f"found no '{missing}'" in said(folder, rank)
        assert "Traceback" not in said(folder, rank)
    assert not folder.exists()


def test_torchruns_processes_end_with_their_launcher(topics, tmp_path):
    """The launcher passes SIGTERM on; bad input ends all processes, too."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
              str(ROOT / "textmix" / "train.py")]  # fmt: skip
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "run"
    argv = command(topics, folder, *MIXED, "--train.epochs", "1000")[1:]
    with subprocess.Popen([*launch, *argv], env=environment, stderr=subprocess.PIPE, text=True) as agent:
        wait_for(lambda: any(record["step"] >= 20 for record in timing(folder)), seconds=120)
        agent.send_signal(signal.SIGTERM)
        _, told = agent.communicate(timeout=120)
    assert "by SIGTERM, all saved; go on with: accelerate launch" in told
    assert list((folder / "checkpoints").glob("step-*"))


def test_ten_kills_change_nothing(tmp_path):
    """The short form of the chaos script."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench" / "chaos.py"), "--kills", "10", "--folder", str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("10 kills, ")
