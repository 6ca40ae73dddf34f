import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import yaml

from textmix.command import make_parser, parse
from textmix.config import Config, DataConfig, LossConfig, MixupConfig, TrainConfig
from textmix.errors import InputError, RunError
from textmix.run_folder import is_finished, run_dir, working_in


@pytest.mark.parametrize(
    ("config", "file", "expected"),
    [
        (Config(seed=3), "configs/trec_cnn.yaml", "runs/trec_cnn-3"),
        (Config(), None, "runs/tweets-0"),
        (Config(data=DataConfig(path="/some/data/trec")), None, "runs/trec-0"),
        (Config(data=DataConfig(path="SetFit/TREC-QC")), None, "runs/TREC-QC-0"),
        (Config(output_dir="/x/y"), "configs/trec_cnn.yaml", "/x/y"),
        (Config(seed=1), "runs/trec_cnn-0/config.yaml", "runs/config-1"),
    ],
)
def test_where_a_run_lies(config, file, expected):
    assert str(run_dir(config, file)) == expected


def test_a_run_below_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(run_dir(Config(output_dir="~/runs/a"), None)) == "/home/somebody/runs/a"


def begin(folder, config=None):
    """Begin a run and leave it at once."""
    with working_in(folder, config or Config(), writes=True):
        pass


def test_the_written_configuration_is_the_run_again(tmp_path):
    config = Config(mixup=MixupConfig(alpha=0.4), loss=LossConfig(class_weights=(1.0, 2.0)), output_dir=str(tmp_path))
    begin(tmp_path, config)
    again, _ = parse(
        make_parser(Config, "t", ""), Config, ["--config", str(tmp_path / "config.yaml"), "--output_dir", str(tmp_path)]
    )
    assert again == config


def test_finished_only_with_a_summary(tmp_path):
    folder, config = tmp_path / "run", Config()
    assert not is_finished(folder, config)
    begin(folder)
    assert not is_finished(folder, config)
    (folder / "summary.json").write_text("{}")
    assert is_finished(folder, config)


def test_another_configuration_is_refused_with_the_differing_keys(tmp_path):
    begin(tmp_path)
    with pytest.raises(InputError, match=r"mixup.alpha is 0.1 there and 0.4 here, seed is 0 there and 1 here"):
        is_finished(tmp_path, Config(mixup=MixupConfig(alpha=0.4), seed=1))


def test_where_the_run_lies_does_not_make_it_another(tmp_path):
    begin(tmp_path, Config(output_dir="a"))
    assert not is_finished(tmp_path, Config(output_dir="b"))


def test_folders_of_somebody_else_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(InputError, match="expected an empty folder or a run, got other files"):
        is_finished(tmp_path, Config())
    with pytest.raises(InputError, match="expected a folder for the run, got a file"):
        is_finished(tmp_path / "thesis.tex", Config())


@pytest.mark.parametrize("text", ["a: [", "- 1", "\x00"])
def test_a_broken_configuration_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=r"config.yaml: expected the configuration of a run"):
        is_finished(tmp_path, Config())


def test_what_does_not_decide_the_result_may_change(tmp_path):
    begin(tmp_path, Config(train=TrainConfig(keep_checkpoints=5)))
    assert not is_finished(tmp_path, Config(train=TrainConfig(checkpoint_every=7), resume="never"))


def test_never_begins_again_and_auto_leaves_everything(tmp_path):
    begin(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")
    begin(tmp_path)
    assert is_finished(tmp_path, Config())
    again = Config(resume="never")
    assert not is_finished(tmp_path, again)
    begin(tmp_path, again)
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", ".lock", "notes.txt"}
    assert "resume" not in yaml.safe_load((tmp_path / "config.yaml").read_text())


def work(folder, ready):
    with working_in(folder, Config(), writes=True):
        ready.set()
        signal.pause()


def test_a_second_run_is_refused_until_the_first_is_dead(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    first = context.Process(target=work, args=(tmp_path, ready))
    first.start()
    assert ready.wait(30)
    with pytest.raises(InputError, match=rf"another run is working in it \(process {first.pid} on"):
        begin(tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    begin(tmp_path)


def test_a_folder_that_can_not_be_made_is_named():
    with (
        pytest.raises(InputError, match=r"/proc/run: expected a folder that can be written to, got: "),
        working_in(Path("/proc/run"), Config(), writes=True),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fails_is_told_in_one_sentence(tmp_path, number):
    with (
        pytest.raises(RunError, match=r"can't be written to any more \(.*\); make room"),
        working_in(tmp_path, Config(), writes=True),
    ):
        raise OSError(number, os.strerror(number))


def test_other_failures_keep_their_name(tmp_path):
    with pytest.raises(FileNotFoundError), working_in(tmp_path, Config(), writes=True):
        (tmp_path / "missing").read_text()
