"""What the tests of the Trainer share: tiny real transformers, their data, and the same training written by hand."""

from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    TrainingArguments,
)

from textmix.config import LossConfig, MixupConfig
from textmix.mixup import Mixup, draw
from textmix.trainer import MixupTrainer

WORDS = ["salt", "oven", "rudder", "tide", "anchor", "chord", "tempo", "violin", "the", "a", "of", "and", "with"]
EXAMPLES = Path(__file__).parents[1] / "scripts" / "examples"
EVERYTHING = LossConfig(label_smoothing=0.1, entropy_penalty=0.2, class_weights=(1.0, 2.0, 5.0))


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    core.train_from_iterator([" ".join(WORDS)], trainers.WordLevelTrainer(special_tokens=special))
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def rows(tokenizer, count=20, seed=0, columns=("input_ids", "attention_mask")) -> Dataset:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(count)]
    labels = [WORDS.index(text.split()[0]) % 3 for text in texts]
    encoded = tokenizer(texts)
    return Dataset.from_dict({**{c: encoded[c] for c in columns}, "text": texts, "label": labels})


def bert(seed=0, **changes) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    config = {
        "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 32, "num_labels": 3, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3, "pad_token_id": 0,
    }  # fmt: skip
    return BertForSequenceClassification(BertConfig(**{**config, **changes}))


def arguments(folder, **changes) -> TrainingArguments:
    settings = {
        "per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-2, "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0, "optim": "sgd", "logging_steps": 1, "report_to": "none", "save_strategy": "no",
        "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False, "seed": 3,
    }  # fmt: skip
    return TrainingArguments(output_dir=str(folder), **{**settings, **changes})


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def close(a, b, atol) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def trained(folder, tokenizer, model=None, data=None, mixup=None, loss=None, **changes) -> MixupTrainer:
    trainer = MixupTrainer(
        bert() if model is None else model,
        arguments(folder, **changes),
        train_dataset=rows(tokenizer) if data is None else data,
        processing_class=tokenizer,
        mixup=mixup,
        loss=loss,
    )
    trainer.train()
    return trainer


def logged(trainer, key="loss") -> list[float]:
    return [entry[key] for entry in trainer.state.log_history if key in entry]


def by_hand(tokenizer, mixup, accumulation=1, epochs=2, seed=3, size=8, loss_function=cross_entropy):
    """The same training as a plain loop, in order, with torch's loss; returns the weights."""
    model, data = bert(), rows(tokenizer).remove_columns("text")
    hooks = Mixup(model, mixup.site or "embedding", pad_id=0)
    batches = [tokenizer.pad(data[start : start + size], return_tensors="pt") for start in range(0, len(data), size)]
    for epoch in range(epochs):
        on = mixup.start_epoch <= epoch < epochs - mixup.off_last_epochs
        config = mixup if on else MixupConfig(alpha=0)
        for step, batch in enumerate(batches):
            batch = dict(batch)
            labels = batch.pop("label")
            mix = draw(config, len(labels), (seed, epoch, epoch * len(batches) + step, 0))
            with hooks.applied(mix, batch) as inputs:
                loss = loss_function(model(**inputs).logits, mix.targets(labels, 3))
            if on and mixup.clean_weight:
                loss = loss + mixup.clean_weight * loss_function(model(**batch).logits, labels)
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.01 * parameter.grad
                    parameter.grad = None
    return weights(model)
