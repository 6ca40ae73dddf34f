"""Convolutional and recurrent text classifiers, saved and loaded like any Hugging Face model.

Both read ``input_ids (B, L)`` and ``attention_mask (B, L)`` and return logits (B, C). Both mask before they pool, so
that a row's logits do not depend on how far its batch was padded. Neither knows of mixup.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from textmix.models.max_over_time import max_over_time


class WordEmbedding(nn.Embedding):
    """Word vectors for the token ids in use; every other id reads the vector of the unknown token.

    `rows` (V,) maps the tokenizer's ids to the rows kept: a vocabulary of 30,522 need not be trained, nor its optimizer
    state updated, for a task whose texts use 9,000 of it. Row 0 is padding: it stays zero.
    """

    rows: Tensor

    def __init__(self, vocab_size: int, num_rows: int, dim: int) -> None:
        super().__init__(num_rows, dim, padding_idx=0)
        self.register_buffer("rows", torch.arange(vocab_size).clamp(max=num_rows - 1))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name nn.Embedding gives it
        """Look up token ids (B, L); return vectors (B, L, D)."""
        return super().forward(self.rows[input])

    @torch.no_grad()
    def keep(self, vectors: npt.NDArray[np.float32], used: npt.NDArray[np.int64], pad_id: int, unk_id: int) -> None:
        """Start from `vectors` (V, D), of which the ids in `used` get a row of their own.

        `pad_id` gets row 0, ids outside `used` the row of `unk_id`.
        """
        others = used[(used != pad_id) & (used != unk_id)]
        kept = np.concatenate([[pad_id, unk_id], others]) if unk_id != pad_id else np.concatenate([[pad_id], others])
        rows = np.full(len(vectors), int(np.flatnonzero(kept == unk_id)[0]))
        rows[kept] = np.arange(len(kept))
        self.rows.copy_(torch.from_numpy(rows))
        self.weight.copy_(torch.from_numpy(vectors[kept]))
        self.weight[0] = 0


class KimCNNConfig(PreTrainedConfig):
    """Configuration of :class:`KimCNNForSequenceClassification`."""

    model_type = "textmix-cnn"
    vocab_size: int = 30_000
    """Token ids the tokenizer can produce."""
    num_rows: int = 30_000
    """Word vectors kept for them."""
    embedding_dim: int = 300
    """Width of a word vector."""
    filter_widths: list[int] | tuple[int, ...] = (3, 4, 5)
    """Widths of the filters, in tokens."""
    num_filters: int = 100
    """Filters of each width."""
    dropout: float = 0.5
    """Dropout before the classifier."""
    pad_token_id: int | None = 0
    """Token id of padding."""


class BiLSTMConfig(PreTrainedConfig):
    """Configuration of :class:`BiLSTMForSequenceClassification`."""

    model_type = "textmix-lstm"
    vocab_size: int = 30_000
    """Token ids the tokenizer can produce."""
    num_rows: int = 30_000
    """Word vectors kept for them."""
    embedding_dim: int = 300
    """Width of a word vector."""
    hidden_size: int = 256
    """Units in each direction."""
    num_layers: int = 1
    """Layers; dropout between them."""
    dropout: float = 0.5
    """Dropout before the classifier."""
    pad_token_id: int | None = 0
    """Token id of padding."""


class _TextClassifier(PreTrainedModel):
    """What both share: word vectors at the bottom, dropout and one linear layer at the top."""

    main_input_name = "input_ids"

    def _build_ends(self, features: int) -> None:
        config = self.config
        self.embedding = WordEmbedding(config.vocab_size, config.num_rows, config.embedding_dim)
        self.dropout = nn.Dropout(config.dropout)
        assert config.num_labels is not None
        self.classifier = nn.Linear(features, config.num_labels)

    def _init_weights(self, module: nn.Module) -> None:
        """Kim's uniform word vectors; every other layer as torch initialises it."""
        if isinstance(module, WordEmbedding):
            nn.init.uniform_(module.weight, -0.25, 0.25)
            nn.init.zeros_(module.weight[0])
            # A model made on the meta device gets its buffers here, too.
            rows = torch.arange(self.config.vocab_size, device=module.rows.device)
            module.rows.copy_(rows.clamp(max=module.num_embeddings - 1))
        elif isinstance(module, nn.Conv1d | nn.Linear | nn.LSTM):
            module.reset_parameters()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word vectors."""
        return self.embedding

    def _embed(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        mask = (input_ids != self.config.pad_token_id) if attention_mask is None else attention_mask.bool()
        return self.embedding(input_ids) * mask.unsqueeze(-1), mask


class KimCNNForSequenceClassification(_TextClassifier):
    """Convolutions over word vectors, max over time, one linear layer (Kim 2014, arXiv 1408.5882).

    As in Kim's own code every text is read with zeros around it, so that a text of one token has a value for the widest
    filter; positions that see padding alone do not take part in the maximum.
    """

    config: KimCNNConfig
    config_class = KimCNNConfig

    def __init__(self, config: KimCNNConfig) -> None:
        super().__init__(config)
        self._build_ends(len(config.filter_widths) * config.num_filters)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.embedding_dim, config.num_filters, width, padding=width - 1)
            for width in config.filter_widths
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> SequenceClassifierOutput:
        """Return logits (B, C) for token ids (B, L)."""
        embedded, mask = self._embed(input_ids, attention_mask)
        best = max_over_time(embedded, mask, [convolution.get_parameter("weight") for convolution in self.convolutions])
        bias = torch.cat([convolution.get_parameter("bias") for convolution in self.convolutions])
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(F.relu(best + bias))))


class BiLSTMForSequenceClassification(_TextClassifier):
    """A bidirectional LSTM over word vectors, max over time, one linear layer.

    Sequences are packed, so that the backward direction starts at a text's last token and not in its padding. Texts are
    padded on the right.
    """

    config: BiLSTMConfig
    config_class = BiLSTMConfig

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__(config)
        self._build_ends(2 * config.hidden_size)
        self.lstm = nn.LSTM(
            config.embedding_dim,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> SequenceClassifierOutput:
        """Return logits (B, C) for token ids (B, L)."""
        embedded, mask = self._embed(input_ids, attention_mask)
        lengths = mask.sum(dim=1).clamp(min=1).cpu()  # packing wants them on the host, and at least one step a row
        packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        states, _lengths = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, padding_value=-torch.inf, total_length=mask.shape[1]
        )
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(states.amax(dim=1))))
