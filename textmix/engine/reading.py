"""Batches of examples, read ahead by other processes where a run asks for them, and brought to the model's device."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from textmix.data import Examples
from textmix.data.batching import Indices
from textmix.errors import InputError

Batch = dict[str, Tensor]


def read_batches(examples: Examples, plan: Sequence[Indices], device: torch.device, workers: int) -> Iterator[Batch]:
    """Yield the batch of each entry of `plan`, in order, on `device`.

    What is read depends on `plan` alone, not on the number of processes that read it.

    :param plan: the rows of each batch.
    :param workers: processes that read ahead; 0 reads a batch when it is asked for.
    :raises InputError: an example can't be read.
    """
    for batch in _read(examples, plan, device, workers):
        if isinstance(batch, InputError):
            raise batch
        yield {name: values.to(device, non_blocking=True) for name, values in batch.items()}


def _read(
    examples: Examples, plan: Sequence[Indices], device: torch.device, workers: int
) -> Iterable[Batch | InputError]:
    if workers == 0 and device.type != "cuda":
        return map(examples.batch, plan)  # a loader takes as long as a small batch itself
    return DataLoader(
        _Batches(examples),
        sampler=plan,
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # its own, or opening the loader would move the global one
        # Forked, they share what is mapped from disk; otherwise each would be sent a copy of the whole set.
        multiprocessing_context="fork" if workers else None,
    )


class _Batches(Dataset[Batch | InputError]):
    """Examples that are read a batch at a time."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __getitem__(self, rows: Indices) -> Batch | InputError:
        try:
            return self.examples.batch(rows)
        except InputError as error:
            return error  # raised where it arrives: from another process it would come as a whole traceback
