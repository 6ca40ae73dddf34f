"""Processes, devices, precision, threads and memory: what a run stands on."""

import ctypes
import logging
import os
import sys

import torch
import transformers
from accelerate import Accelerator

from textmix.config import TrainConfig

logger = logging.getLogger(__name__)

_PRECISION = {"launcher": None, "fp32": "no", "bf16": "bf16", "fp16": "fp16"}
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1
"""What glibc's mallopt calls them."""


def start(config: TrainConfig) -> Accelerator:
    """Join the other processes, choose device and precision, and set the number of threads."""
    _keep_memory()
    precision = _natural_precision() if config.precision == "auto" else _PRECISION[config.precision]
    accelerator = Accelerator(mixed_precision=precision)
    # The launcher sets OMP_NUM_THREADS=1 without being asked, which would leave cores idle: decided here instead.
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(config.threads or max(1, len(os.sched_getaffinity(0)) // here))
    if not accelerator.is_main_process:
        logging.getLogger("textmix").setLevel(logging.ERROR)  # one voice is enough
    transformers.utils.logging.disable_progress_bar()  # saving a model is no progress
    logger.info(
        "%d process(es) on %s, %d thread(s) each, in %s.",
        accelerator.num_processes,
        accelerator.device,
        torch.get_num_threads(),
        "fp32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision,
    )
    return accelerator


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
