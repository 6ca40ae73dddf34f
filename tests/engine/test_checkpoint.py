import json
import random
import re
import resource
import signal

import pytest

from textmix.engine import checkpoint

STEPS = (3, 20, 100)


def write(folder, step, text="weights"):
    with checkpoint.writing(checkpoint.place(folder, step)) as part:
        (part / "model.safetensors").write_text(text)
        (part / "progress.json").write_text(json.dumps({"step": step}))


@pytest.fixture
def folder(tmp_path):
    for step in STEPS:
        write(tmp_path, step)
    return tmp_path


def test_what_was_written_verifies_and_steps_come_latest_first(folder):
    assert checkpoint.steps(folder) == [100, 20, 3]
    assert [checkpoint.problem(checkpoint.place(folder, step)) for step in STEPS] == [None] * 3
    assert checkpoint.steps(folder / "nothing") == []


def test_it_appears_only_when_it_is_whole(tmp_path):
    with checkpoint.writing(checkpoint.place(tmp_path, 1)) as part:
        (part / "model.safetensors").write_text("half")
        assert checkpoint.steps(tmp_path) == []
    assert checkpoint.steps(tmp_path) == [1]


def test_a_body_that_fails_leaves_what_was_there(folder):
    def interrupted():
        with checkpoint.writing(checkpoint.place(folder, 100)) as part:
            (part / "model.safetensors").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(list(folder.iterdir())) == 3
    assert (checkpoint.place(folder, 100) / "model.safetensors").read_text() == "weights"


def test_a_file_too_large_for_the_disk_leaves_the_older_ones(folder):
    """A limit on the size of a file stands for the disk that is full."""
    limits, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            write(folder, 101, "weights" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heard)
    assert len(list(folder.iterdir())) == 3
    assert checkpoint.problem(checkpoint.place(folder, 100)) is None


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("model.safetensors", lambda data: data[:3], "model.safetensors is not .*: expected 7 bytes, got 3"),
        ("model.safetensors", lambda data: b"", "model.safetensors is not .*: expected 7 bytes, got 0"),
        ("model.safetensors", lambda data: b"W" + data[1:], "model.safetensors is not .*: its checksum differs"),
        ("manifest.json", lambda data: data[:-9], "manifest.json can't be read"),
        ("manifest.json", lambda data: b"", "manifest.json can't be read"),
        ("manifest.json", lambda data: b"\xff", "manifest.json can't be read"),
        ("manifest.json", lambda data: b"[]", "manifest.json lists no files"),
        (
            "manifest.json",
            lambda data: b'{"model.safetensors": 7}',
            "model.safetensors is not .*: manifest.json says nothing of it",
        ),
    ],
)
def test_damage_is_named(folder, name, damage, reason):
    path = checkpoint.place(folder, 20) / name
    path.write_bytes(damage(path.read_bytes()))
    assert re.match(reason, str(checkpoint.problem(path.parent)))


@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_a_missing_file_is_named(folder, name):
    (checkpoint.place(folder, 20) / name).unlink()
    assert checkpoint.problem(checkpoint.place(folder, 20)) == f"{name}: No such file or directory"


def test_a_manifest_can_not_point_out_of_its_directory(folder):
    manifest = checkpoint.place(folder, 20) / "manifest.json"
    manifest.write_text(json.dumps({"../../../etc/passwd": {}}))
    assert checkpoint.problem(manifest.parent) == "passwd: No such file or directory"


def test_no_flipped_bit_goes_unseen(folder):
    rng = random.Random(0)
    source = checkpoint.place(folder, 20)
    for path in sorted(source.iterdir()):
        whole = path.read_bytes()
        meaning = json.loads(whole) if path.name == checkpoint.MANIFEST else None
        for _ in range(200):
            data = bytearray(whole)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
            if checkpoint.problem(source) is None:  # a blank between two words of the manifest says nothing
                assert json.loads(data) == meaning
        path.write_bytes(whole)
    assert checkpoint.problem(source) is None


def test_pruning_keeps_what_it_is_told_and_sweeps_up(folder):
    (folder / ".step-00000101.part").mkdir()
    checkpoint.prune(folder, {3, 100})
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000003", "step-00000100"]


def test_what_is_set_aside_is_no_checkpoint_and_not_lost(folder):
    checkpoint.set_aside(folder, 100)
    assert checkpoint.steps(folder) == [20, 3]
    assert (folder / "skipped-step-00000100" / "model.safetensors").exists()


def test_a_damaged_checkpoint_is_replaced(folder):
    (checkpoint.place(folder, 100) / "model.safetensors").write_text("")
    write(folder, 100, "again")
    assert checkpoint.problem(checkpoint.place(folder, 100)) is None
