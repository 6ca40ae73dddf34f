"""What mixing costs: a step with embedding mixup against the same step without: python scripts/bench/mixing.py.

The two steps follow each other on the same texts, so that each ratio is one of neighbours; they take turns to begin.
The loop makes small batches several at a time, so that a number is the mean of a stretch of steps.
"""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from corpora import source_of, subset
from harness import Call, Claim, Effort, Result, call, command, comparison, means, quartiles

BATCHES: dict[Effort, dict[str, int]] = {
    "full": {"minilm": 72, "cnn": 960},
    "quick": {"minilm": 24, "cnn": 180},
    "smallest": {"minilm": 2, "cnn": 2},
}
"""Pairs of steps of each model."""
STRETCH = {"minilm": 6, "cnn": 120}
"""Pairs whose mean is a number: for the CNN three epochs; MiniLM's batches take too little time to matter."""
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
    """Time pairs of the training loop's own steps, the making of their batches included."""
    import torch
    from prepared import on_trec, prepare

    from textmix import MixupConfig
    from textmix.engine.steps import optimizer_step

    threads = torch.get_num_threads()
    ready = prepare(on_trec(Path(folder), model, alpha=0.4, precision=precision, threads=threads))
    with ready.learner() as learner:
        mixed, clean = (ready.windows(learner, mixup) for mixup in (ready.config.mixup, MixupConfig(alpha=0)))
        ways = {"mixed": lambda *_: optimizer_step(learner, next(mixed)),
                "clean": lambda *_: optimizer_step(learner, next(clean))}  # fmt: skip
        times = in_pairs(ways, range(WARM_UP + pairs))
    return {"threads": threads, **{name: means(own, STRETCH[model]) for name, own in times.items()}}


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
