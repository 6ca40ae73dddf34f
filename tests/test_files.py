import os
import re
from pathlib import Path

import pytest

import textmix
from textmix.errors import InputError
from textmix.files import check_file, local_path, replacing, write_text


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/runs/a") == tmp_path / "runs" / "a"
    assert local_path("runs/~a") == Path("runs/~a")
    with pytest.raises(InputError, match=r"^~nobody-at-all/x: expected a path, got a home folder that is not there"):
        local_path("~nobody-at-all/x")


def test_no_option_becomes_a_path_without_it():
    sources = {path: path.read_text(encoding="utf-8") for path in Path(textmix.__file__).parent.rglob("*.py")}
    unexpanded = {str(path) for path, source in sources.items() if re.search(r"\bPath\((config|sweep)\.", source)}
    assert not unexpanded


def test_what_is_no_file_is_told(tmp_path):
    for path, got in ((tmp_path, "got a folder; name a file in it"), (tmp_path / "a", "found none")):
        with pytest.raises(InputError, match=f"^{re.escape(str(path))}: expected a file of texts, {got}\\.$"):
            check_file(path, "a file of texts")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        InputError, match="pipe: expected a file of texts, got a pipe or a device; write it to a file first"
    ):
        check_file(tmp_path / "pipe", "a file of texts")
    (tmp_path / "a").touch()
    check_file(tmp_path / "a", "a file of texts")


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "summary.json"
    write_text(path, "old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        reader = path.open()
    assert path.read_text() == "new"
    assert reader.read() == "old"  # whoever had opened the old file reads it to its end
    reader.close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_body_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "summary.json"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made_and_text_is_utf8(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.md", "naïve ∑")
    assert (tmp_path / "a" / "b" / "c.md").read_bytes().decode("utf-8") == "naïve ∑"
