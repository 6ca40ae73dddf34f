import pytest

from textmix.errors import InputError
from textmix.predictions import load_thumbnails, save_thumbnails


def test_pictures_come_back_in_their_order(tmp_path):
    pictures = {"b/1": b"\x89PNG", "a": b"", "☃": bytes(range(256))}
    save_thumbnails(pictures, tmp_path / "thumbnails.parquet")
    assert list(load_thumbnails(tmp_path / "thumbnails.parquet").items()) == list(pictures.items())


def test_no_file_is_no_pictures_and_another_file_is_refused(tmp_path):
    assert load_thumbnails(tmp_path / "thumbnails.parquet") == {}
    (tmp_path / "thumbnails.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"thumbnails.parquet: expected columns id and png"):
        load_thumbnails(tmp_path / "thumbnails.parquet")
