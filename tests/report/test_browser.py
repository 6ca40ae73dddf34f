"""The report in a real browser: nothing overflows on a desk or on a phone, and no text becomes markup."""

import json
import os
import re
import shutil
import subprocess
from html import unescape

import pytest

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
      elements: page.querySelectorAll("script, img, iframe, object, link, a").length,
      ran: frame.contentWindow.ran === true,
      svgs: [...page.querySelectorAll("svg")].map(s => s.getBoundingClientRect().width),
      text: page.body.innerText.includes("<" + "script>window.ran = true<" + "/script>"),
    };
  };
  document.getElementById("result").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
});
</script>"""


@pytest.fixture
def measured(written, tmp_path):
    if CHROMIUM is None:
        reason = "no browser to look at the report with: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    shutil.copy(written / "report.html", tmp_path)
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


def test_fits_desk_and_phone_and_runs_nothing(measured, material):
    desk, phone = measured
    for page in measured:
        assert page["wider"] == []
        assert page["title"] == material.name
        assert page["elements"] == 0
        assert page["text"]
        assert not page["ran"]
        assert len(page["svgs"]) >= 4
        assert max(page["svgs"]) <= page["width"]
    assert phone["width"] <= 390 < desk["width"]
    assert min(phone["svgs"]) >= 300
