"""Models that return logits (B, C); importing this package makes ours known to transformers' Auto classes.

:mod:`textmix.models.build` makes one from a configuration and the training split.
"""

from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification

from textmix.models.image import ResNetConfig, ResNetForImageClassification, VGGConfig, VGGForImageClassification
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
AutoConfig.register(ResNetConfig.model_type, ResNetConfig, exist_ok=True)
AutoConfig.register(VGGConfig.model_type, VGGConfig, exist_ok=True)
AutoModelForImageClassification.register(ResNetConfig, ResNetForImageClassification, exist_ok=True)
AutoModelForImageClassification.register(VGGConfig, VGGForImageClassification, exist_ok=True)

__all__ = [
    "BiLSTMConfig",
    "BiLSTMForSequenceClassification",
    "KimCNNConfig",
    "KimCNNForSequenceClassification",
    "ResNetConfig",
    "ResNetForImageClassification",
    "VGGConfig",
    "VGGForImageClassification",
]
