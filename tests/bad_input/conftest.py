import pytest
from bad_input_kit import csv

from textmix.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, which tests copy."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "ok.csv").write_bytes(csv())
    argv = ["train", "--data.path", str(folder / "ok.csv"), "--output_dir", str(folder / "run"), "--train.epochs", "1",
            "--model.embedding_dim", "4", "--model.num_filters", "2", "--eval.resamples", "100",
            "--train.threads", "1"]  # fmt: skip
    assert main(argv) == 0
    return folder, argv
