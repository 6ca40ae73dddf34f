"""The report in a real browser: nothing overflows on a desk or on a phone, and no text becomes markup."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from textmix.data.images.thumbnails import png
from textmix.report import write_report
from textmix.report.details import worst_mistakes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# The host page measures the report in frames as wide as a desk's and a phone's window; the report itself has no script.
HOST = """<!doctype html><body>
<iframe src="report.html" style="width:1280px;height:900px;border:0"></iframe>
<iframe src="report.html" style="width:390px;height:900px;border:0"></iframe>
<pre id="result"></pre>
<script>
addEventListener("load", () => {
  const measure = frame => {
    const page = frame.contentDocument;
    const boxes = [page.documentElement, ...page.querySelectorAll(".table, figure, p, h1, h2")];
    return {
      width: page.documentElement.clientWidth,
      wider: boxes.filter(b => b.scrollWidth > b.clientWidth).map(b => b.tagName + ": " + b.textContent.slice(0, 60)),
      title: page.title,
      elements: page.querySelectorAll("script, iframe, object, link, a").length,
      images: [...page.querySelectorAll("img")].map(i => i.naturalWidth),
      ran: frame.contentWindow.ran === true,
      svgs: [...page.querySelectorAll("svg")].map(s => s.getBoundingClientRect().width),
      text: page.body.innerText.includes("<" + "script>window.ran = true<" + "/script>"),
    };
  };
  document.getElementById("result").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
});
</script>"""


def measure(report, tmp_path):
    """Open the report in two frames and return what the browser says of each."""
    if CHROMIUM is None:
        reason = "no browser to look at the report with: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    shutil.copy(report, tmp_path / "report.html")
    (tmp_path / "host.html").write_text(HOST)
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        "--allow-file-access-from-files",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        (tmp_path / "host.html").as_uri(),
    ]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    result = re.search(r'<pre id="result">(.+?)</pre>', page, re.DOTALL)
    assert result is not None, page[-2000:]
    return json.loads(unescape(result[1]))


def test_fits_desk_and_phone_and_runs_nothing(written, material, tmp_path):
    desk, phone = pages = measure(written / "report.html", tmp_path)
    for page in pages:
        assert page["wider"] == []
        assert page["title"] == material.name
        assert page["elements"] == 0
        assert page["images"] == []
        assert page["text"]
        assert not page["ran"]
        assert len(page["svgs"]) >= 4
        assert max(page["svgs"]) <= page["width"]
    assert phone["width"] <= 390 < desk["width"]
    assert min(phone["svgs"]) >= 300


def test_thumbnails_are_shown_and_fit(material, tmp_path):
    worst, _, _ = worst_mistakes(material.test)
    test = replace(material.test, texts=None)
    pictures = {test.ids[row]: png(np.full((32, 64, 3), 9 * k)) for k, row in enumerate(worst)}
    (tmp_path / "made").mkdir()
    write_report(replace(material, test=test, thumbnails=pictures), tmp_path / "made")
    for page in measure(tmp_path / "made" / "report.html", tmp_path):
        assert page["wider"] == []
        assert page["images"] == [64] * len(worst)
