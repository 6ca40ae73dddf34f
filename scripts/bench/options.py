"""Which options pay: steps with and without each of them, in turn: python scripts/bench/options.py.

Each step takes 32 of TREC's texts through MiniLM, in its own copy of the model; the two of a pair take the same texts,
except where the choice of texts is the question.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora import source_of, subset
from harness import Call, Claim, Effort, Result, call, command, comparison, quartiles
from mixing import WARM_UP, in_pairs

BATCHES: dict[Effort, int] = {"full": 30, "quick": 10, "smallest": 2}
COMPILED: dict[Effort, int] = {"full": 30, "quick": 0, "smallest": 0}
"""Batches with torch.compile, which takes a minute before its first; 0 leaves it out."""


@dataclass(frozen=True)
class Setting:
    """One way to take a step; the defaults are a plain loop's in float32."""

    bf16: bool = False
    fused: bool = True
    attention: str = "sdpa"
    fast_dropout: bool = False
    folded_clipping: bool = False
    buckets: bool = True
    compiled: bool = False


OPTIONS: dict[str, tuple[Setting, Setting]] = {
    "bfloat16 autocast": (Setting(bf16=True), Setting()),
    "batches of like length": (Setting(), Setting(buckets=False)),
    "fused AdamW": (Setting(), Setting(fused=False)),
    "textmix's dropout": (Setting(fast_dropout=True), Setting()),
    "textmix's dropout, bf16": (Setting(bf16=True, fast_dropout=True), Setting(bf16=True)),
    "textmix's clipping, bf16": (Setting(bf16=True, folded_clipping=True), Setting(bf16=True)),
    "SDPA instead of eager attention": (Setting(), Setting(attention="eager")),
    "torch.compile, bf16": (Setting(bf16=True, compiled=True), Setting(bf16=True)),
}
"""Every option, and the setting with it and without it."""


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:
    """Return milliseconds a step with and without each option."""
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = subset(source_of("trec", data), 60 if effort == "smallest" else 2_000, Path(scratch, "texts"), call)
        for name, (on, _) in OPTIONS.items():
            batches = COMPILED[effort] if on.compiled else BATCHES[effort]
            if batches == 0 or (on.compiled and shutil.which("g++") is None):
                continue
            found = call("options", "steps", threads=threads, folder=folder, option=name, batches=batches)
            values = {"with": found["with"], "without": found["without"]}
            table = comparison("ms/step", values, [Claim("without", "with")], summary=quartiles)
            tables[name] = table | {"seconds_before": found["seconds_before"]}
    return tables


def steps(folder: str, option: str, batches: int) -> Result:
    """Time pairs of steps; `seconds_before` are those of the first step with the option, which compiles."""
    import torch
    from prepared import minilm, prepare

    on, off = OPTIONS[option]
    ready = prepare(minilm(Path(folder), "trec", threads=torch.get_num_threads()))
    classes = len(ready.splits.label_names)
    ways = {"with": _stepper(on, classes), "without": _stepper(off, classes)}
    plans = {name: ready.batches(WARM_UP + batches, way.buckets) for name, way in (("with", on), ("without", off))}
    pairs = [dict(zip(plans, pair, strict=True)) for pair in zip(*plans.values(), strict=True)]
    begin = time.perf_counter()
    ways["with"](pairs[0]["with"])
    before = time.perf_counter() - begin
    times = in_pairs({name: lambda pair, _, name=name: ways[name](pair[name]) for name in ways}, pairs)
    return {"threads": torch.get_num_threads(), "seconds_before": before, **times}


def _stepper(setting: Setting, classes: int) -> Callable[[dict[str, Any]], None]:
    """Return a function that takes one optimizer step of a new model on a batch."""
    import torch
    from prepared import MINILM, optimizer_of
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import clip_grad_norm_
    from transformers import AutoModelForSequenceClassification

    from textmix.data import resolve_packaged_model
    from textmix.engine.dropout import fast_dropout
    from textmix.engine.optimization import clip_gradients

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        resolve_packaged_model(MINILM), num_labels=classes, attn_implementation=setting.attention, dtype=torch.float32
    ).train()
    optimizer = optimizer_of(model, fused=setting.fused)
    network = torch.compile(model, dynamic=True) if setting.compiled else model
    dropout = fast_dropout(model) if setting.fast_dropout else nullcontext()

    def step(batch: dict[str, Any]) -> None:
        with dropout, torch.autocast("cpu", torch.bfloat16, setting.bf16):
            logits = network(**{name: values for name, values in batch.items() if name != "labels"}).logits
        cross_entropy(logits.float(), batch["labels"]).backward()
        if setting.folded_clipping:
            clip_gradients(optimizer, 1.0)
        else:
            clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    command(measure, __doc__)
