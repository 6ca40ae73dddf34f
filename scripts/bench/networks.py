"""Seconds of a CNN's and an LSTM's epoch, against a bare loop; two runs at a time: python scripts/bench/networks.py.

All of TREC's 5,452 training texts, random word vectors 300 wide, batches of 50. The epoch of textmix is one of fit(),
with its record, its checkpoint and everything but the evaluation. The bare loop takes the same batches of the same
texts through the same network.
"""

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

from corpora import source_of, subset
from harness import ROUNDS, Call, Claim, Effort, Result, alternate, call, command, comparison

EPOCHS: dict[Effort, int] = {"full": 3, "quick": 2, "smallest": 2}
"""Epochs of a run; the first warms up and is not counted."""
TEXTS: dict[Effort, int] = {"full": 5_452, "quick": 5_452, "smallest": 60}
SWEPT_EPOCHS: dict[Effort, int] = {"full": 4, "quick": 3, "smallest": 1}
"""Epochs of each run of the sweep."""
NETWORKS: dict[Effort, tuple[str, ...]] = {"full": ("cnn", "lstm"), "quick": ("cnn",), "smallest": ("cnn", "lstm")}
LIMITS = {"cnn": 1.5, "lstm": None}
"""Seconds of an epoch, at most."""


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:
    """Return seconds an epoch for each network, and those of two runs together and one after the other."""
    source = source_of("trec", data)
    with tempfile.TemporaryDirectory() as scratch:
        # The texts for validation come off the training texts: the count stays what the table says.
        folder = subset(source, TEXTS[effort] - 4, Path(scratch, "texts"), call)
        tables = {name: _epochs(name, folder, effort, threads, call) for name in NETWORKS[effort]}
        return tables | {"sweep": _sweep(folder, effort, call)}


def _epochs(name: str, folder: str, effort: Effort, threads: int, call: Call) -> Result:
    arguments = {"folder": folder, "name": name, "epochs": EPOCHS[effort]}
    runs = {f: partial(call, "networks", f, threads=threads, **arguments) for f in ("textmix", "bare")}
    results = alternate(runs, ROUNDS[effort])
    values = {f: [min(result["epochs"]) for result in own] for f, own in results.items()}
    peaks = {f: max(result["peak_mib"] for result in own) for f, own in results.items()}
    first = results["textmix"][0]
    facts = {"texts": first["texts"], "vectors": first["vectors"], "threads": first["threads"]}
    return (
        comparison("s/epoch", values, [Claim("textmix", at_most=LIMITS[name]), Claim("textmix", "bare")], peaks) | facts
    )


def _sweep(folder: str, effort: Effort, call: Call) -> Result:
    """Time two runs, loading and all but imports: at the same time with a thread each, and one after the other."""
    run = partial(call, "networks", "textmix", folder=folder, name="cnn", epochs=SWEPT_EPOCHS[effort])

    def together() -> None:
        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(run, threads=1) for _ in range(2)]:
                one.result()

    def in_turn(threads: int) -> None:
        for _ in range(2):
            run(threads=threads)

    def timed(two_runs: Callable[[], None]) -> Result:
        begin = time.perf_counter()
        two_runs()
        return {"seconds": time.perf_counter() - begin}

    ways = {
        "two at a time, 1 thread each": partial(timed, together),
        "one after the other, 1 thread": partial(timed, partial(in_turn, 1)),
        "one after the other, 2 threads": partial(timed, partial(in_turn, 2)),
    }
    values = {name: [r["seconds"] for r in own] for name, own in alternate(ways, ROUNDS[effort]).items()}
    at_once, *others = ways
    claims = [Claim(name, at_once, at_least=1.6) for name in others]
    return comparison("s", values, claims) | {"epochs": SWEPT_EPOCHS[effort]}


def textmix(folder: str, name: str, epochs: int) -> Result:
    """Train with textmix and read the seconds of each epoch but the first from its record."""
    import torch
    from prepared import prepare, words

    from textmix.engine import fit

    threads = torch.get_num_threads()
    ready = prepare(words(Path(folder), name, epochs=epochs, threads=threads))
    with tempfile.TemporaryDirectory() as run:
        fitted = fit(ready.accelerator, ready.model, ready.mixup, ready.splits, ready.config, Path(run))
        lines = [json.loads(line) for line in Path(run, "timing.jsonl").read_text(encoding="utf-8").splitlines()]
    clock = {line["step"]: line["seconds"] for line in lines if line["event"] == "train"}
    ends = [clock[fitted.steps * epoch // epochs] for epoch in range(1, epochs + 1)]
    weight = ready.model.get_input_embeddings().weight
    return {
        "epochs": [after - before for before, after in pairwise(ends)],
        "texts": len(ready.splits.train) + len(ready.splits.validation),
        "vectors": f"{weight.shape[0]:,} x {weight.shape[1]}",
        "threads": torch.get_num_threads(),
    }


def bare(folder: str, name: str, epochs: int) -> Result:
    """Train the same network by hand, with nothing around it."""
    import torch
    from prepared import optimizer_of, prepare, words
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import clip_grad_norm_

    from textmix.data import epoch_batches

    threads = torch.get_num_threads()
    ready = prepare(words(Path(folder), name, threads=threads))
    examples, model, optimizer = ready.splits.train, ready.model.train(), optimizer_of(ready.model, fused=True)
    seconds = []
    for epoch in range(epochs):
        begin = time.perf_counter()
        for rows in epoch_batches(examples.lengths, 50, seed=0, epoch=epoch, length_buckets=True):
            batch = examples.batch(rows)
            labels = batch.pop("labels")
            cross_entropy(model(**batch).logits, labels).backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
    return {"epochs": seconds[1:]}


if __name__ == "__main__":
    command(measure, __doc__)
