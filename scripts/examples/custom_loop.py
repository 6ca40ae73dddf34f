"""Mixup in a training loop of your own, on texts or on images: eight lines around the forward, the same for both.

    python scripts/examples/custom_loop.py --model distilbert-base-uncased --train train.csv --validation validation.csv
    python scripts/examples/custom_loop.py --model microsoft/resnet-50 --train pictures/train --validation pictures/test

The csv files have the columns text and label; the folders hold one folder of images for each class.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from datasets import ClassLabel, DatasetDict, load_dataset
from torch.utils.data import DataLoader
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchFeature,
    DataCollatorWithPadding,
)

from textmix import Mixup, MixupConfig, draw, soft_cross_entropy
from textmix.metrics import accuracy, ece


def read_texts(path: str, files: dict[str, str]) -> tuple[Any, DatasetDict, Any]:
    """Return a model, tokenized texts, and what makes batches of them."""
    data = load_dataset("csv", data_files=files)
    names = sorted(data["train"].unique("label"))
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(names))
    model.config.pad_token_id = tokenizer.pad_token_id
    data = data.cast_column("label", ClassLabel(names=names)).map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=128), batched=True, remove_columns=["text"]
    )
    return model, data, DataCollatorWithPadding(tokenizer)


def read_images(path: str, folders: dict[str, str]) -> tuple[Any, DatasetDict, Any]:
    """Return a model, images, and what makes batches of them."""
    data = load_dataset("imagefolder", data_files={split: f"{folder}/**" for split, folder in folders.items()})
    processor = AutoImageProcessor.from_pretrained(path)
    model = AutoModelForImageClassification.from_pretrained(
        path, num_labels=len(data["train"].features["label"].names), ignore_mismatched_sizes=True
    )

    def collate(rows: list[dict[str, Any]]) -> BatchFeature:
        batch: BatchFeature = processor([row["image"].convert("RGB") for row in rows], return_tensors="pt")
        batch["labels"] = torch.tensor([row["label"] for row in rows])
        return batch

    return model, data, collate


def main() -> None:
    """Train, then print accuracy and calibration error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--train", "--validation"):
        parser.add_argument(name, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--alpha", type=float, default=MixupConfig.alpha)
    args = parser.parse_args()
    read, site = (read_images, "input") if Path(args.train).is_dir() else (read_texts, "embedding")
    seed, config = 0, MixupConfig(alpha=args.alpha, site=site)
    torch.manual_seed(seed)

    model, data, collate = read(args.model, {"train": args.train, "validation": args.validation})
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    loader = DataLoader(data["train"], batch_size=32, shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)

    mixup = Mixup(model, site=config.site)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            batch = batch.to(model.device)
            labels = batch.pop("labels")
            mix = draw(config, len(labels), seed=(seed, epoch, step, 0))
            with mixup.applied(mix, batch) as inputs:
                logits = model(**inputs).logits
            loss = soft_cross_entropy(logits, mix.targets(labels, model.config.num_labels))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}")

    model.eval()
    with torch.inference_mode():
        batches = [batch.to(model.device) for batch in DataLoader(data["validation"], 256, collate_fn=collate)]
        labels = torch.cat([batch.pop("labels") for batch in batches]).cpu()
        logits = torch.cat([model(**batch).logits for batch in batches]).cpu()
    print(f"accuracy {accuracy(logits, labels):.4f}, expected calibration error {ece(logits, labels):.4f}")


if __name__ == "__main__":
    main()
