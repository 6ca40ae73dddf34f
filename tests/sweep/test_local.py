import os
import signal
import sys
import threading

import pytest

from textmix.engine.stop import StopRequest
from textmix.sweep.launch import Share, Task
from textmix.sweep.local import launch_local
from textmix.sweep.tasks import share_of

SAVES = """
import signal, sys, time
def save(*_):
    print("saved")
    sys.exit(3)
signal.signal(signal.SIGTERM, save)
print("up", flush=True)
time.sleep(60)
"""


def python(tmp_path, name, program):
    return Task(name, (sys.executable, "-c", program), tmp_path / "logs" / f"{name}.log")


def test_every_task_ends_with_its_code_and_its_log(tmp_path):
    tasks = [
        python(tmp_path, str(k), f"import os; print(os.environ['OMP_NUM_THREADS']); raise SystemExit({k})")
        for k in range(3)
    ]
    ended = {done.task.name: done.code for done in launch_local(iter(tasks), 2, Share(5), StopRequest())}
    assert ended == {"0": 0, "1": 1, "2": 2}
    assert [task.log.read_text().strip() for task in tasks] == ["5", "5", "5"]


def test_no_more_run_at_a_time_than_jobs(tmp_path):
    program = (
        "import pathlib, time; own = pathlib.Path({own!r}); own.touch(); time.sleep(0.5); "
        "print(len(list(own.parent.glob('*.up')))); own.unlink()"
    )
    tasks = [python(tmp_path, str(k), program.format(own=str(tmp_path / f"{k}.up"))) for k in range(4)]
    assert len(list(launch_local(iter(tasks), 2, Share(1), StopRequest()))) == 4
    assert max(int(task.log.read_text()) for task in tasks) <= 2


def test_a_stop_reaches_those_under_way_and_starts_no_others(tmp_path):
    request = StopRequest()
    tasks = [python(tmp_path, str(k), SAVES) for k in range(3)]

    def when_up():
        while not all(task.log.exists() and "up" in task.log.read_text() for task in tasks[:2]):
            pass
        request.signal = signal.SIGTERM

    threading.Thread(target=when_up).start()
    ended = list(launch_local(iter(tasks), 2, Share(1), request))
    assert [done.code for done in ended] == [3, 3]
    assert "saved" in tasks[0].log.read_text()
    assert not tasks[2].log.exists()


def test_nothing_is_left_running_when_the_caller_fails(tmp_path):
    task = python(tmp_path, "long", SAVES)
    launched = launch_local(iter([python(tmp_path, "short", ""), task]), 2, Share(1), StopRequest())
    next(launched)
    with pytest.raises(ZeroDivisionError):
        launched.throw(ZeroDivisionError)
    assert "up" not in task.log.read_text() or "saved" in task.log.read_text()


def test_jobs_share_the_cores(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    assert share_of(1, None, "local") == Share(cores)
    assert share_of(cores + 1, None, "local") == Share(1)
    assert share_of(2, 3, "local") == Share(3)
    assert share_of(2, None, "ray", gpus=0.5) == Share(1, 0.5)
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert share_of(1, None, "local") == Share(os.cpu_count())
