"""Predicting against a bare loop, a report on a million predictions, metrics: python scripts/bench/evaluation.py."""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from corpora import source_of, subset
from harness import ROOT, ROUNDS, Call, Claim, Effort, Result, alternate, call, command, comparison, run

PREDICTED: dict[Effort, int] = {"full": 3_000, "quick": 1_000, "smallest": 20}
"""Texts to predict."""
REPORTED: dict[Effort, int] = {"full": 1_000_000, "quick": 200_000, "smallest": 500}
"""Predictions to report on, in 10 classes."""
METRICS_OPTIONS: dict[Effort, list[str]] = {
    "full": [],
    "quick": ["--rounds", "2", "--examples", "200000"],
    "smallest": ["--rounds", "1", "--examples", "2000"],
}
CLASSES = 10


def measure(effort: Effort, data: Path, threads: int, call: Call = call) -> Result:
    """Return texts a second, the seconds of a report, and what the metrics' own script says."""
    with tempfile.TemporaryDirectory() as scratch:
        texts = subset(source_of("trec", data), PREDICTED[effort], Path(scratch, "texts"), call)
        return {
            "predict": _predict(Path(texts, "train.parquet"), Path(scratch), ROUNDS[effort], threads, call),
            "report": _report(REPORTED[effort], Path(scratch), ROUNDS[effort], threads, call),
            "metrics": _metrics(effort),
        }


def _predict(texts: Path, scratch: Path, rounds: int, threads: int, call: Call) -> Result:
    call("evaluation", "save_classifier", threads=threads, folder=str(scratch / "model"))
    arguments = {"texts": str(texts), "model": str(scratch / "model")}
    names = {"textmix predict": "predict", "bare forward passes": "bare"}
    runs = {name: partial(call, "evaluation", f, threads=threads, **arguments) for name, f in names.items()}
    results = alternate(runs, rounds)
    values = {name: [result["texts"] / result["seconds"] for result in own] for name, own in results.items()}
    peaks = {name: max(result["peak_mib"] for result in own) for name, own in results.items()}
    claim = Claim("textmix predict", "bare forward passes", at_least=0.95)
    return comparison("texts/s", values, [claim], peaks) | {"texts": results["textmix predict"][0]["texts"]}


def _report(count: int, scratch: Path, rounds: int, threads: int, call: Call) -> Result:
    file = scratch / "predictions.parquet"
    call("evaluation", "save_predictions", threads=threads, file=str(file), count=count)
    program = [str(Path(sys.executable).with_name("textmix")), "evaluate", str(file), "--output_dir"]
    name = f"textmix evaluate, {count:,} x {CLASSES}"
    results = alternate({name: partial(run, [*program, str(scratch / "report")], threads=threads)}, rounds)[name]
    peaks = {name: max(result["peak_mib"] for result in results)}
    values = {name: [result["seconds"] for result in results]}
    return comparison("s", values, [Claim(name, at_most=15.0)], peaks)


def _metrics(effort: Effort) -> Result:
    """Return the tables of the metrics' own script as they are."""
    program = [sys.executable, str(ROOT / "scripts" / "bench" / "metrics.py"), *METRICS_OPTIONS[effort]]
    return {"markdown": run(program, threads=1)["output"].strip()}


def save_classifier(folder: str) -> Result:
    """Save MiniLM with an untrained last layer: it predicts as fast as a trained one."""
    from prepared import MINILM
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from textmix.data import resolve_packaged_model

    path = resolve_packaged_model(MINILM)
    AutoModelForSequenceClassification.from_pretrained(path, num_labels=6).save_pretrained(folder)
    AutoTokenizer.from_pretrained(path).save_pretrained(folder)
    return {}


def save_predictions(file: str, count: int) -> Result:
    """Save random predictions that are a little too sure."""
    import numpy as np

    from textmix import predictions

    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((count, CLASSES), np.float32)
    labels = (logits / 1.2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    names = tuple("abcdefghij")
    predictions.save(predictions.Predictions(logits, labels, names, [str(i) for i in range(count)]), Path(file))
    return {}


def predict(texts: str, model: str) -> Result:
    """Time the whole of ``textmix predict`` but the start of Python: model loaded, texts read, tokenised, written."""
    import torch

    from textmix.options import PredictConfig
    from textmix.predict import predict_file

    with tempfile.TemporaryDirectory() as folder:
        config = PredictConfig(model=model, input=texts, output=str(Path(folder, "out.parquet")),
                               threads=torch.get_num_threads())  # fmt: skip
        begin = time.perf_counter()
        done = predict_file(config)
        return {"seconds": time.perf_counter() - begin, "texts": done.rows}


def bare(texts: str, model: str) -> Result:
    """Time the loading of the model and its forward passes over the same batches, made before."""
    import numpy as np
    import pandas as pd
    import torch

    from textmix.data import encoder
    from textmix.options import PredictConfig
    from textmix.predict import load_classifier

    size = PredictConfig(model=model, input=texts, output="").batch_size
    classifier = load_classifier(model)
    examples = encoder(classifier.tokenizer, classifier.max_length, pair=False)(
        pd.read_parquet(texts)["text"].tolist(), None
    )
    order = np.argsort(examples.lengths, kind="stable")
    batches = [examples.batch(order[start : start + size]) for start in range(0, len(order), size)]
    for batch in batches:
        del batch["labels"]
    begin = time.perf_counter()
    network = load_classifier(model).model.eval()
    with torch.inference_mode():
        for batch in batches:
            network(**batch)
    return {"seconds": time.perf_counter() - begin, "texts": len(order)}


if __name__ == "__main__":
    command(measure, __doc__)
