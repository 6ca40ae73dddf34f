"""The Trainer is exact: its sums, its evaluation, its draws, its resumption, on one process and two."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from trainer_kit import (
    EVERYTHING,
    arguments,
    bert,
    by_hand,
    close,
    logged,
    make_tokenizer,
    rows,
    trained,
    weights,
)
from transformers import (
    PreTrainedTokenizerFast,
    Trainer,
)

from textmix.config import LossConfig, MixupConfig
from textmix.trainer import MixupTrainer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.mark.parametrize(
    "mixup",
    [
        MixupConfig(alpha=0),
        MixupConfig(alpha=0.4),
        MixupConfig(alpha=0.4, weight_per="sample", labels="dominant"),
        MixupConfig(alpha=10, clean_weight=0.5),
        MixupConfig(alpha=1, weight_per="sample", clean_weight=2, start_epoch=1, off_last_epochs=1),
        MixupConfig(alpha=1, site="hidden:1"),
        MixupConfig(alpha=1, site="head"),
    ],
    ids=["off", "batch", "dominant", "regmixup", "schedule", "hidden", "head"],
)
def test_equals_the_plain_loop(tmp_path, tokenizer, mixup):
    trainer = trained(tmp_path, tokenizer, mixup=mixup, train_sampling_strategy="sequential", num_train_epochs=3)
    close(weights(trainer.model), by_hand(tokenizer, mixup, epochs=3), 1e-5)


@pytest.mark.parametrize(
    "loss",
    [LossConfig(), EVERYTHING],
    ids=["plain", "everything"],
)
def test_accumulation_changes_nothing(tmp_path, tokenizer, loss):
    # 21 rows: a last window of fewer micro-batches, the last of them smaller than the others.
    data = rows(tokenizer, 21)
    whole = trained(tmp_path, tokenizer, data=data, loss=loss)
    parts = trained(
        tmp_path, tokenizer, data=data, loss=loss, per_device_train_batch_size=2, gradient_accumulation_steps=4
    )
    close(weights(parts.model), weights(whole.model), 1e-6)
    assert logged(parts) == pytest.approx(logged(whole), abs=1e-6)
    assert logged(parts, "grad_norm") == pytest.approx(logged(whole, "grad_norm"), abs=1e-5)


def test_class_weights_are_those_of_torch(tmp_path, tokenizer):
    given = torch.tensor([1.0, 2.0, 5.0])
    trainer = trained(
        tmp_path, tokenizer, loss=LossConfig(class_weights=tuple(given.tolist())), train_sampling_strategy="sequential"
    )

    def weighted(logits, targets):
        return cross_entropy(logits, targets.argmax(dim=-1), weight=given)

    close(weights(trainer.model), by_hand(tokenizer, MixupConfig(alpha=0), loss_function=weighted), 1e-6)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("labels", ["soft", "dominant"])
def test_the_clean_part_is_torchs_weighted_cross_entropy(tmp_path, tokenizer, accumulation, labels):
    """The weight mass of the mixed targets is another where pairs have a lambda of their own."""
    given, data = (1.0, 5.0, 50.0), rows(tokenizer, 8)

    def stepped(clean_weight):
        return trained(
            tmp_path, tokenizer, data=data, loss=LossConfig(class_weights=given), max_steps=1,
            mixup=MixupConfig(alpha=1, weight_per="sample", labels=labels, clean_weight=clean_weight),
            per_device_train_batch_size=8 // accumulation, gradient_accumulation_steps=accumulation,
        )  # fmt: skip

    mixed, both, model = stepped(0), stepped(0.7), bert()
    batch = dict(tokenizer.pad(data.remove_columns("text")[:], return_tensors="pt"))
    classes = batch.pop("label")
    clean = cross_entropy(model(**batch).logits, classes, weight=torch.tensor(given))
    clean.backward()
    assert logged(both)[0] - logged(mixed)[0] == pytest.approx(0.7 * clean.item(), abs=1e-5)
    with torch.no_grad():
        for parameter, own in zip(mixed.model.parameters(), model.parameters(), strict=True):
            parameter -= 0.01 * 0.7 * own.grad
    close(weights(both.model), weights(mixed.model), 1e-5)


@pytest.mark.parametrize("as_dataset", [True, False], ids=["datasets", "list"])
def test_balanced_counts_the_training_labels(tmp_path, tokenizer, as_dataset):
    data = rows(tokenizer)
    counts = np.bincount(data["label"], minlength=3)
    trainer = MixupTrainer(
        bert(),
        arguments(tmp_path),
        train_dataset=data if as_dataset else data.remove_columns("text").to_list(),
        processing_class=tokenizer,
        loss=LossConfig(class_weights="balanced"),
    )
    np.testing.assert_allclose(trainer._class_weights, len(data) / (3 * counts), rtol=1e-6)


def test_alpha_zero_trains_like_trainer(tmp_path, tokenizer):
    """Dropout and the order of the rows included: nothing draws from the global generators."""
    ours = trained(
        tmp_path, tokenizer, bert(hidden_dropout_prob=0.2), mixup=MixupConfig(alpha=0), label_smoothing_factor=0.1
    )
    plain = Trainer(
        bert(hidden_dropout_prob=0.2),
        arguments(tmp_path, label_smoothing_factor=0.1),
        train_dataset=rows(tokenizer),
        processing_class=tokenizer,
    )
    plain.train()
    close(weights(ours.model), weights(plain.model), 1e-6)
    assert logged(ours) == pytest.approx(logged(plain), abs=1e-6)


def test_making_one_leaves_the_random_state(tmp_path, tokenizer):
    states = []
    for mixup in (MixupConfig(alpha=0), MixupConfig(alpha=1)):
        MixupTrainer(
            bert(), arguments(tmp_path), train_dataset=rows(tokenizer), processing_class=tokenizer, mixup=mixup,
            loss=LossConfig(class_weights="balanced"),
        )  # fmt: skip
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_evaluation_is_never_mixed_and_its_loss_is_plain(tmp_path, tokenizer):
    data, loss = (
        rows(tokenizer, 13, seed=1),
        LossConfig(label_smoothing=0.3, entropy_penalty=1, class_weights=(1, 2, 9)),
    )
    trainer = trained(tmp_path, tokenizer, bert(hidden_dropout_prob=0.2), mixup=MixupConfig(alpha=1), loss=loss)
    predictions = trainer.predict(data)
    trainer.model.eval()
    with torch.no_grad():
        logits = torch.cat([trainer.model(**tokenizer(text, return_tensors="pt")).logits for text in data["text"]])
    close(torch.from_numpy(predictions.predictions), logits, 1e-5)
    expected = cross_entropy(logits, torch.tensor(data["label"])).item()
    assert predictions.metrics["test_loss"] == pytest.approx(expected, abs=1e-5)
    assert trainer.evaluate(data)["eval_loss"] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(trainer.predict(data.remove_columns("label")).predictions, logits, atol=1e-5)


@pytest.mark.parametrize("checkpoint", [1, 3, 5])
def test_resume_is_bit_identical(tmp_path, tokenizer, checkpoint):
    """Stopped in the middle of an epoch of three steps of two micro-batches, or at its end."""
    settings = {
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "save_strategy": "steps", "save_steps": 1,
        "optim": "adamw_torch", "lr_scheduler_type": "linear", "max_grad_norm": 1.0,
    }  # fmt: skip
    mixup = MixupConfig(alpha=0.4, weight_per="sample", clean_weight=0.5)
    model = {"hidden_dropout_prob": 0.2}
    through = trained(tmp_path, tokenizer, bert(**model), mixup=mixup, **settings)
    resumed = MixupTrainer(
        bert(seed=9, **model), arguments(tmp_path, **settings), train_dataset=rows(tokenizer),
        processing_class=tokenizer, mixup=mixup,
    )  # fmt: skip
    torch.rand(5)  # the state of the global generator is not what decides
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{checkpoint}"))
    close(weights(resumed.model), weights(through.model), 0)
    assert logged(resumed) == logged(through)


class Recorder(MixupTrainer):
    """Keeps the weights of what was mixed."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.drawn = [*vars(self).get("drawn", []), inputs["mixup_plan"].mix.weight.tolist()]
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


def train_as_one_of_two(folder: Path) -> None:
    """What each process runs: first without mixing, then with a clean forward beside the mixed one."""
    tokenizer, found = make_tokenizer(), {}
    for alpha in (0.0, 1.0):
        trainer = Recorder(
            bert(),
            # 22 rows in batches of 4: the last of one process is smaller than that of the other.
            arguments(folder, per_device_train_batch_size=4, accelerator_config={"even_batches": False}),
            train_dataset=rows(tokenizer, 22),
            processing_class=tokenizer,
            mixup=MixupConfig(alpha=alpha, clean_weight=0.5),
            loss=EVERYTHING,
        )
        trainer.train()
        found[alpha] = {"weights": weights(trainer.model), "drawn": trainer.drawn, "logged": logged(trainer)}
    torch.save(found, folder / f"{trainer.args.process_index}.pt")


def test_two_processes_train_as_one(tmp_path, tokenizer):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__]
    subprocess.run([*command, str(tmp_path)], check=True, env={**os.environ, "ACCELERATE_USE_CPU": "true"})
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = trained(tmp_path, tokenizer, data=rows(tokenizer, 22), loss=EVERYTHING)
    close(first[0.0]["weights"], weights(alone.model), 1e-5)
    assert first[0.0]["logged"] == pytest.approx(logged(alone), abs=1e-5)
    close(first[1.0]["weights"], second[1.0]["weights"], 0)
    draws = [tuple(drawn) for found in (first, second) for drawn in found[1.0]["drawn"]]
    assert len(set(draws)) == len(draws) == 12


if __name__ == "__main__":
    train_as_one_of_two(Path(sys.argv[1]))
    torch.distributed.destroy_process_group()  # a process that ends while its peer's threads still talk to it may abort
