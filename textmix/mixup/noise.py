"""Gaussian noise in place of embeddings: inputs that no text makes, with the two moments of those that texts make."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from textmix.mixup.example import example_batch, few_rows, padding_id
from textmix.mixup.layers import find
from textmix.mixup.probe import probe, untouched


@dataclass(frozen=True)
class _Reader:
    """A module that turns token ids into vectors, and which of its arguments holds the ids."""

    module: nn.Module
    leaf: int


@dataclass
class _Moments:
    """Sums over vectors (D,) in float64, from which their mean and deviation follow."""

    count: int = 0
    total: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, vectors: Tensor) -> None:
        vectors = vectors.double()
        self.count += len(vectors)
        self.total, self.squares = self.total + vectors.sum(0), self.squares + vectors.square().sum(0)

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        mean = torch.as_tensor(self.total) / self.count
        return mean, (torch.as_tensor(self.squares) / self.count - mean.square()).clamp(min=0).sqrt()


class EmbeddingNoise:
    """Replaces what a model's embedding gives by Gaussian noise; the modules are found as the mixup site is.

    ::

        noise = EmbeddingNoise(model)
        with noise.like(training_batches, seed=0):
            logits = model(**batch).logits  # of the batch only the lengths of its texts count
    """

    def __init__(self, model: nn.Module, pad_id: int | None = None, example: Mapping[str, Any] | None = None) -> None:
        """Find the modules of `model` that turn token ids into vectors.

        :param pad_id: token id of padding; None is the model's own. :param example: a batch to find them with; None
            makes one from the model's configuration.
        :raises InputError: there is none; see the site `embedding` of :class:`textmix.mixup.Mixup`.
        """
        self._model = model
        self._pad_id = padding_id(model, pad_id)
        given, device = example_batch(model, pad_id) if example is None else example, next(model.parameters()).device
        batch = few_rows(given, device, self._pad_id)
        with untouched(model):
            [site] = find(model, "embedding", probe(model, batch))
        # In front of a point stands the swap of the same call: the argument that mixing would replace holds the ids.
        self._readers = [
            _Reader(point.module, swap.arguments[0].leaf) for point, swap in zip(site.points, site.swaps, strict=True)
        ]

    @contextmanager
    def like(self, batches: Iterable[Mapping[str, Tensor]], seed: int) -> Iterator[None]:
        """Let the body run on noise with the mean and deviation, in each dimension, of the embeddings of `batches`.

        Every vector but those of padding is drawn anew. The draws depend on the seed and the ids of the batch alone, so
        that they are the same on any number of processes.

        :param batches: the model's inputs, of training texts.
        """
        moments = self._measure(batches)
        with ExitStack() as stack:
            for number, (reader, (mean, deviation)) in enumerate(zip(self._readers, moments, strict=True)):
                hook = partial(self._replace, reader, mean, deviation, (seed, number))
                stack.callback(reader.module.register_forward_hook(hook, with_kwargs=True).remove)
            yield

    def _measure(self, batches: Iterable[Mapping[str, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        found = [_Moments() for _ in self._readers]
        with ExitStack() as stack, untouched(self._model):
            for reader, moments in zip(self._readers, found, strict=True):
                hook = partial(self._add, reader, moments)
                stack.callback(reader.module.register_forward_hook(hook, with_kwargs=True).remove)
            for batch in batches:
                self._model(**batch)
        return [moments.mean_and_deviation() for moments in found]

    def _add(self, reader: _Reader, moments: _Moments, _module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Forward hook: count the vectors of what is no padding."""
        moments.add(tree_leaves(output)[0][self._words(reader, args, kwargs)])

    def _replace(
        self, reader: _Reader, mean: Tensor, deviation: Tensor, seed: tuple[int, int],
        _module: nn.Module, args: Any, kwargs: Any, output: Any,
    ) -> Any:  # fmt: skip
        """Forward hook: draw the vectors of what is no padding."""
        words = self._words(reader, args, kwargs)
        ids = tree_leaves((args, kwargs))[reader.leaf]
        rng = np.random.Generator(
            np.random.Philox(np.random.SeedSequence((*seed, zlib.crc32(ids.cpu().contiguous().numpy()))))
        )
        leaves, spec = tree_flatten(output)
        drawn = torch.from_numpy(rng.standard_normal(leaves[0].shape, np.float32)).to(leaves[0].device)
        noise = drawn * deviation.float() + mean.float()
        leaves[0] = torch.where(words.unsqueeze(-1), noise.to(leaves[0].dtype), leaves[0])
        return tree_unflatten(leaves, spec)

    def _words(self, reader: _Reader, args: Any, kwargs: Any) -> Tensor:
        """Return which positions hold a token, in the layout of the module's ids."""
        ids: Tensor = tree_leaves((args, kwargs))[reader.leaf]
        return torch.ones_like(ids, dtype=torch.bool) if self._pad_id is None else ids != self._pad_id
