import logging
import os

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from textmix.config import TrainConfig
from textmix.engine import start
from textmix.engine.launch import start_predicting
from textmix.errors import InputError


@pytest.fixture(autouse=True)
def another_precision():
    """Let accelerate, which chooses its precision once for a process, choose again; before and after."""
    AcceleratorState._reset_state()
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state()


@pytest.mark.parametrize(
    ("asked", "launcher", "got"),
    [
        ("launcher", None, "no"),
        ("launcher", "bf16", "bf16"),
        ("fp32", "bf16", "no"),
        ("bf16", "no", "bf16"),
    ],
)
def test_the_configuration_goes_before_the_launcher(monkeypatch, asked, launcher, got):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launcher is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launcher)
    assert start(TrainConfig(precision=asked)).mixed_precision == got


@pytest.mark.parametrize(
    ("abilities", "got"), [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_f": True}, "no")]
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU decides there")
def test_auto_is_bf16_where_the_processor_multiplies_in_it(monkeypatch, abilities, got):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert start(TrainConfig(precision="auto")).mixed_precision == got


def test_threads_are_shared_among_the_processes_of_a_machine(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="textmix")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    cores = len(os.sched_getaffinity(0))
    start(TrainConfig())
    assert torch.get_num_threads() == max(1, cores // 2)
    start(TrainConfig(threads=3))
    assert torch.get_num_threads() == 3
    assert "3 thread(s)" in caplog.text


def test_where_the_system_names_no_cores_of_a_process_all_count(monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    start(TrainConfig())
    assert torch.get_num_threads() == os.cpu_count()


def test_the_launcher_divides_no_gradient(monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    weight = torch.ones((), requires_grad=True)
    start(TrainConfig()).backward(3 * weight)
    assert weight.grad == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains in it")
@pytest.mark.parametrize("asked", ["fp16", "launcher"])
def test_half_precision_on_a_cpu_is_refused(monkeypatch, asked):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(InputError, match=r"train.precision: expected fp32 or bf16 on a CPU, got fp16"):
        start(TrainConfig(precision=asked))


@pytest.mark.parametrize("launcher", ["bf16", "fp16"])
def test_predicting_is_in_float32_wherever_it_starts(monkeypatch, caplog, launcher):
    caplog.set_level(logging.INFO, logger="textmix")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launcher)
    start_predicting(1)
    assert "1 thread(s) each, in fp32." in caplog.text


@pytest.mark.parametrize("kind", ["FSDP", "MEGATRON_LM"])
def test_a_model_cut_up_between_processes_is_refused(monkeypatch, kind):
    """As accelerate says it of GPUs; on CPUs it never cuts a model up."""
    start(TrainConfig())
    monkeypatch.setitem(PartialState._shared_state, "distributed_type", DistributedType[kind])
    with pytest.raises(InputError, match=f"got {kind}.*MixupTrainer"):
        start(TrainConfig())
