import multiprocessing
import time

import pytest
from huggingface_hub import constants

from textmix.data.cache import cached, content_key
from textmix.errors import InputError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))


def test_written_once_for_each_key():
    calls = []

    def write(folder):
        calls.append(folder)
        (folder / "x").write_text("hello")

    first = cached(("a", 1), write)
    assert (first / "x").read_text() == "hello"
    assert cached(("a", 1), write) == first
    assert len(calls) == 1
    assert cached(("a", 2), write) != first
    assert cached(("a", "1"), write) != first


def test_a_failure_leaves_nothing_that_could_be_mistaken():
    def fail(folder):
        (folder / "x").write_text("half")
        raise InputError("no")

    with pytest.raises(InputError, match=r"no"):
        cached(("a",), fail)
    folder = cached(("a",), lambda folder: (folder / "y").write_text("whole"))
    assert [path.name for path in folder.iterdir()] == ["y"]


def _count(log):
    def write(folder):
        time.sleep(0.2)
        with log.open("a") as file:
            file.write("x")
        (folder / "x").write_text("done")

    cached(("shared",), write)


def test_two_processes_write_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(tmp_path / "log",)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (tmp_path / "log").read_text() == "x"


def test_a_place_that_can_not_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"set HF_HOME"):
        cached(("a",), lambda folder: None)


def test_a_full_disk():
    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"No space left.*HF_HOME"):
        cached(("a",), full)


def test_content_key_is_the_content(tmp_path):
    for name, text in [("a", "x"), ("b", "x"), ("c", "y")]:
        (tmp_path / name).write_text(text)
    keys = [content_key(tmp_path / name) for name in "abc"]
    assert keys[0] == keys[1] != keys[2]
