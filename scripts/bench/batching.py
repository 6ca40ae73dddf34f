"""What making batches costs, as a share of the step they are for: python scripts/bench/batching.py.

The training loop's own batches (rows chosen, gathered, padded, mixing drawn) and its own optimizer steps, in turn. It
makes small batches several at a time, so that a number is the mean of a stretch of them.
"""

import tempfile
import time
from itertools import islice
from pathlib import Path

from corpora import source_of, subset
from harness import Call, Claim, Effort, Result, call, command, comparison, means, quartiles

STEPS: dict[Effort, dict[str, int]] = {
    "full": {"minilm": 72, "cnn": 545},
    "quick": {"minilm": 24, "cnn": 109},
    "smallest": {"minilm": 3, "cnn": 3},
}
"""Steps of each model, after some that are not counted."""
WARM_UP = 2
"""Steps that are not counted; their batches are, with which later ones are made."""
STRETCH = {"minilm": 72, "cnn": 109}
"""Steps whose mean is a number: nearly as many as have their batches made together, and an epoch."""
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
    """Time the making of batches, with the plan of each epoch, and the steps on them."""
    import torch
    from prepared import on_trec, prepare

    from textmix.engine.steps import optimizer_step

    threads = torch.get_num_threads()
    ready = prepare(on_trec(Path(folder), model, alpha=0.4, precision=precision, threads=threads))
    batch, step = [], []
    with ready.learner() as learner:
        begin = time.perf_counter()
        for window in islice(ready.windows(learner, ready.config.mixup), WARM_UP + steps):
            made = time.perf_counter()
            optimizer_step(learner, window)
            end = time.perf_counter()
            batch.append(1e3 * (made - begin))
            step.append(1e3 * (end - made))
            begin = time.perf_counter()
    size = STRETCH[model]
    return {"batch": means(batch[:steps], size), "step": means(step[WARM_UP:], size), "threads": threads}


if __name__ == "__main__":
    command(measure, __doc__)
