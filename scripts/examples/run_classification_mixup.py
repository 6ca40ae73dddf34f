"""Fine-tune a Hugging Face classifier on csv files: a Trainer script that differs in its import and one argument.

    python scripts/examples/run_classification_mixup.py --model_name_or_path distilbert-base-uncased \
        --train_file train.csv --validation_file validation.csv --output_dir runs/example --do_train --do_eval

The csv files have the columns text and label. All of TrainingArguments are flags; `accelerate launch` works as well.
"""

from dataclasses import dataclass

import numpy as np
from datasets import ClassLabel, load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, HfArgumentParser, TrainingArguments

from textmix import MixupConfig
from textmix import MixupTrainer as Trainer


@dataclass
class ScriptArguments:
    """What to fine-tune, and on what."""

    model_name_or_path: str
    train_file: str
    validation_file: str
    max_seq_length: int = 128


def main() -> None:
    """Train, evaluate, save."""
    script, args = HfArgumentParser((ScriptArguments, TrainingArguments)).parse_args_into_dataclasses()
    data = load_dataset("csv", data_files={"train": script.train_file, "validation": script.validation_file})
    names = sorted(data["train"].unique("label"))
    data = data.cast_column("label", ClassLabel(names=names))

    tokenizer = AutoTokenizer.from_pretrained(script.model_name_or_path)
    model = AutoModelForSequenceClassification.from_pretrained(
        script.model_name_or_path,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    data = data.map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=script.max_seq_length), batched=True
    )

    trainer = Trainer(
        model,
        args,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
        compute_metrics=lambda p: {"accuracy": float(np.mean(p.predictions.argmax(axis=-1) == p.label_ids))},
        mixup=MixupConfig(),
    )
    if args.do_train:
        trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
        trainer.save_model()
    if args.do_eval:
        trainer.log_metrics("eval", trainer.evaluate())


if __name__ == "__main__":
    main()
