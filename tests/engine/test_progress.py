"""Stopped anywhere and started again, a training ends as the one that was never stopped."""

import json
import os
import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.engine import checkpoint, fit, seed_generators
from textmix.errors import InputError, RunError
from textmix.mixup import Mixup
from textmix.models.build import build_model


class Killed(BaseException):
    """Stands for a process that ends without a word."""


@pytest.fixture(scope="module")
def config(topics):
    return Config(
        data=DataConfig(path=str(topics)),
        model=ModelConfig(embedding_dim=8, num_filters=4),
        mixup=MixupConfig(alpha=0.4, clean_weight=0.5),
        train=TrainConfig(
            epochs=3, batch_size=16, gradient_accumulation_steps=3, learning_rate=0.01, schedule="cosine", warmup=0.2,
            checkpoint_every=2, log_every=3, max_steps=17,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def splits(config):
    return load_splits(config)


def train(config, splits, folder, event=None, at=0):
    """Train in `folder`, or go on with it; call `event` before the forward pass number `at`."""
    seed_generators(config.seed)
    model = build_model(config, splits)
    mixup = Mixup(model, "embedding" if config.mixup.active else "none")
    folder.mkdir(exist_ok=True)
    forwards = []

    def count(*_):
        forwards.append(1)
        if len(forwards) == at:
            event()

    model.register_forward_pre_hook(count)
    result = fit(Accelerator(), model, mixup, splits, config, folder)
    return model, result, len(forwards)


def ask(number):
    return lambda: os.kill(os.getpid(), number)


def kill():
    raise Killed


def begun(folder):
    lines = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]
    return [(line["event"], line["step"]) for line in lines if line["event"] != "train"]


def same(run, other, folder, other_folder):
    for name, value in run[0].state_dict().items():
        assert torch.equal(value, other[0].state_dict()[name]), name
    mine, its = (replace(result, seconds=0, examples_per_second=0) for result in (run[1], other[1]))
    assert mine == its
    assert (folder / "metrics.jsonl").read_bytes() == (other_folder / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def peace(config, splits, tmp_path_factory):
    """The training that was never stopped."""
    folder = tmp_path_factory.mktemp("peace")
    return (*train(config, splits, folder), folder)


@pytest.mark.parametrize("event", [ask(signal.SIGTERM), ask(signal.SIGINT), ask(signal.SIGUSR1), kill],
                         ids=["SIGTERM", "SIGINT", "SIGUSR1", "killed"])  # fmt: skip
def test_stopped_anywhere_it_ends_as_if_it_had_not(config, splits, tmp_path, peace, event):
    """Between steps, within an accumulated one, within an evaluation."""
    moments = np.random.default_rng(len(tmp_path.name)).choice(np.arange(14, peace[2]), 4, replace=False)
    for at in sorted(moments):
        folder = tmp_path / str(at)
        with pytest.raises((SystemExit, Killed)):
            train(config, splits, folder, event, at)
        resumed = train(config, splits, folder)
        same(resumed, peace, folder, peace[3])
        assert [event for event, _ in begun(folder)] == ["start", "resume"]


def test_stopped_at_every_start_it_still_ends_as_if_it_had_not(config, splits, tmp_path, peace):
    """Every start gets two steps further and is then killed."""
    config = replace(config, train=replace(config.train, checkpoint_every=1))
    folder = tmp_path / "run"
    for _ in range(30):
        try:
            resumed = train(config, splits, folder, kill, 17)
        except Killed:
            continue
        break
    same(resumed, peace, folder, peace[3])
    told = begun(folder)
    assert told[0] == ("start", 0)
    assert len(told) > 6
    assert [step for _, step in told] == sorted(step for _, step in told)


def test_a_signal_saves_where_it_came_and_tells_how_to_go_on(config, splits, tmp_path, caplog):
    folder = tmp_path / "my run"
    with pytest.raises(SystemExit) as stopped:
        train(config, splits, folder, ask(signal.SIGTERM), 14)
    assert stopped.value.code == 128 + signal.SIGTERM
    [step, *_] = checkpoint.steps(folder / "checkpoints")
    assert f"stopped after step {step} by SIGTERM" in caplog.text
    assert f"textmix train --config '{folder}/config.yaml' --output_dir '{folder}'" in caplog.text
    train(config, splits, folder)
    assert begun(folder)[-1] == ("resume", step)


def test_a_training_that_was_done_trains_no_more(config, splits, tmp_path, peace):
    first = train(config, splits, tmp_path / "run")
    model, result, forwards = train(config, splits, tmp_path / "run")
    assert forwards == 0
    times = {"seconds": result.seconds, "examples_per_second": result.examples_per_second}
    assert result == replace(first[1], **times)
    same((model, result), peace, tmp_path / "run", peace[3])


def test_the_best_epoch_is_found_again_after_a_resume(config, splits, tmp_path):
    """The first epoch is the best of a training that goes wrong; it is on the disk, not in the memory that is gone."""
    options = {"epochs": 5, "learning_rate": 0.3, "max_steps": None, "keep_checkpoints": 1, "schedule": "constant"}
    wild = replace(config, mixup=MixupConfig(alpha=0), train=replace(config.train, **options))
    first = train(wild, splits, tmp_path / "peace")
    assert first[1].best_epoch < 5
    with pytest.raises(Killed):
        train(wild, splits, tmp_path / "run", kill, first[2] - 1)
    assert checkpoint.steps(tmp_path / "run" / "checkpoints")[1:] == [7 * first[1].best_epoch]
    same(train(wild, splits, tmp_path / "run"), first, tmp_path / "run", tmp_path / "peace")


def damaged(folder, step, name="model.safetensors"):
    path = checkpoint.place(folder / "checkpoints", step) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_skipped_and_named(config, splits, tmp_path, peace, caplog):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(config, splits, folder, kill, 80)
    newest, older = checkpoint.steps(folder / "checkpoints")[:2]
    damaged(folder, newest, "optimizer.pt")
    resumed = train(config, splits, folder)
    assert f"step-{newest:08d}: skipped and set aside, for optimizer.pt is not what was written" in caplog.text
    assert begun(folder)[-1] == ("resume", older)
    same(resumed, peace, folder, peace[3])


def test_damaged_best_weights_are_noticed_and_earned_again(config, splits, tmp_path, peace, caplog):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(config, splits, folder, kill, 94)  # after the step that follows the best epoch
    newest = checkpoint.place(folder / "checkpoints", checkpoint.steps(folder / "checkpoints")[0])
    best = json.loads((newest / "progress.json").read_text())["best_step"]
    damaged(folder, best)
    resumed = train(config, splits, folder)
    assert f"the best weights, step-{best:08d}, are damaged" in caplog.text
    assert begun(folder)[-1] == ("start", 0)  # every checkpoint left relied on them
    same(resumed, peace, folder, peace[3])


def test_metrics_do_not_depend_on_what_became_of_the_file(config, splits, tmp_path, peace):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(config, splits, folder, kill, 80)
    (folder / "metrics.jsonl").write_text("scribble")
    same(train(config, splits, folder), peace, folder, peace[3])


@pytest.mark.parametrize("half", [b'{"event": "tra', b'{"event": "train", "step": 9}'], ids=["half", "no-newline"])
def test_half_a_line_of_a_record_is_cut_off(config, splits, tmp_path, peace, half):
    """As a full disk leaves it, or a kill."""
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(config, splits, folder, kill, 80)
    for name in ("metrics.jsonl", "timing.jsonl"):
        with (folder / name).open("ab") as file:
            file.write(half)
    same(train(config, splits, folder), peace, folder, peace[3])
    assert [event for event, _ in begun(folder)] == ["start", "resume"]  # every line can be read


def test_other_data_are_refused(config, splits, tmp_path):
    with pytest.raises(Killed):
        train(config, splits, tmp_path / "run", kill, 80)
    other = replace(splits, train=replace(splits.train, labels=splits.train.labels[::-1].copy()))
    with pytest.raises(InputError, match="began with other training or validation examples"):
        train(config, other, tmp_path / "run")


@pytest.mark.parametrize(
    ("key", "value", "told"), [("processes", 2, "on 2 process"), ("precision", "bf16", "in precision bf16")]
)
def test_other_processes_and_precision_are_refused(config, splits, tmp_path, key, value, told):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(config, splits, folder, kill, 80)
    edit(folder, **{key: value})
    with pytest.raises(InputError, match=f"began {told}.*, got (1|no); start it with --"):
        train(config, splits, folder)


def edit(folder, **values):
    """Write the newest checkpoint again, with other values in it."""
    newest = checkpoint.place(folder / "checkpoints", checkpoint.steps(folder / "checkpoints")[0])
    files = {path.name: path.read_bytes() for path in newest.iterdir() if path.name != checkpoint.MANIFEST}
    files["progress.json"] = json.dumps(json.loads(files["progress.json"]) | values).encode()
    with checkpoint.writing(newest) as part:
        for name, data in files.items():
            (part / name).write_bytes(data)


def test_whole_files_of_something_else_are_refused(config, splits, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(config, splits, folder, kill, 80)
    edit(folder, colour="red")
    with pytest.raises(InputError, match=r"can't go on from it \(.*colour.*start again with --resume never"):
        train(config, splits, folder)


def test_checkpoints_hold_no_code(config, splits, tmp_path):
    """Everything loads without unpickling anything but numbers."""
    train(config, splits, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").rglob("*.pt"):
        assert torch.load(path, weights_only=True)


def test_no_checkpoint_is_written_of_a_loss_that_is_no_number(config, splits, tmp_path):
    wild = replace(config.train, optimizer="sgd", learning_rate=1e30, max_grad_norm=None, schedule="constant",
                   warmup=0.0, checkpoint_every=1, log_every=100)  # fmt: skip
    with pytest.raises(RunError, match="the loss is "):
        train(replace(config, train=wild), splits, tmp_path / "run")
    for step in checkpoint.steps(tmp_path / "run" / "checkpoints"):
        assert step < 3


def test_the_memory_that_was_too_small_is_told_with_the_batch(config, splits, tmp_path):
    """The allocator really fails: nobody has 2^60 bytes."""
    with pytest.raises(RunError, match=r"out of memory at step \d+ \(epoch 1\), in a batch of .*input_ids \(16, \d+\)"):
        train(config, splits, tmp_path / "run", lambda: torch.empty(2**60, dtype=torch.uint8), 20)


def test_every_generator_goes_on_where_it_was(config, splits, tmp_path):
    """Some models draw from Python's generator or from numpy's."""

    def draws(folder, at=0):
        drawn = []
        seed_generators(0)
        model = build_model(config, splits)
        mixup = Mixup(model, "none")

        def draw(*_):
            drawn.append((random.random(), np.random.random(), torch.rand(()).item()))  # noqa: NPY002
            if len(drawn) == at:
                raise Killed

        model.register_forward_pre_hook(draw)
        folder.mkdir(exist_ok=True)
        fit(Accelerator(), model, mixup, splits, replace(config, mixup=MixupConfig(alpha=0)), folder)
        return drawn

    whole = draws(tmp_path / "peace")
    with pytest.raises(Killed):
        draws(tmp_path / "run", at=len(whole) - 4)
    rest = draws(tmp_path / "run")
    assert 4 <= len(rest) < len(whole)
    assert rest == whole[-len(rest) :]
