"""Processes for the tests: forked from a server that has imported everything, each a rank of a group."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["textmix.outcome", "textmix.models.build", "textmix.cli"])


def start(count: int, log: Path, function: Callable[..., int], *args: object) -> list[BaseProcess]:
    """Start `count` processes that run ``function(*args)`` and end with its exit code; process r writes to log.r."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    group = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "localhost", "MASTER_PORT": port,
             "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": 1}  # fmt: skip
    processes = []
    for rank in range(count):
        environment = {key: str(value) for key, value in (group | {"RANK": rank, "LOCAL_RANK": rank}).items()}
        process = SERVER.Process(target=_run, args=(environment, f"{log}.{rank}", function, args))
        process.start()
        processes.append(process)
    return processes


def join(processes: list[BaseProcess], timeout: float = 120) -> list[int | None]:
    """Wait for the processes and return their exit codes; None for one that hangs, which is killed."""
    codes = []
    for process in processes:
        process.join(timeout)
        codes.append(process.exitcode)
        process.kill()
    return codes


def predict_logits(data: str, model: str, batch_sizes: tuple[int, ...], target: str) -> int:
    """Save the logits of the test split as this process sees them."""
    import numpy as np
    from accelerate import Accelerator
    from transformers import AutoModelForSequenceClassification

    from textmix import engine
    from textmix.config import Config, DataConfig
    from textmix.data import load_splits

    splits = load_splits(Config(data=DataConfig(path=data)))
    accelerator = Accelerator()
    classifier = AutoModelForSequenceClassification.from_pretrained(model)
    logits = {
        str(size): engine.predict_logits(accelerator, classifier, splits.test, size).numpy() for size in batch_sizes
    }
    np.savez(f"{target}.{accelerator.process_index}.npz", **logits)
    return 0


def in_double(model: Any) -> Any:
    """Let a model of images compute in float64, where rounding turns no ReLU on that should be off."""
    model.double().register_forward_pre_hook(
        lambda _, args, kwargs: (args, {name: value.double() for name, value in kwargs.items()}), with_kwargs=True
    )
    return model


def one_step(config: object, target: str) -> int:
    """Take one step on the first rows of the training split, and save the weights of this process."""
    import numpy as np
    import torch
    from accelerate import Accelerator

    from textmix.config import Config
    from textmix.data import load_splits
    from textmix.engine.learner import make_learner
    from textmix.engine.steps import optimizer_step, windows
    from textmix.mixup import Mixup
    from textmix.models.build import build_model

    assert isinstance(config, Config)
    accelerator, splits = Accelerator(), load_splits(config)
    torch.manual_seed(0)
    model = in_double(build_model(config, splits))
    learner = make_learner(accelerator, model, Mixup(model, config.mixup_site), splits, config)
    learner.forward.train()
    rows = np.arange(config.train.batch_size * accelerator.num_processes)
    for window in windows(learner, splits.train, [rows], config.mixup, epoch=0, first=0):
        optimizer_step(learner, window)
    torch.save(model.state_dict(), f"{target}.{accelerator.process_index}")
    return 0


def spoil_one(argv: list[str], rank: int, forward: int) -> int:
    """Train as the command line does, with a model that returns NaN on one process, once."""
    import torch

    from textmix import cli
    from textmix.engine import learner

    class Forward(learner.Forward):
        count = 0

        def forward(self, *args: object) -> tuple[torch.Tensor, torch.Tensor | None]:
            self.count += 1
            logits, clean = super().forward(*args)
            spoilt = self.count == forward and int(os.environ["RANK"]) == rank
            return (logits * torch.nan if spoilt else logits), clean

    learner.Forward = Forward
    return cli.main(argv)


def with_other_data(argv: list[str], rank: int, path: str) -> int:
    """Train as the command line does, with data at another place on one process."""
    from textmix import cli

    return cli.main([*argv, "--data.path", path] if int(os.environ["RANK"]) == rank else argv)


def short_of_memory(argv: list[str], rank: int, rows: int) -> int:
    """Train as the command line does, where one process can't allocate what more than `rows` rows need."""
    import torch

    from textmix import cli
    from textmix.engine import learner

    class Forward(learner.Forward):
        def forward(self, batch: dict[str, torch.Tensor], *args: object) -> tuple[torch.Tensor, torch.Tensor | None]:
            if int(os.environ["RANK"]) == rank and len(batch["input_ids"]) > rows:
                torch.empty(2**60, dtype=torch.uint8)  # really fails: nobody has as much
            return super().forward(batch, *args)

    learner.Forward = Forward
    return cli.main(argv)


def on_a_small_disk(argv: list[str], size: int) -> int:
    """Run the command line where no file can have more than `size` bytes, as on a disk that is full."""
    import resource
    import signal

    from textmix import cli

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return cli.main(argv)


def _run(environment: dict[str, str], log: str, function: Callable[..., int], args: tuple[object, ...]) -> None:
    os.environ.update(environment)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.exit(function(*args))
