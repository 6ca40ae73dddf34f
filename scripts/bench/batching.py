"""What making batches costs, as a share of the step they are for: python scripts/bench/batching.py.

The training loop's own batches (rows chosen, gathered, padded, mixing drawn) and its own optimizer steps, in turn.
"""

import tempfile
import time
from itertools import islice
from pathlib import Path

from corpora import source_of, subset
from harness import Call, Claim, Effort, Result, call, command, comparison, quartiles

STEPS: dict[Effort, dict[str, int]] = {
    "full": {"minilm": 60, "cnn": 300},
    "quick": {"minilm": 20, "cnn": 100},
    "smallest": {"minilm": 3, "cnn": 3},
}
WARM_UP = 2
"""Steps that are not counted."""
CASES = (("minilm", "fp32"), ("minilm", "bf16"), ("cnn", "fp32"))


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:
    """Return milliseconds of a batch and of its step."""
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = subset(source_of("trec", data), 200 if effort == "smallest" else 5_448, Path(scratch, "texts"), call)
        for model, precision in CASES:
            where = {"folder": folder, "model": model, "precision": precision}
            found = call("batching", "in_turn", threads=threads, steps=STEPS[effort][model], **where)
            values = {"its batch": found["batch"], "a step": found["step"]}
            claim = Claim("its batch", "a step", at_most=0.01)
            tables[f"{model}, {precision}"] = comparison("ms", values, [claim], summary=quartiles)
    return tables


def in_turn(folder: str, model: str, precision: str, steps: int) -> Result:
    """Time the making of a batch and the step on it; every batch bears its share of the epoch's plan."""
    import torch
    from prepared import minilm, prepare, words

    from textmix.data import epoch_batches
    from textmix.engine.learner import make_learner
    from textmix.engine.steps import optimizer_step, windows

    threads = torch.get_num_threads()
    configure = minilm(Path(folder), "trec", 0.4, precision=precision, threads=threads)
    if model != "minilm":
        configure = words(Path(folder), model, 0.4, precision=precision, threads=threads)
    ready = prepare(configure)
    config, examples = ready.config, ready.splits.train
    learner = make_learner(ready.accelerator, ready.model, ready.mixup, ready.splits, config)
    learner.forward.train()
    begin = time.perf_counter()
    plan = epoch_batches(examples.lengths, config.train.batch_size, seed=0, epoch=0, length_buckets=True)
    planning = (time.perf_counter() - begin) / len(plan)
    batch, step = [], []
    begin = time.perf_counter()
    for window in islice(windows(learner, examples, plan, config.mixup, 0, first=0), WARM_UP + steps):
        made = time.perf_counter()
        optimizer_step(learner, window)
        end = time.perf_counter()
        batch.append(1e3 * (made - begin + planning))
        step.append(1e3 * (end - made))
        begin = time.perf_counter()
    return {"batch": batch[WARM_UP:], "step": step[WARM_UP:], "threads": threads}


if __name__ == "__main__":
    command(measure, __doc__)
