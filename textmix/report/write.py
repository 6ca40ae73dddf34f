"""From material to files: report.html and README.md."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from textmix.files import write_text
from textmix.report import details, sections
from textmix.report.card import render_card
from textmix.report.html import render_html
from textmix.report.material import Material, read_run
from textmix.report.page import Page, Section
from textmix.report.words import lead
from textmix.run_files import as_written

SECTIONS = (
    sections.quality,
    sections.calibration,
    sections.temperature,
    sections.selective,
    sections.out_of_distribution,
    details.classes,
    details.mistakes,
    details.training,
    details.settings,
)
"""The parts of a report, in reading order; one that has nothing to show returns None."""


def build_page(material: Material) -> Page:
    """Lay out the report of `material`."""
    made: list[Section | None] = [make(material) for make in SECTIONS]
    return Page(
        title=material.name,
        lead=lead(material.summary),
        sections=tuple(section for section in made if section is not None),
        footer=f"Written by textmix {version('textmix')}.",
    )


def write_report(material: Material, folder: Path) -> None:
    """Write report.html and the model card README.md into `folder`; each replaces the old one whole."""
    page = build_page(material)
    write_text(folder / "report.html", render_html(page))
    write_text(folder / "README.md", render_card(page, material))


def make_report(folder: Path, summary: Mapping[str, Any] | None = None) -> None:
    """Write the report and the card of the run in `folder`, from its files.

    :param summary: of a run that has not written its own yet.
    :raises InputError: there is no summary, or a file can't be read.
    """
    material = read_run(folder, summary)
    if summary is not None:
        write_report(material, folder)
        return
    with as_written(folder):
        write_report(material, folder)
