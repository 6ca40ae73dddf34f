"""A sweep on a Ray that the test starts."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from textmix.engine.stop import StopRequest
from textmix.errors import InputError
from textmix.sweep.cluster import Starter, launch_ray
from textmix.sweep.launch import Share

pytest.importorskip("ray", reason="needs the package ray: pip install 'textmix[sweep]'")

OPEN = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
"""A Ray without the token that a shared one asks for."""


@pytest.fixture
def address():
    """The address of a Ray of one machine with two cores."""
    folder = tempfile.mkdtemp(prefix="ray")  # a short path: sockets have no longer ones
    port = "26379"
    ray_command = str(Path(sys.executable).with_name("ray"))
    command = [ray_command, "start", "--head", "--block", "--port", port, "--num-cpus", "2", "--temp-dir", folder,
               "--include-dashboard", "false", "--disable-usage-stats"]  # fmt: skip
    head = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=OPEN)
    assert head.stdout is not None
    for line in head.stdout:
        if "Ray runtime started" in line:
            break
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.communicate()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_same_file_runs_on_a_cluster(tmp_path, write_sweep, address):
    methods = {"plain": {}, "diverging": {"train.learning_rate": 1e30, "train.max_grad_norm": None}}
    command = [*write_sweep(tmp_path, methods=methods, seeds=[0], jobs=2), "--launcher", "ray"]
    environment = {**OPEN, "RAY_ADDRESS": address}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert "error: the loss is" in done.stdout
    assert "error: 1 of 2 runs failed" in done.stderr
    [summary] = (tmp_path / "out").glob("*/plain-0/summary.json")
    assert "1 thread(s) each" in summary.parent.with_name("plain-0.log").read_text()


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"launcher: expected a Ray cluster at RAY_ADDRESS=127.0.0.1:1"):
        next(launch_ray(iter(()), 1, Share(1), StopRequest()))


def test_a_process_that_is_stopped_before_it_starts_does_not(tmp_path):
    starter = Starter()
    starter.stop(15)
    assert starter.run([sys.executable, "-c", "print(1)"], "log", str(tmp_path), {}) == -15
    assert not (tmp_path / "log").exists()
