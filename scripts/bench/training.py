"""Examples a second of fine-tuning, textmix against transformers.Trainer: python scripts/bench/training.py.

Both train MiniLM on the same texts for one epoch with the same batch size, learning rate, schedule, optimizer, clipping
and number of threads, and save a checkpoint at its end. The time is the wall clock's, around the whole of fit() and of
train(), first step included.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from corpora import MAX_LENGTH, source_of, subset, whole
from harness import ROUNDS, Call, Claim, Effort, Result, alternate, call, command, comparison

EXAMPLES: dict[Effort, dict[str, int]] = {
    "full": {"trec": 1_248, "sst2": 672, "imdb": 64},
    "quick": {"trec": 512},
    "smallest": {"trec": 40},
}
"""Training texts of each corpus."""
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "textmix, bf16": ("textmix", {"precision": "bf16"}),
    "textmix, fp32": ("textmix", {"precision": "fp32"}),
    "Trainer, usual": ("trainer", {"precision": "fp32", "grouped": False}),
    "Trainer, fp32, grouped by length": ("trainer", {"precision": "fp32", "grouped": True}),
    "Trainer, bf16, grouped by length": ("trainer", {"precision": "bf16", "grouped": True}),
}
"""The function that trains, and how; Trainer's usual recipe is float32 and random batches."""
CLAIMS: dict[str, list[Claim]] = {
    "trec": [
        Claim("textmix, bf16", "Trainer, usual", at_least=3.0),
        Claim("textmix, fp32", "Trainer, usual", at_least=2.0),
        Claim("textmix, bf16", "Trainer, bf16, grouped by length", at_least=1.0),
        Claim("textmix, fp32", "Trainer, fp32, grouped by length", at_least=1.0),
    ],
    "sst2": [
        Claim("textmix, bf16", "Trainer, usual", at_least=3.0),
        Claim("textmix, fp32", "Trainer, usual", at_least=2.0),
        Claim("textmix, bf16", "Trainer, bf16, grouped by length", at_least=1.0),
    ],
    "imdb": [
        Claim("textmix, bf16", "Trainer, usual"),
        Claim("textmix, bf16", "Trainer, bf16, grouped by length", at_least=1.0),
    ],
}
"""What is compared on each corpus."""
SEEDS = (0, 1, 2)
EPOCHS = {"trec": 3, "sst2": 1}
"""Of whole trainings."""


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:
    """Return examples a second on each corpus."""
    with tempfile.TemporaryDirectory() as scratch:
        return {
            corpus: _corpus(corpus, count, effort, data, threads, Path(scratch, corpus), call)
            for corpus, count in EXAMPLES[effort].items()
        }


def _corpus(corpus: str, count: int, effort: Effort, data: Path, threads: int, scratch: Path, call: Call) -> Result:
    source = source_of(corpus, data)
    folder = subset(source, count, scratch, call)
    claims = CLAIMS[corpus]
    compared = {name for claim in claims for name in (claim.of, claim.to)}
    runs = {
        name: partial(call, "training", function, threads=threads, folder=folder, corpus=corpus, **how)
        for name, (function, how) in CONTENDERS.items()
        if name in compared
    }
    results = alternate(runs, ROUNDS[effort])
    table = comparison(
        "examples/s",
        {name: [result["examples"] / result["wall"] for result in own] for name, own in results.items()},
        claims,
        {name: max(result["peak_mib"] for result in own) for name, own in results.items()},
    )
    # What fit() itself says must be what the clock on the wall says.
    gaps = [abs(r["seconds"] / r["wall"] - 1) for own in results.values() for r in own if "seconds" in r]
    first = results["textmix, bf16"][0]
    return {
        **table,
        "source": source if source.startswith("packaged:") else corpus,
        "examples": first["examples"],
        "max_length": MAX_LENGTH[corpus],
        "threads": first["threads"],
        "largest_gap_to_the_wall_clock": max(gaps),
    }


def accuracy(data: Path, threads: int, call: Call = call) -> Result:
    """Return accuracy, NLL and ECE on the full test sets after whole trainings, over three seeds."""
    with tempfile.TemporaryDirectory() as scratch:
        return {corpus: _accuracy(corpus, data, threads, Path(scratch, corpus), call) for corpus in EPOCHS}


def _accuracy(corpus: str, data: Path, threads: int, scratch: Path, call: Call) -> Result:
    source = source_of(corpus, data)
    where = {"folder": whole(source, scratch, call), "corpus": corpus, "epochs": EPOCHS[corpus]}
    names = ["textmix, bf16", "textmix, fp32", "Trainer, usual"]
    results: dict[str, list[Result]] = {name: [] for name in names}
    for seed in SEEDS:
        for name in names:
            function, how = CONTENDERS[name]
            results[name].append(call("training", function, threads=threads, seed=seed, **where, **how))
    keys = {"accuracy": "share", "nll": "nats", "ece": "share"}
    tables = {key: comparison(unit, {n: [r[key] for r in own] for n, own in results.items()})
              for key, unit in keys.items()}  # fmt: skip
    # Trainer is not asked to evaluate, so that its seconds are the wall clock's; fit() leaves its evaluations out.
    speeds = {name: [r["examples"] / r.get("seconds", r["wall"]) for r in own] for name, own in results.items()}
    best, reference = (sum(r["accuracy"] for r in results[n]) / len(SEEDS) for n in ("textmix, bf16", "Trainer, usual"))
    return {
        "source": source if source.startswith("packaged:") else corpus,
        "seeds": len(SEEDS),
        "epochs": EPOCHS[corpus],
        "test": results[names[0]][0]["test"],
        "speed": comparison("examples/s", speeds, [Claim(name, "Trainer, usual") for name in names[:2]]),
        **tables,
        "points_below_trainer": 100 * (reference - best),
        "means": {n: {key: sum(r[key] for r in own) / len(own) for key in keys} for n, own in results.items()},
    }


def textmix(folder: str, corpus: str, precision: str, seed: int = 0, epochs: int = 1) -> Result:
    """Train with textmix; the seconds that it tells are without evaluations."""
    import torch
    from prepared import minilm, prepare

    from textmix.engine import fit, predict_logits

    threads = torch.get_num_threads()
    config = minilm(Path(folder), corpus, seed=seed, epochs=epochs, precision=precision, threads=threads)
    ready = prepare(config)
    with tempfile.TemporaryDirectory() as run:
        begin = time.perf_counter()
        fitted = fit(ready.accelerator, ready.model, ready.mixup, ready.splits, config, Path(run))
        wall = time.perf_counter() - begin
    result = {
        "wall": wall,
        "seconds": fitted.seconds,
        "examples": epochs * len(ready.splits.train),
        "threads": torch.get_num_threads(),
    }
    if ready.splits.test is not None:
        logits = predict_logits(ready.accelerator, ready.model, ready.splits.test, 256)
        result |= _scores(logits, ready.splits.test.labels)
    return result


def trainer(folder: str, corpus: str, precision: str, grouped: bool, seed: int = 0, epochs: int = 1) -> Result:
    """Train with transformers.Trainer, as its examples do."""
    import torch
    from datasets import Dataset
    from prepared import BATCH_SIZE, LEARNING_RATE, MINILM
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from textmix.data import resolve_packaged_model

    path = resolve_packaged_model(MINILM)
    tokenizer = AutoTokenizer.from_pretrained(path)
    parts = {
        file.stem: Dataset.from_parquet(str(file), keep_in_memory=True).map(
            lambda rows: tokenizer(rows["text"], truncation=True, max_length=MAX_LENGTH[corpus]), batched=True
        )
        for file in Path(folder).glob("*.parquet")
    }
    torch.manual_seed(seed)
    classes = max(parts["train"]["label"]) + 1
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=classes, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as run:
        arguments = TrainingArguments(
            run,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=256,
            learning_rate=LEARNING_RATE,
            bf16=precision == "bf16",
            train_sampling_strategy="group_by_length" if grouped else "random",
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=True,
        )
        task = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), parts["train"],
                       processing_class=tokenizer)  # fmt: skip
        begin = time.perf_counter()
        task.train()
        wall = time.perf_counter() - begin
        result = {"wall": wall, "examples": epochs * len(parts["train"]), "threads": torch.get_num_threads()}
        if "test" in parts:
            model.float()
            told = task.predict(parts["test"])
            result |= _scores(torch.from_numpy(told.predictions), told.label_ids)
    return result


def _scores(logits: Any, labels: Any) -> Result:
    from textmix.metrics import CalibrationState

    state = CalibrationState()
    state.update(logits, labels)
    metrics = state.compute()
    return {"test": len(labels), **{key: metrics[key] for key in ("accuracy", "nll", "ece")}}


if __name__ == "__main__":
    command(measure, __doc__)
