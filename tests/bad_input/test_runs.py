"""Damaged runs and models, and what a sound model can't predict."""

import json
import os
import pickle
import shutil

import pytest
import torch
from bad_input_kit import refused

from textmix.cli import main


def write(name, content):
    return lambda run: (run / name).write_bytes(content)


def folder_instead(name):
    def change(run):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.mkdir()

    return change


REPORT, TRAIN, COMPARE = ["report", "run"], None, ["compare", "run", "other"]
RUNS = {
    # name: (what is done to the run, command, what the sentence says)
    "an empty summary": (write("summary.json", b""), REPORT, "run/summary.json: expected JSON"),
    "a summary that is a list": (write("summary.json", b"[]"), REPORT, "run/summary.json: expected a JSON object"),
    "a summary without anything": (write("summary.json", b"{}"), REPORT, "run: expected summary.json"),
    "a summary of nulls": (write("summary.json", b'{"test": null}'), REPORT, "run: expected summary.json"),
    "a summary of brackets": (write("summary.json", b"[" * 100_000), REPORT, "run/summary.json: expected JSON"),
    "a summary that is a folder": (folder_instead("summary.json"), REPORT, "run/summary.json"),
    "a configuration that is a list": (write("config.yaml", b"- 1"), REPORT, "run/config.yaml"),
    "a configuration of texts": (write("config.yaml", b"data: x\nmodel: y\n"), REPORT, "run: expected summary.json"),
    "a configuration with numbers as keys": (write("config.yaml", b"1: 2\na: {2: 3}\n"), REPORT, "run/config.yaml"),
    "a record of junk": (write("metrics.jsonl", b"{]"), REPORT, "run/metrics.jsonl"),
    "a record of bytes": (write("metrics.jsonl", b"\xff"), REPORT, "run/metrics.jsonl"),
    "half a line of the record": (write("metrics.jsonl", b'{"event": "vali'), REPORT, "run/metrics.jsonl"),
    "predictions of junk": (
        write("predictions/validation.parquet", b"PAR1"),
        REPORT,
        "run/predictions/validation.parquet",
    ),
    "an epoch of junk": (write("epochs/001.parquet", b"x"), REPORT, "run/epochs/001.parquet"),
    "a run compared that has no summary": (lambda run: (run / "summary.json").unlink(), COMPARE, "run/summary.json"),
    "a run compared with a date": (write("config.yaml", b"a: 2020-01-01\n"), COMPARE, "run/config.yaml"),
    "a run compared with junk": (
        write("predictions/validation.parquet", b""),
        COMPARE,
        "run/predictions/validation.parquet",
    ),
    "going on with a summary of nothing": (write("summary.json", b"{}"), TRAIN, "run: expected summary.json"),
    "going on with a configuration of bytes": (write("config.yaml", b"\xff"), TRAIN, "run/config.yaml"),
    "going on with brackets without end": (write("config.yaml", b"[" * 3000), TRAIN, "run/config.yaml"),
    "going on with another configuration": (
        write("config.yaml", b"seed: 7\n"),
        TRAIN,
        "holds a run with another configuration",
    ),
}


@pytest.mark.parametrize("case", RUNS, ids=lambda name: name.replace(" ", "-"))
def test_damaged_runs(case, here, capsys, finished):
    folder, argv = finished
    change, command, message = RUNS[case]
    shutil.copytree(folder / "run", here / "run")
    shutil.copytree(folder / "run", here / "other")
    change(here / "run")
    there = [word.replace(str(folder / "run"), "run") for word in argv]
    assert message in refused(command or there, capsys, here)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


MODELS = {
    "a configuration of junk": write("config.json", b"{]"),
    "a configuration that is a list": write("config.json", b"[]"),
    "weights of junk": write("model.safetensors", b"junk"),
    "no weights": lambda model: (model / "model.safetensors").unlink(),
    "weights with an endless header": write("model.safetensors", b"\xff" * 100),
    "a tokenizer of junk": write("tokenizer.json", b"{}"),
    "no tokenizer": lambda model: (model / "tokenizer.json").unlink(),
    "settings of the tokenizer that are a list": write("tokenizer_config.json", b"[]"),
    "a size that is a word": lambda model: edit(model / "config.json", embedding_dim="x"),
    "a size below zero": lambda model: edit(model / "config.json", embedding_dim=-1),
    "an unknown architecture": lambda model: edit(model / "config.json", model_type="zzz"),
    "another task": lambda model: edit(model / "config.json", problem_type="regression"),
}


@pytest.mark.parametrize("case", MODELS, ids=lambda name: name.replace(" ", "-"))
def test_damaged_models(case, here, capsys, finished):
    folder, _ = finished
    shutil.copytree(folder / "run" / "model", here / "model")
    MODELS[case](here / "model")
    argv = ["predict", "--model", "model", "--input", str(folder / "ok.csv"), "--output", "out.csv"]
    assert "'model'" in refused(argv, capsys, here)


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


@pytest.mark.parametrize(
    "dump",
    [lambda path: path.write_bytes(pickle.dumps(Evil(), protocol=2)), lambda path: torch.save(Evil(), path)],
    ids=["pickle", "torch"],
)
def test_weights_that_would_run_code_are_refused_without_a_hint_how_to_run_it(dump, here, capsys, finished):
    folder, _ = finished
    shutil.copytree(folder / "run" / "model", here / "model")
    (here / "model" / "model.safetensors").unlink()
    dump(here / "model" / "pytorch_model.bin")
    argv = ["predict", "--model", "model", "--input", str(folder / "ok.csv"), "--output", "out.csv"]
    told = refused(argv, capsys, here)
    assert "which is not run; save them as safetensors" in told
    assert "weights_only" not in told
    assert not (here / "hacked").exists()


IN_THE_WAY = [
    "metrics.jsonl",
    "timing.jsonl",
    "checkpoints",
    "epochs",
    "predictions",
    "model",
    "report.html",
    "README.md",
]


@pytest.mark.parametrize("name", IN_THE_WAY)
def test_what_stands_in_the_way_of_a_run_is_named(name, here, capsys, finished):
    folder, argv = finished
    shutil.copytree(folder / "run", here / "run")
    path = here / "run" / name
    (here / "run" / "summary.json").unlink()
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("a file")
    else:
        path.unlink()
        path.mkdir()
        (path / "inside").touch()
    code = main([word.replace(str(folder / "run"), "run") for word in argv])
    told = capsys.readouterr().err.splitlines()[-1]
    assert code in (0, 2), told
    if code:
        assert told.startswith("error: run/")
        assert "move it away" in told


INPUTS = {
    "a column twice": (".csv", b"text,text\na,b\n", "every column once"),
    "a short row": (".csv", b"text,x\na,b\nc\n", "row 1 (counted from 0): expected 2 fields"),
    "latin-1": (".csv", "text\ncaf\xe9\n".encode("latin-1"), "set --encoding"),
    "the name of what is added": (".csv", b"text,confidence\na,1\n", "rename them"),
    "brackets without end": (".jsonl", b"[" * 100_000, "line 1: expected a JSON object"),
    "a number beyond all": (".jsonl", b'{"text":"a","x":' + b"9" * 30 + b"}", "expected values of one kind under 'x'"),
    "a number of 6,000 digits": (".jsonl", b'{"text":"a","x":' + b"9" * 6000 + b"}", "line 1"),
    "kinds that change": (
        ".jsonl",
        b'{"text":"a","x":1}\n{"text":"b","x":"y"}\n',
        "expected values of one kind under 'x'",
    ),
    "numbers as texts": (".jsonl", b'{"text":3}\n', "expected text in column 'text'"),
    "half a parquet": (".parquet", b"PAR1abcPAR1", "can't be read"),
    "nothing": (".csv", b"", "expected a header and rows, got an empty file"),
}


@pytest.mark.parametrize("case", INPUTS, ids=lambda name: name.replace(" ", "-"))
def test_inputs_of_predict(case, here, capsys, finished):
    suffix, content, message = INPUTS[case]
    (here / f"in{suffix}").write_bytes(content)
    argv = ["predict", "--model", str(finished[0] / "run"), "--input", f"in{suffix}", "--output", "out.csv"]
    told = refused(argv, capsys, here)
    assert told.startswith(f"error: in{suffix}: ")
    assert message in told
