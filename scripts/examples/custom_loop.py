"""Mixup in a training loop of your own: eight lines around the forward.

    python scripts/examples/custom_loop.py --model distilbert-base-uncased --train train.csv --validation validation.csv

The csv files have the columns text and label.
"""

import argparse

import torch
from datasets import ClassLabel, load_dataset
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

from textmix import Mixup, MixupConfig, draw, soft_cross_entropy
from textmix.metrics import accuracy, ece


def main() -> None:
    """Train, then print accuracy and calibration error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--train", "--validation"):
        parser.add_argument(name, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--alpha", type=float, default=0.4)
    args = parser.parse_args()
    seed, config = 0, MixupConfig(alpha=args.alpha)
    torch.manual_seed(seed)

    data = load_dataset("csv", data_files={"train": args.train, "validation": args.validation})
    names = sorted(data["train"].unique("label"))
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=len(names))
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    data = data.cast_column("label", ClassLabel(names=names)).map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=128), batched=True, remove_columns=["text"]
    )
    collate = DataCollatorWithPadding(tokenizer)
    loader = DataLoader(data["train"], batch_size=32, shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)

    mixup = Mixup(model, site=config.site, pad_id=tokenizer.pad_token_id)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            batch = batch.to(model.device)
            labels = batch.pop("labels")
            mix = draw(config, len(labels), seed=(seed, epoch, step, 0))
            with mixup.applied(mix, batch) as inputs:
                logits = model(**inputs).logits
            loss = soft_cross_entropy(logits, mix.targets(labels, len(names)))
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
