"""Logits of every example, whatever the number of processes."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from textmix.data import Examples
from textmix.data.batching import Indices
from textmix.engine.reading import Batch, read_batches
from textmix.predictions import Predictions


def predict_logits(
    accelerator: Accelerator, model: PreTrainedModel, examples: Examples, batch_size: int, workers: int = 0
) -> Tensor:
    """Return the logits (N, C) of `examples`, in their order, float32 on the host of every process.

    `model` is the unwrapped model, so that no autocast of the training applies. Batches hold texts of like length and
    are dealt to the processes in turn; they are the same for any number of processes.

    :param workers: processes beside each of these that read batches ahead.
    """
    order = np.arange(len(examples)) if examples.lengths is None else np.argsort(examples.lengths, kind="stable")
    plan = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    mine = plan[accelerator.process_index :: accelerator.num_processes]
    training = model.training
    model.eval()
    with torch.inference_mode():
        batches = read_batches(examples, mine, accelerator.device, workers)
        parts = [_forward(model, examples, batch) for batch in batches]
    model.train(training)
    assert model.config.num_labels is not None
    return _gather(accelerator, mine, parts, len(examples), model.config.num_labels)


def predict(
    accelerator: Accelerator,
    model: PreTrainedModel,
    examples: Examples,
    label_names: tuple[str, ...],
    batch_size: int,
    workers: int = 0,
) -> Predictions:
    """Return the predictions for `examples`, the same on every process."""
    logits = predict_logits(accelerator, model, examples, batch_size, workers)
    return Predictions(logits.numpy(), examples.labels, label_names, examples.ids, examples.texts)


def _forward(model: PreTrainedModel, examples: Examples, batch: Batch) -> Tensor:
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    logits: Tensor = model(**examples.transform(inputs, None)).logits
    return logits.float()


def _gather(accelerator: Accelerator, mine: list[Indices], parts: list[Tensor], count: int, classes: int) -> Tensor:
    # A process may have had no batch at all: then it hands in nothing, in the right shape.
    rows = torch.from_numpy(np.concatenate([*mine, np.empty(0, np.int64)])).to(accelerator.device)
    logits = torch.cat([*parts, torch.empty(0, classes, device=accelerator.device)])
    rows = accelerator.gather(accelerator.pad_across_processes(rows, pad_index=count)).cpu()
    logits = accelerator.gather(accelerator.pad_across_processes(logits)).cpu()
    result = torch.empty(count + 1, classes)  # what was padded lands in the row too many
    return result.index_copy_(0, rows, logits)[:count]
