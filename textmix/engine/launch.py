"""Processes, devices, precision, threads and memory: what a run stands on."""

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import transformers
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, GradientAccumulationPlugin, gather_object

from textmix.config import TrainConfig
from textmix.errors import InputError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PRECISION = {"launcher": None, "fp32": "no", "bf16": "bf16", "fp16": "fp16"}
_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
"""Ways to cut a model up, under which weights can't be saved, chosen and restored as the loop does it."""
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1
"""What glibc's mallopt calls them."""


def start(config: TrainConfig, *, some_unused: bool = False) -> Accelerator:
    """Join the other processes, choose device and precision, and set the number of threads.

    :param some_unused: the model may have parameters that play no part in its logits: processes must not wait for
        their gradients.
    :raises InputError: accelerate was told to cut the model up between the processes, or the device has no such
        precision.
    """
    precision = _natural_precision() if config.precision == "auto" else _PRECISION[config.precision]
    accelerator = _join(precision, config.threads, some_unused=some_unused)
    if accelerator.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError(
            "train.precision: expected fp32 or bf16 on a CPU, got fp16, in which only GPUs train; choose one of them, "
            "here or for accelerate."
        )
    _tell(accelerator, precision_of(accelerator))
    return accelerator


def start_predicting(threads: int | None) -> Accelerator:
    """Join the other processes, choose the device, and set the number of threads; None takes all cores.

    Predicting is in float32, in whichever precision accelerate was told to train, here or before in this process.

    :raises InputError: accelerate was told to cut the model up between the processes.
    """
    accelerator = _join(None, threads, some_unused=False)
    _tell(accelerator, "fp32")
    return accelerator


def _join(precision: str | None, threads: int | None, *, some_unused: bool) -> Accelerator:
    _keep_memory()
    parallel = DistributedDataParallelKwargs(find_unused_parameters=some_unused)
    # The loss is divided as the loop says; without a plugin, a variable of the launcher's would divide it once more.
    undivided = GradientAccumulationPlugin(num_steps=1)
    accelerator = Accelerator(
        mixed_precision=precision, gradient_accumulation_plugin=undivided, kwargs_handlers=[parallel]
    )
    if accelerator.distributed_type in _SHARDED:
        raise InputError(
            f"accelerate: expected one process or data parallelism, got {accelerator.distributed_type.value}, which "
            "cuts the model up; launch without it, or train with textmix.trainer.MixupTrainer."
        )
    # The launcher sets OMP_NUM_THREADS=1 without being asked, which would leave cores idle: decided here instead.
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(threads or max(1, usable_cores() // here))
    if not accelerator.is_main_process:
        logging.getLogger("textmix").setLevel(logging.ERROR)  # one voice is enough
    transformers.utils.logging.disable_progress_bar()  # saving a model is no progress
    return accelerator


def _tell(accelerator: Accelerator, precision: str) -> None:
    logger.info(
        "%d process(es) on %s, %d thread(s) each, in %s.",
        accelerator.num_processes,
        accelerator.device,
        torch.get_num_threads(),
        precision,
    )


def speaks() -> bool:
    """Tell whether this process is the one that prints; it may not have joined the others yet."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def together() -> Iterator[None]:
    """Let all processes go on after the body, or none: one that ends alone would leave the others waiting for it.

    :raises InputError: it was raised on this process or on another one.
    """
    error = None
    try:
        yield
    except InputError as raised:
        error = raised
    told = [message for message in gather_object([error and str(error)]) if message is not None]
    if told:
        raise error or InputError(told[0])


def main_first(accelerator: Accelerator, prepare: Callable[[], T]) -> T:
    """Return what `prepare` makes on each process; the others begin once the main one is done.

    :raises InputError: it was raised on any of them.
    """
    made = []
    for turn in (True, False):
        with together():
            if accelerator.is_main_process == turn:
                made.append(prepare())
    return made[0]


def usable_cores() -> int:
    """Return the number of cores that this process may use; macOS does not tell, and all of its cores count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def precision_of(accelerator: Accelerator) -> str:
    """Return the precision of training: fp32, bf16 or fp16."""
    return "fp32" if accelerator.mixed_precision == "no" else str(accelerator.mixed_precision)


def _natural_precision() -> str:
    """Return bf16 where the device multiplies in it, fp32 where it would only be slower."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    abilities = torch.cpu.get_capabilities()
    return "bf16" if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else "no"


def _keep_memory() -> None:
    """Let the C library keep what a step frees for the next one, where it would give it back and ask for it again.

    Every gradient and activation of some size would be new pages otherwise, which the kernel zeroes at their first use.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
