"""What mixing costs: a step with embedding mixup against the same step without: python scripts/bench/mixing.py.

The two steps follow each other on the same batch, so that each ratio is one of neighbours; they take turns to begin.
"""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from corpora import source_of, subset
from harness import Call, Claim, Effort, Result, call, command, comparison, quartiles

BATCHES: dict[Effort, dict[str, int]] = {
    "full": {"minilm": 60, "cnn": 300},
    "quick": {"minilm": 20, "cnn": 100},
    "smallest": {"minilm": 2, "cnn": 2},
}
"""Pairs of steps of each model."""
WARM_UP = 3
"""Pairs that are not counted: the first steps make what later ones use again."""
CASES = (("minilm", "fp32", 1.02), ("minilm", "bf16", 1.02), ("cnn", "fp32", 1.05))
"""Models, precisions, and what a step with mixup may cost at most."""


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:
    """Return milliseconds a step, without and with mixup."""
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = subset(source_of("trec", data), 60 if effort == "smallest" else 2_000, Path(scratch, "texts"), call)
        for model, precision, limit in CASES:
            where = {"folder": folder, "model": model, "precision": precision}
            found = call("mixing", "steps", threads=threads, pairs=BATCHES[effort][model], **where)
            names = {"with mixup": found["mixed"], "without": found["clean"]}
            claims = [Claim("with mixup", "without", at_most=limit)]
            tables[f"{model}, {precision}"] = comparison("ms/step", names, claims, summary=quartiles)
    return tables


def steps(folder: str, model: str, precision: str, pairs: int) -> Result:
    """Time pairs of steps on the same batches."""
    import torch
    from prepared import minilm, optimizer_of, prepare, words
    from torch.nn.utils import clip_grad_norm_

    from textmix import MixupConfig, draw, soft_cross_entropy

    threads = torch.get_num_threads()
    config = (
        minilm(Path(folder), "trec", alpha=0.4, threads=threads)
        if model == "minilm"
        else words(Path(folder), model, alpha=0.4, threads=threads)
    )
    ready = prepare(config)
    optimizer = optimizer_of(ready.model, fused=True)
    classes = len(ready.splits.label_names)
    ready.model.train()

    def step(mixing: MixupConfig, batch: dict[str, Any], seed: int) -> None:
        labels = batch["labels"]
        mix = draw(mixing, len(labels), seed=(0, 0, seed, 0))
        with ready.mixup.applied(mix, batch) as inputs, torch.autocast("cpu", torch.bfloat16, precision == "bf16"):
            logits = ready.model(**inputs).logits.float()
        soft_cross_entropy(logits, mix.targets(labels, classes)).backward()
        clip_grad_norm_(ready.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    times = in_pairs(
        {
            "mixed": lambda batch, i: step(config.mixup, batch, i),
            "clean": lambda batch, i: step(MixupConfig(alpha=0), batch, i),
        },
        ready.batches(WARM_UP + pairs),
    )
    return {"threads": threads, **times}


def in_pairs(
    contenders: dict[str, Callable[[Any, int], None]], batches: Iterable[Any], warm_up: int = WARM_UP
) -> dict[str, list[float]]:
    """Let all contenders work on each batch, the first one last on every other; return milliseconds of each."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for i, batch in enumerate(batches):
        for name in list(contenders)[:: 1 if i % 2 == 0 else -1]:
            begin = time.perf_counter()
            contenders[name](batch, i)
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: own[warm_up:] for name, own in times.items()}


if __name__ == "__main__":
    command(measure, __doc__)
