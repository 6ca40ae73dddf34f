"""Models that return logits (B, C); importing this package makes ours known to transformers' Auto classes.

:mod:`textmix.models.build` makes one from a configuration and the training split.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification

from textmix.models.text import (
    BiLSTMConfig,
    BiLSTMForSequenceClassification,
    KimCNNConfig,
    KimCNNForSequenceClassification,
)

AutoConfig.register(KimCNNConfig.model_type, KimCNNConfig, exist_ok=True)
AutoConfig.register(BiLSTMConfig.model_type, BiLSTMConfig, exist_ok=True)
AutoModelForSequenceClassification.register(KimCNNConfig, KimCNNForSequenceClassification, exist_ok=True)
AutoModelForSequenceClassification.register(BiLSTMConfig, BiLSTMForSequenceClassification, exist_ok=True)

__all__ = [
    "BiLSTMConfig",
    "BiLSTMForSequenceClassification",
    "KimCNNConfig",
    "KimCNNForSequenceClassification",
]
