"""Mixup for a script that has a ``transformers.Trainer`` already: another class, and what to mix."""

from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from textmix.config import LossConfig, MixupConfig
from textmix.errors import InputError, RunError
from textmix.losses import classification_loss, resolve_class_weights, soft_cross_entropy, target_mass
from textmix.mixup import Mix, Mixup, draw
from textmix.mixup.example import example_batch
from textmix.models.padding import pad_with, pools_last_token, positions, takes_positions
from textmix.models.pretrained import forget_temperature

_PLAN = "mixup_plan"
"""Key under which a training batch carries its plan; a batch without one is never mixed."""


@dataclass(frozen=True)
class _Plan:
    """How a micro-batch is mixed, and its targets (B, C); (2 B, C) where its clean rows are trained on as well."""

    mix: Mix
    targets: Tensor


class MixupTrainer(Trainer):
    """A ``transformers.Trainer`` for classifiers of texts or images that trains on mixed batches (arXiv 1905.11001).

    Takes what Trainer takes and keeps to its arguments. The loss of an optimizer step is the mean over the rows of all
    its micro-batches and processes, whatever their sizes. Evaluation and prediction never mix, and ``eval_loss`` is the
    plain cross entropy. What is mixed with what depends on ``args.seed``, the epoch, the micro-batch's number and the
    process alone: a resumed run goes on as if it had never stopped (but for ``group_by_length``, whose batches Trainer
    itself does not draw again in the middle of a later epoch). ``args.label_smoothing_factor`` means what it always
    does: ``LossConfig(label_smoothing=..., smoothing_convention="all")``.

    Decoder-only models may be padded on either side, as their tokenizer does. On the left their batches get
    ``position_ids``, in training and evaluation, for those with learned positions (GPT-2) would count the padding; a
    pipeline does not know of that, so set ``tokenizer.padding_side = "right"`` before saving.

    >>> trainer = MixupTrainer(model, args, train_dataset=rows, mixup=MixupConfig(alpha=0.4))  # doctest: +SKIP
    """

    _mixup: Mixup | None = None
    _counts_padding = False
    """Whether the model takes its positions for the places in a batch that is padded on the left."""

    def __init__(
        self, *args: Any, mixup: MixupConfig | None = None, loss: LossConfig | None = None, **kwargs: Any
    ) -> None:
        """Make the trainer, and prove the mixing on the first rows of its training set.

        :param mixup: how to mix; None trains without mixing.
        :param loss: what is added to the cross entropy in training; None adds nothing.
        :raises InputError: the model is no single-label classifier or can't be mixed, or arguments contradict.
        """
        self.mixup_config, self.loss_config = mixup or MixupConfig(alpha=0), loss or LossConfig()
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = True  # so that Trainer does not divide the loss by the accumulation steps, too
        self._check_arguments()
        factor = self.args.label_smoothing_factor
        if factor > 0:
            self.loss_config = replace(self.loss_config, label_smoothing=factor, smoothing_convention="all")
        self._mixup = self._attached(cast("nn.Module", self.model))
        self._class_weights = self._resolve_class_weights()

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """Make the model anew, for a trial of a hyperparameter search, and hook that one."""
        model: nn.Module = super().call_model_init(trial)
        if self._mixup is not None:  # else __init__ is still on its way to it
            self._mixup = self._attached(model)
            forget_temperature(_classifier(model))
        return model

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as Trainer does; a temperature that was baked into the model is none of the trained one's."""
        forget_temperature(_classifier(cast("nn.Module", self.model)))
        return super().train(*args, **kwargs)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Return the micro-batches of an optimizer step, each with its plan, and what their losses are divided by.

        :return: the batches, and this process's even share of (rows, mass of the targets, mass of those of clean rows)
            over all processes, (3,).
        """
        first = self.state.global_step * self.args.gradient_accumulation_steps
        batches = [self._planned(b, i) for i, b in enumerate(islice(epoch_iterator, num_batches), start=first)]
        if not batches:
            return batches, None
        counts = torch.zeros(3, device=device)
        for batch in batches:
            size = len(batch["labels"])
            masses = [target_mass(targets, self._class_weights) for targets in batch[_PLAN].targets.split(size)]
            counts += torch.stack([masses[0].new_tensor(size), masses[0], masses[-1]])
        # Data parallelism takes the mean of the processes' gradients: an even share of the whole makes that the sum.
        return batches, self.accelerator.reduce(counts, "mean")

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Train on a micro-batch.

        :raises RunError: its loss is NaN or infinite.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not loss.isfinite():  # Trainer, too, reads the loss at every step, so that nothing more is waited for
            weight = inputs[_PLAN].mix.weight.flatten()[0].item()
            rate = cast("torch.optim.Optimizer", self.optimizer).param_groups[0]["lr"]
            raise RunError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1} (lambda {weight:.4g}, learning rate "
                f"{rate:.4g}): lower learning_rate or max_grad_norm, or train without fp16."
            )
        return loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return self._with_positions(super()._prepare_inputs(inputs))

    def _with_positions(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if not self._counts_padding or "position_ids" in inputs or "attention_mask" not in inputs:
            return inputs
        return {**inputs, "position_ids": positions(inputs["attention_mask"])}

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a planned micro-batch, and the plain cross entropy of any other batch.

        The labels never reach the model: given soft ones, it would become a multi-label classifier.

        :raises InputError: the labels are no class indices, or the batch can't be mixed.
        """
        batch = dict(inputs)
        plan, labels = batch.pop(_PLAN, None), batch.pop("labels")
        if plan is None:
            outputs = model(**batch)
            loss = soft_cross_entropy(outputs.logits, self._one_hot(labels))
            return (loss, outputs) if return_outputs else loss
        copies = len(plan.targets) // len(labels)
        if copies > 1:
            batch = {name: torch.cat([rows] * copies) for name, rows in batch.items()}
        with cast("Mixup", self._mixup).applied(plan.mix, batch) as mixed:
            outputs = model(**mixed)
        rows, *masses = num_items_in_batch
        parts = zip(outputs.logits.chunk(copies), plan.targets.chunk(copies), masses[:copies], strict=True)
        of_mixed, *of_clean = [
            classification_loss(logits, targets, self.loss_config, self._class_weights, rows=rows, mass=mass)
            for logits, targets, mass in parts
        ]
        loss = of_mixed + self.mixup_config.clean_weight * sum(of_clean)
        return (loss, outputs) if return_outputs else loss

    def _planned(self, batch: Mapping[str, Any], micro_step: int) -> dict[str, Any]:
        if "labels" not in batch:
            raise InputError(f"train_dataset: expected a column label or labels, got batches of {', '.join(batch)}.")
        if self.mixup_config.active and self._train_batch_size == 1:
            raise RunError(
                "auto_find_batch_size: expected memory for at least two rows with mixup.alpha > 0, for a row needs a "
                "partner, got it for one; use shorter texts, a smaller model or gradient_checkpointing."
            )
        labels, epoch = self._indices(batch["labels"]), int(self.state.epoch or 0)
        seed = (self.args.seed, epoch, micro_step, self.args.process_index)
        mix = draw(self._mixup_of_epoch(epoch), len(labels), seed)
        targets = mix.targets(labels, self._num_classes)
        if self.mixup_config.clean_weight > 0 and not mix.identity:
            mix, targets = _with_clean_rows(mix), torch.cat([targets, self._one_hot(labels)])
        return {**batch, _PLAN: _Plan(mix, targets)}

    def _one_hot(self, labels: Tensor) -> Tensor:
        """Return the targets (B, C) of labels as :meth:`_indices` takes them."""
        return one_hot(self._indices(labels), self._num_classes).float()

    def _indices(self, labels: Tensor) -> Tensor:
        """Return labels (B,) or (B, 1) as class indices, LongTensor (B,).

        :raises InputError: they are none.
        """
        flat = labels.flatten() if labels.shape[1:] == (1,) else labels
        if flat.ndim != 1 or flat.is_floating_point() or ((flat < 0) | (flat >= self._num_classes)).any():
            raise InputError(
                f"labels: expected a class index in [0, {self._num_classes - 1}] for each row, got "
                f"{labels[:8].tolist()}; for regression and multi-label targets use transformers.Trainer."
            )
        return flat.long()

    def _mixup_of_epoch(self, epoch: int) -> MixupConfig:
        config, epochs = self.mixup_config, self.state.num_train_epochs
        config.check_epochs(epochs)
        return config.of_epoch(epoch, int(epochs))

    def _attached(self, model: nn.Module) -> Mixup:
        """Check that `model` is a classifier of the kind that is trained here, and hook it."""
        classifier = _classifier(model)
        config = classifier.config
        if config.num_labels == 1 or config.problem_type not in (None, "single_label_classification"):
            raise InputError(
                f"model: expected a classifier that gives each text one of several labels, got num_labels "
                f"{config.num_labels} and problem_type {config.problem_type!r} (regression and multi-label "
                "classification can't be mixed); use transformers.Trainer."
            )
        config.problem_type = "single_label_classification"
        self._num_classes = cast("int", config.num_labels)
        tokenizer = self.processing_class
        if isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.pad_token_id is not None:
            pad_with(classifier, tokenizer.pad_token_id)  # as Trainer does, but only in train()
            left = tokenizer.padding_side == "left" and takes_positions(classifier)
            self._counts_padding = left and pools_last_token(classifier)
        if not self.mixup_config.active:
            return Mixup(model, "none")
        site = self.mixup_config.site or ("input" if classifier.main_input_name == "pixel_values" else "embedding")
        return Mixup(model, site, example=self._example(model))

    def _example(self, model: nn.Module) -> dict[str, Any] | None:
        """Return a batch to prove mixing on, as `model` will be given them; None leaves it to the mixing."""
        if isinstance(self.train_dataset, Sized):
            return self._with_positions(next(iter(self._training_rows(8))))
        # The rows of a stream can't be read twice, and the mixing knows of no positions.
        return self._with_positions(example_batch(model, None)) if self._counts_padding else None

    def _training_rows(self, batch_size: int) -> DataLoader[Any]:
        """Return batches of the training set in its order, with the columns and the collator that training uses."""
        loader = self.get_test_dataloader(cast("Dataset[Any]", self.train_dataset))
        # Its rows may be one process's part, so it is not read itself; opening one must not move the global generator.
        return DataLoader(loader.dataset, batch_size, collate_fn=loader.collate_fn, generator=torch.Generator())

    def _resolve_class_weights(self) -> Tensor | None:
        counts = torch.zeros(self._num_classes)
        if self.loss_config.class_weights == "balanced":
            if not isinstance(self.train_dataset, Sized):
                raise InputError("loss.class_weights: balanced needs a train_dataset with a length; give the weights.")
            counts = sum((self._one_hot(batch["labels"]).sum(dim=0) for batch in self._training_rows(512)), counts)
        weights = resolve_class_weights(self.loss_config, counts)
        return None if weights is None else weights.to(self.args.device)

    def _check_arguments(self) -> None:
        args, mixup, loss = self.args, self.mixup_config, self.loss_config
        split = self.get_tp_size() * self.get_cp_size() * self.get_sp_size() > 1
        endless = self.train_dataset is not None and not isinstance(self.train_dataset, Sized)
        checks = {
            f"nn.DataParallel over {args.n_gpu} GPUs splits pairs; use accelerate launch instead.": args.n_gpu <= 1,
            "parallelism_config: expected data parallelism alone (DDP, FSDP), for the others split rows.": not split,
            "compute_loss_func: expected None; pass loss=LossConfig(...) instead.": self.compute_loss_func is None,
            "label_smoothing_factor: expected 0 where loss.label_smoothing is set; use one of them.":
                args.label_smoothing_factor == 0 or loss.label_smoothing == 0,
            "per_device_train_batch_size: expected at least 2 with mixup.alpha > 0, for a row needs a partner; got 1.":
                not mixup.active or args.per_device_train_batch_size > 1,
            "mixup.start_epoch, mixup.off_last_epochs: expected 0, for this train_dataset has no length.":
                not endless or mixup.start_epoch + mixup.off_last_epochs == 0,
        }  # fmt: skip
        for message, fine in checks.items():
            if not fine:
                raise InputError(message)


def _classifier(model: nn.Module) -> PreTrainedModel:
    """Return the first transformers model inside `model`, where adapters or torch.compile are around it.

    :raises InputError: there is none.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            return module
    raise InputError(f"model: expected a transformers sequence classifier, got {type(model).__name__}.")


def _with_clean_rows(mix: Mix) -> Mix:
    """Return `mix` for the batch twice over, the second time each row with itself.

    Data parallelism knows of one forward for each backward, so that both are one.
    """
    rows = len(mix.permutation)
    permutation = torch.cat([mix.permutation, torch.arange(rows, 2 * rows)])
    return replace(mix, permutation=permutation, weight=torch.cat([mix.weight.expand(rows), torch.ones(rows)]))
