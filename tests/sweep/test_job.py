"""Real sweeps of small networks, in processes of their own."""

import json
import os
import pathlib
import signal
import subprocess
import time

from textmix.run_folder import SUMMARY


def test_a_failing_run_is_told_and_stops_no_other(swept):
    done, folder, _ = swept
    assert done.returncode == 1
    assert "6 of 6" in done.stderr
    assert "error: 1 of 6 runs failed, " in done.stderr
    assert "the same command tries them again" in done.stderr
    assert "diverging-0 failed; the last lines of" in done.stdout
    assert "error: the loss is" in done.stdout.split("diverging-0 failed")[1]
    assert sorted(path.parent.name for path in folder.glob("*/*/summary.json")) == [
        "dominant-0.4-0", "mixup-0.4-0", "mixup-0.4-1", "no-mixup-0", "no-mixup-1",
    ]  # fmt: skip


def test_every_run_is_an_ordinary_one_beside_its_log_and_settings(swept):
    _, folder, _ = swept
    [run] = folder.glob("*/mixup-0.4-1")
    assert (run / "report.html").exists()
    assert (run / "model" / "model.safetensors").exists()
    assert not (run / "checkpoints").exists()
    assert "epoch 2: validation accuracy" in run.with_name("mixup-0.4-1.log").read_text()
    assert "alpha: 0.4" in run.with_name("mixup-0.4-1.yaml").read_text()


def test_finished_runs_are_not_trained_again(swept):
    _, folder, command = swept
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/summary.json")}
    done = subprocess.run([*command, "--only", "[no mixup, mixup 0.4]"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 runs, 0 of them to train" in done.stderr
    assert "5 of 6 runs are finished" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*/summary.json")} == before


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sweep_that_is_stopped_and_a_run_that_is_killed_go_on(tmp_path, write_sweep):
    base = {"train": {"epochs": 40, "batch_size": 32, "learning_rate": 0.01, "threads": 1}, "eval": {"resamples": 100}}
    command = write_sweep(tmp_path, base=base, methods={"plain": {}, "later": {}}, seeds=[0])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def checkpoints():
        return set((tmp_path / "out").glob("*/plain-0/checkpoints/*"))

    process = subprocess.Popen(command, **pipes)
    wait_for(checkpoints, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT
    assert "stopped by SIGINT; the same command goes on" in errors
    [log] = (tmp_path / "out").glob("*/plain-0.log")
    assert "all saved; go on with" in log.read_text()
    assert not list((tmp_path / "out").glob("*/later-0*"))

    before = checkpoints()
    process = subprocess.Popen([*command, "--only", "[plain]"], **pipes)
    wait_for(lambda: checkpoints() - before, process)
    [child] = children(process.pid)
    os.kill(child, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "failed with exit code -9" in errors

    done = subprocess.run([*command, "--only", "[plain]"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert log.read_text().count("goes on from the checkpoint after step") == 2
    [summary] = (tmp_path / "out").glob(f"*/plain-0/{SUMMARY}")
    assert json.loads(summary.read_text())["epochs"] == 40


def children(pid):
    with pathlib.Path(f"/proc/{pid}/task/{pid}/children").open(encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
