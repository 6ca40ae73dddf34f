"""Processes, devices, precision and threads: what a run stands on."""

import logging
import os

import torch
import transformers
from accelerate import Accelerator

from textmix.config import TrainConfig

logger = logging.getLogger(__name__)

_PRECISION = {"auto": None, "fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def start(config: TrainConfig) -> Accelerator:
    """Join the other processes, choose device and precision, and set the number of threads."""
    accelerator = Accelerator(mixed_precision=_PRECISION[config.precision])
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
