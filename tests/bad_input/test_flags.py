"""Options, paths and configurations that mean nothing."""

import os

import pytest
from bad_input_kit import refused, train

FLAGS = {
    "no such file": (["--data.path", "nothing.csv"], "nothing.csv"),
    "no such hub id": (["--data.path", "nobody/nothing"], "nobody/nothing"),
    "no such corpus": (["--data.path", "packaged:poems"], "packaged:tweets"),
    "an empty folder": (["--data.path", "empty"], "train"),
    "a link to itself": (["--data.path", "loop.csv"], "loop.csv"),
    "negative alpha": (["--mixup.alpha", "-1"], "mixup.alpha: expected a finite number >= 0, got -1.0."),
    "infinite alpha": (["--mixup.alpha", "inf"], "mixup.alpha"),
    "one row a batch": (["--mixup.alpha", "1", "--train.batch_size", "1"], "train.batch_size"),
    "no partner for the last epochs": (
        ["--mixup.alpha", "1", "--mixup.off_last_epochs", "10"],
        "mixup.off_last_epochs",
    ),
    "unknown key": (["--mixup.alfa", "1"], "did you mean mixup.alpha?"),
    "wrong type": (["--train.epochs", "many"], "train.epochs: expected an integer, got 'many'."),
    "no value": (["--train.epochs"], "train.epochs"),
    "unknown model": (["--model.name", "rnn"], "model.name: expected one of"),
    "a model without a path": (["--model.name", "pretrained"], "model.path"),
    "no such configuration": (["--config", "nothing.yaml"], "nothing.yaml"),
    "a path that is too long": (["--data.path", "a" * 5000], "too long"),
    "an output that is too long": (["--output_dir", "a" * 300], "too long"),
    "nobody's home": (["--data.path", "~nobody-is-here/x.csv"], "home folder"),
    "a pipe": (["--data.path", "pipe.csv"], "pipe.csv: expected a file or a folder, got a pipe or a device"),
    "a device": (["--data.path", "/dev/zero"], "/dev/zero: expected a file or a folder, got a pipe or a device"),
    "a file that can't be read": (
        ["--data.path", "unreadable.csv"],
        "unreadable.csv: can't be read (Input/output error)",
    ),
    "a folder called like a file": (["--data.path", "folder.csv"], "folder.csv: expected files such as train.csv"),
    "bytes that are no text": (["--data.path", "caf\udce9.csv"], "UTF-8"),
    "a NUL in a path": (["--data.path", "a\0.csv"], "without NUL"),
    "a URL with a token": (["--data.path", "https://me:hf_secret@hub/x"], "got a URL; download it first"),
    "a text of a million bins": (
        ["--eval.bins", "1000000"],
        "eval.bins: expected an integer in [1, 10000], got 1000000.",
    ),
    "a number beyond all": (["--data.max_length", "9" * 30], "data.max_length"),
    "a thousand processes": (["--train.workers", "9999"], "train.workers"),
    "a list for a section": (["--config", "list.yaml"], "data: expected options as `key: value`, got []."),
    "null for a number": (["--config", "null.yaml"], "null.yaml: data.split_seed: expected a value, got null"),
    "a key twice": (["--config", "twice.yaml"], "twice.yaml: train.epochs: expected every key once, got it twice"),
    "a section of nothing": (["--config", "bare.yaml"], "bare.yaml: expected options as `key: value`, got 'data:'."),
    "a name that YAML takes for false": (
        ["--config", "norway.yaml"],
        "norway.yaml: no: expected a name, got what YAML reads as bool; put it in quotes.",
    ),
    "aliases of aliases": (["--config", "bomb.yaml"], "bomb.yaml: expected at most 20 aliases"),
    "brackets without end": (["--config", "deep.yaml"], "deep.yaml: expected options"),
    "a configuration of bytes": (["--config", "bytes.yaml"], "bytes.yaml: expected YAML in UTF-8"),
    "an empty configuration": (
        ["--config", "empty.yaml"],
        "empty.yaml: expected options as `key: value`, got nothing.",
    ),
    "a configuration that includes itself": (["--config", "self.yaml"], "self.yaml"),
    "a configuration that runs code": (["--config", "code.yaml"], "code.yaml"),
    "a Hub id of three parts": (["--export.push_to_hub", "a/b/c"], "export.push_to_hub: expected a Hub id"),
    "output over a file": (["--output_dir", "a-file"], "a-file"),
    "output among other files": (["--output_dir", "empty/.."], "other files"),
}
YAML = {
    "list": b"data: []",
    "null": b"data:\n  split_seed: null\n",
    "twice": b"train:\n  epochs: 1\n  batch_size: 8\n  epochs: 2\n",
    "bare": b"data:\n",
    "norway": b"data:\n  label_names: {no: Norway}\n",
    "bomb": b"a: &a [1, 1]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)),
    "deep": b"[" * 5000,
    "bytes": b"\xff\xfe\0",
    "empty": b"",
    "self": b"config: self.yaml",
    "code": b"seed: !!python/object/apply:os.system ['touch hacked']",
}


@pytest.mark.parametrize("case", FLAGS, ids=lambda name: name.replace(" ", "-"))
def test_flags(case, here, capsys):
    (here / "empty").mkdir()
    (here / "a-file").write_text("mine")
    (here / "loop.csv").symlink_to("loop.csv")
    (here / "unreadable.csv").symlink_to("/proc/self/mem")  # for root, too
    (here / "folder.csv").mkdir()
    os.mkfifo(here / "pipe.csv")
    for name, text in YAML.items():
        (here / f"{name}.yaml").write_bytes(text)
    flags, message = FLAGS[case]
    assert message in refused(train(*flags), capsys, here)


def test_another_run_is_not_overwritten(here, capsys):
    (here / "run").mkdir()
    (here / "run" / "config.yaml").write_text("seed: 7\n")
    told = refused(train(), capsys, here)
    assert "calibration.bake is None there and True here" in told


@pytest.mark.parametrize(
    "argv", [["compare", "one"], ["compare", "one", "two"], ["report", "nothing"], ["fly"]], ids=str
)
def test_commands_without_what_they_need(argv, here, capsys):
    refused(argv, capsys, here)
