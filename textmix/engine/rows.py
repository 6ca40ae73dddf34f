"""Word embeddings while they are trained: the rows of the tokens that the training texts hold, and no others.

A vocabulary has 30,000 to 250,000 rows, of which a training set uses a few thousand. The gradients of the others are
zero, and yet each would be cleared, measured, averaged over the processes and run through the optimizer at every step.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from textmix.data import Splits, TextExamples, used_token_ids

_WORTHWHILE = 0.9
"""Share of a table's rows above which leaving out the rest gains nothing."""


WholeTable = Callable[[], AbstractContextManager[None]]
"""Lets the model have its whole table for a while: texts to predict may hold any token."""


@contextmanager
def trained_rows(model: PreTrainedModel, splits: Splits) -> Iterator[WholeTable]:
    """Let `model` have the word embeddings of the training tokens alone, and all of them again at the end.

    The numbers are those of training the whole table, but for weight decay: rows that no training text uses stay as
    they are. The table stays whole where this would gain nothing, or where it is more than looked up in.

    :param model: on its device.
    """
    rows = _rows_of(model, splits)
    if rows is None:
        yield nullcontext
        return
    rows.shrink()
    try:
        yield rows.whole
    finally:
        rows.restore()


class TrainedRows:
    """Some rows of a table of word embeddings, trained as a smaller table in its place.

    :param embedding: the module that looks tokens up. :param ids: of the tokens that will be looked up (N,), sorted.
    """

    def __init__(self, embedding: nn.Embedding, ids: Tensor) -> None:
        self._embedding = embedding
        self._ids = ids
        self._table, self._padding_idx = embedding.weight, embedding.padding_idx
        self._trained = nn.Parameter(self._table.detach()[ids])
        self._place = torch.full((len(self._table),), -1, device=ids.device)
        self._place[ids] = torch.arange(len(ids), device=ids.device)
        self._hook: RemovableHandle | None = None

    def shrink(self) -> None:
        """Put the trained rows in the place of the table."""
        padding = self._padding_idx
        self._hook = self._embedding.register_forward_pre_hook(lambda _, inputs: (self._place[inputs[0]],))
        self._embedding.weight = self._trained
        self._embedding.padding_idx = None if padding is None else int(self._place[padding])

    def restore(self) -> None:
        """Put the table back, with what was learnt."""
        assert self._hook is not None
        self._hook.remove()
        with torch.no_grad():
            self._table[self._ids] = self._trained
        self._embedding.weight, self._embedding.padding_idx = self._table, self._padding_idx

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Put the table back for a while."""
        self.restore()
        try:
            yield
        finally:
            self.shrink()


def _rows_of(model: PreTrainedModel, splits: Splits) -> TrainedRows | None:
    embedding = _embedding_of(model)
    if embedding is None or not isinstance(splits.train, TextExamples):
        return None
    ids = torch.from_numpy(used_token_ids(splits.train, splits.processor))
    table, padding = embedding.weight, embedding.padding_idx
    ids = torch.unique(torch.cat([ids[ids < len(table)], ids.new_tensor([] if padding is None else [padding])]))
    return TrainedRows(embedding, ids.to(table.device)) if len(ids) <= _WORTHWHILE * len(table) else None


def _embedding_of(model: PreTrainedModel) -> nn.Embedding | None:
    """Return the module that looks tokens up; None where its weights are frozen, shared or more than looked up."""
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:  # a model without any
        return None
    if type(embedding) is not nn.Embedding or embedding.max_norm is not None or embedding.scale_grad_by_freq:
        return None
    weight = embedding.weight
    owners = [module for module in model.modules() for own in module.parameters(recurse=False) if own is weight]
    return embedding if len(owners) == 1 and weight.requires_grad else None
