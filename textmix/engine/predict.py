"""Logits of every example, whatever the number of processes."""

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from textmix.data import Examples
from textmix.predictions import Predictions

Rows = npt.NDArray[np.int64]


def predict_logits(accelerator: Accelerator, model: PreTrainedModel, examples: Examples, batch_size: int) -> Tensor:
    """Return the logits (N, C) of `examples`, in their order, float32 on the host of every process.

    `model` is the unwrapped model, so that no autocast of the training applies. Batches hold texts of like length and
    are dealt to the processes in turn; they are the same for any number of processes.
    """
    order = np.arange(len(examples)) if examples.lengths is None else np.argsort(examples.lengths, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    training = model.training
    model.eval()
    with torch.inference_mode():
        parts = [_forward(model, examples, rows, accelerator.device) for rows in mine]
    model.train(training)
    assert model.config.num_labels is not None
    return _gather(accelerator, mine, parts, len(examples), model.config.num_labels)


def predict(
    accelerator: Accelerator,
    model: PreTrainedModel,
    examples: Examples,
    label_names: tuple[str, ...],
    batch_size: int,
) -> Predictions:
    """Return the predictions for `examples`, the same on every process."""
    logits = predict_logits(accelerator, model, examples, batch_size)
    return Predictions(logits.numpy(), examples.labels, label_names, examples.ids, examples.texts)


def _forward(model: PreTrainedModel, examples: Examples, rows: Rows, device: torch.device) -> Tensor:
    batch = {name: values.to(device) for name, values in examples.batch(rows).items() if name != "labels"}
    logits: Tensor = model(**examples.transform(batch, None)).logits
    return logits.float()


def _gather(accelerator: Accelerator, mine: list[Rows], parts: list[Tensor], count: int, classes: int) -> Tensor:
    # A process may have had no batch at all: then it hands in nothing, in the right shape.
    rows = torch.from_numpy(np.concatenate([*mine, np.empty(0, np.int64)])).to(accelerator.device)
    logits = torch.cat([*parts, torch.empty(0, classes, device=accelerator.device)])
    rows = accelerator.gather(accelerator.pad_across_processes(rows, pad_index=count)).cpu()
    logits = accelerator.gather(accelerator.pad_across_processes(logits)).cpu()
    result = torch.empty(count + 1, classes)  # what was padded lands in the row too many
    return result.index_copy_(0, rows, logits)[:count]
