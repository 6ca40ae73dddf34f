import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from textmix.figures import (
    accuracy_confidence_density,
    against_alpha,
    along,
    confidence_histograms,
    mixed_label_entropy,
    reliability_diagram,
    risk_coverage,
    soft_against_dominant,
)
from textmix.figures.chart import SERIES
from textmix.metrics import reliability_table

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(400, 3)) * 3, RNG.integers(0, 3, 400)
SHARES = RNG.uniform(size=50)
CURVE = np.array([[0.9, 0.88, 0.92], [0.91, 0.9, 0.93]])
EPOCHS = {e: (RNG.uniform(size=200).astype("f4"), RNG.uniform(size=200) < 0.5) for e in range(3)}

FIGURES = {
    "reliability": lambda: reliability_diagram(reliability_table(LOGITS, LABELS)),
    "density": lambda: accuracy_confidence_density(EPOCHS),
    "alpha": lambda: against_alpha([0, 0.4], {"accuracy": CURVE, "ECE": CURVE, "OE": CURVE}),
    "entropy": lambda: mixed_label_entropy({0.1: SHARES / 2, 1.0: SHARES}),
    "confidence": lambda: confidence_histograms({"a": {"in": SHARES, "noise": SHARES / 2}}),
    "risk-coverage": lambda: risk_coverage({"a": (np.arange(1, 1001) / 1000, np.linspace(0, 0.3, 1000))}),
    "soft-against-dominant": lambda: soft_against_dominant({"soft": {"ECE": (0.1, 0.0, 0.2)}}),
}
every_figure = pytest.mark.parametrize("name", FIGURES)


@every_figure
def test_svg_is_well_formed_and_says_what_it_shows(name):
    chart = FIGURES[name]()
    root = ET.fromstring(chart.svg())
    assert root.attrib["role"] == "img"
    title, description = list(root)[:2]
    assert (title.text, description.text) == (chart.title, chart.description)
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]
    assert any(c.isdigit() for c in chart.description)


@every_figure
def test_svg_is_self_contained_and_deterministic(name):
    svg = FIGURES[name]().svg()
    references = re.findall(r'href="([^"]*)"', svg) + re.findall(r"url\(([^)]*)\)", svg)
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert all(reference[0] == "#" and reference[1:] in ids for reference in references)
    assert all(i.startswith(f"{name}-") for i in ids)
    assert len(ids) == len(set(ids))
    assert "<script" not in svg
    assert "<metadata" not in svg
    assert FIGURES[name]().svg() == svg


@every_figure
def test_every_colour_follows_the_page(name):
    fixed = re.findall(r"(?<!, )#[0-9a-fA-F]{6}\b", FIGURES[name]().svg())
    assert fixed == []


@every_figure
def test_no_text_is_clipped_and_nothing_is_left_behind(name):
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 40, "axes.facecolor": "red"}):
        chart = FIGURES[name]()
        during = dict(mpl.rcParams)
        assert (during["font.size"], during["axes.facecolor"]) == (40, "red")
        svg = chart.svg()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
    assert "#ff0000" not in svg
    drawn = chart.figure.get_tightbbox()
    width, height = chart.figure.get_size_inches()
    assert drawn.x0 >= -0.01
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01


def test_words_that_look_like_markup_stay_words():
    chart = confidence_histograms({"<script>alert(1)</script>": {'a & "b"': SHARES}})
    svg = chart.svg()
    assert "<script" not in svg
    assert "<script>alert(1)</script>" in ET.fromstring(svg)[1].text


def test_names_with_dollars_underscores_or_chinese_letters_are_shown_as_they_are():
    chart = confidence_histograms(
        {"m$_$x": {"test": SHARES, "_noise": SHARES / 2, "\N{CJK UNIFIED IDEOGRAPH-4E2D}": SHARES}}
    )
    ET.fromstring(chart.svg())
    assert chart.figure.axes[0].get_title(loc="left") == "m$_$x"
    shown = [text.get_text().lstrip("\N{ZERO WIDTH SPACE}") for text in chart.figure.legends[0].texts]
    assert shown == ["test", "_noise", "\N{CJK UNIFIED IDEOGRAPH-4E2D}"]


def test_every_curve_has_its_name_in_the_legend():
    curve = SHARES, SHARES
    named = {"_a": CURVE, "b$_$": CURVE}
    for chart in (along(["1", "2"], {"ECE": named}, "epochs"), risk_coverage(dict.fromkeys(named, curve))):
        ET.fromstring(chart.svg())
        (legend,) = chart.figure.legends or [chart.figure.axes[0].get_legend()]
        assert [text.get_text().lstrip("\N{ZERO WIDTH SPACE}") for text in legend.texts] == ["_a", "b$_$"]


def test_series_differ_without_colour():
    assert len({(s["linestyle"], s["marker"]) for s in SERIES}) == len(SERIES)
    lightness = sorted(
        0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (mpl.colors.to_rgb(s["color"]) for s in SERIES)
    )
    assert lightness[-1] - lightness[0] > 0.2


def test_saves_in_the_format_of_the_suffix(tmp_path):
    chart = FIGURES["reliability"]()
    for suffix, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        chart.save(tmp_path / f"r.{suffix}")
        written = (tmp_path / f"r.{suffix}").read_bytes()
        assert written.startswith(magic)
        assert b"dc:date" not in written
        assert b"CreationDate" not in written
