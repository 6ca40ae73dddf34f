import base64
import json
import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from textmix.errors import InputError
from textmix.files import write_text
from textmix.predictions import save, save_thumbnails
from textmix.report import make_report, write_report
from textmix.report.details import worst_mistakes


def run_folder(material, folder):
    write_text(folder / "summary.json", json.dumps(material.summary))
    write_text(folder / "config.yaml", yaml.safe_dump(dict(material.config), sort_keys=False))
    steps = [{"event": "train", "loss": 1.0}, *({"event": "validation", **record} for record in material.history)]
    write_text(folder / "metrics.jsonl", "\n".join(json.dumps(step) for step in steps))
    (folder / "predictions").mkdir()
    (folder / "epochs").mkdir()
    (folder / "model").mkdir()
    save(material.test, folder / "predictions" / "test.parquet")
    save(material.validation, folder / "predictions" / "validation.parquet")
    for name, predictions in material.ood.items():
        save(predictions, folder / "predictions" / f"ood_{name}.parquet")
    for epoch, (confidence, correct) in material.epochs.items():
        pq.write_table(pa.table({"confidence": confidence, "correct": correct}), folder / "epochs" / f"{epoch}.parquet")


def test_a_run_folder_gives_the_same_report_again(material, tmp_path):
    folder = tmp_path / "tweets-3"
    run_folder(material, folder)
    make_report(folder)
    direct = tmp_path / "direct"
    write_report(replace(material, name="tweets-3"), direct)
    for name in ("report.html", "README.md"):
        assert (folder / name).read_text() == (direct / name).read_text()


def test_a_run_on_images_shows_them_again(material, tmp_path, outline):
    worst, _, _ = worst_mistakes(material.test)
    pictures = {material.test.ids[row]: f"picture {row}".encode() for row in worst[1:]}
    folder = tmp_path / "run"
    run_folder(material, folder)
    save_thumbnails(pictures, folder / "predictions" / "thumbnails.parquet")
    make_report(folder)
    html = (folder / "report.html").read_text()
    shown = re.findall(r'<img src="data:image/png;base64,([^"]+)"', html)
    assert [base64.b64decode(data) for data in shown] == [pictures[material.test.ids[row]] for row in worst[1:]]
    assert "picture" not in (folder / "README.md").read_text()
    assert outline(html).tags.count("img") == len(worst) - 1


def test_a_folder_that_is_no_finished_run_is_refused(material, tmp_path):
    with pytest.raises(InputError, match="summary of a finished run"):
        make_report(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(InputError, match=r"summary.json: expected JSON"):
        make_report(tmp_path)
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(InputError, match=r"expected a JSON object, got list"):
        make_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
