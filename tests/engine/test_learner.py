"""What a learner is wrapped in for several processes or for a compiler changes no step."""

from dataclasses import replace

import numpy as np
import pytest
import ranks
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import TorchDynamoPlugin
from checkpoints_kit import checkpoint
from torch._dynamo.utils import counters
from torch.nn.functional import cross_entropy

from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.engine.dropout import FastDropout
from textmix.engine.learner import batches_of_epoch, make_learner
from textmix.engine.steps import optimizer_step, windows
from textmix.mixup import Mixup, draw
from textmix.models.build import build_model

TEXTS = Config(
    mixup=MixupConfig(alpha=0.4, clean_weight=0.5), train=TrainConfig(epochs=1, batch_size=16, learning_rate=1e-3)
)


@pytest.fixture
def new_state():
    """Let accelerate, which is made up once for a process, be made anew; before and after."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


def losses(accelerator, config, splits):
    """Return the loss of every step of an epoch."""
    torch.manual_seed(0)
    model = build_model(config, splits)
    learner = make_learner(accelerator, model, Mixup(model, config.mixup_site), splits, config)
    learner.forward.train()
    batches = batches_of_epoch(accelerator, splits, config, epoch=0)
    steps = windows(learner, splits.train, batches, config.mixup, epoch=0, first=0)
    return [optimizer_step(learner, window).loss.item() for window in steps]


@pytest.mark.usefixtures("new_state")
def test_compiled_it_takes_the_same_steps_without_compiling_for_every_mix(tmp_path, topics):
    model = ModelConfig(name="pretrained", path=str(checkpoint(tmp_path / "bert", hidden_dropout_prob=0.0)))
    config = replace(TEXTS, data=DataConfig(path=str(topics), max_length=3), model=model)  # all of one length
    splits = load_splits(config)
    expected = losses(Accelerator(), config, splits)
    AcceleratorState._reset_state()
    torch._dynamo.reset()
    counters.clear()
    compiling = Accelerator(dynamo_plugin=TorchDynamoPlugin(backend="eager", dynamic=False))
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        found = losses(compiling, config, splits)
    assert found == pytest.approx(expected, abs=1e-5)
    assert counters["stats"]["unique_graphs"] > 0


@pytest.mark.usefixtures("new_state")
@pytest.mark.parametrize("backend", ["no", "eager"])
def test_a_compiler_draws_dropout_in_its_own_way(tmp_path, topics, backend):
    path = str(checkpoint(tmp_path / "bert"))
    config = replace(
        TEXTS, data=DataConfig(path=str(topics), max_length=32), model=ModelConfig(name="pretrained", path=path)
    )
    splits = load_splits(config)
    model = build_model(config, splits)
    accelerator = Accelerator(dynamo_plugin=TorchDynamoPlugin(backend=backend))
    learner = make_learner(accelerator, model, Mixup(model, config.mixup_site), splits, config)
    assert isinstance(learner.dropout, FastDropout) == (backend == "no")


IMAGES = Config(
    data=DataConfig(image_column="image"),
    model=ModelConfig(name="resnet20", width=4),
    mixup=MixupConfig(site="input", alpha=1.0, clean_weight=0.5),
    train=TrainConfig(optimizer="sgd", momentum=0.0, learning_rate=0.1, max_grad_norm=None, batch_size=8),
)


def test_two_processes_add_a_clean_forward_with_batch_norm_as_by_hand(pictures, tmp_path):
    """Each has its own mix and batch statistics; gradients are averaged, running statistics those of the first."""
    config = replace(IMAGES, data=replace(IMAGES.data, path=str(pictures)))
    assert ranks.join(ranks.start(2, tmp_path / "log", ranks.one_step, config, str(tmp_path / "done"))) == [0, 0]
    splits, gradients = load_splits(config), []
    for rank in (1, 0):  # the running statistics of the first are left behind
        torch.manual_seed(0)
        model = ranks.in_double(build_model(config, splits)).train()
        batch = splits.train.batch(np.arange(16)[8 * rank : 8 * rank + 8])
        labels = batch.pop("labels")
        batch = splits.train.transform(batch, (0, 0, 0, rank))
        mix = draw(config.mixup, 8, seed=(0, 0, 0, rank))
        with Mixup(model, "input").applied(mix, batch) as inputs:
            mixed = cross_entropy(model(**inputs).logits, mix.targets(labels, 2).double())
        (mixed + 0.5 * cross_entropy(model(**batch).logits, labels)).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter -= 0.1 * (gradients[0][name] + gradients[1][name]) / 2
    one, other = (torch.load(tmp_path / f"done.{rank}") for rank in (0, 1))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(one[name], value, atol=1e-7, rtol=1e-7, msg=name)
        if "running" not in name:
            assert torch.equal(one[name], other[name]), name
