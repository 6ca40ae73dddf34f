"""Tables for the terminal and for markdown: one row a run."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, str]
"""A row of a table: the heading of each column, and the cell."""

DASH = "\N{EN DASH}"

_WIDE = 10_000  # columns; a table is never folded to the terminal's width


def metric_rows(summaries: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return a row for each named summary: accuracy, NLL, Brier, ECE with the band of a perfect model, OE.

    A run without a test set shows its validation set and says so; a temperature adds a row.
    """
    rows: list[Row] = []
    for name, summary in summaries.items():
        part = main_part(summary)
        shown = name if part == "test" else f"{name} (validation)"
        rows.append(_metric_row(shown, summary, part))
        calibrated = calibrated_part(summary)
        if calibrated is not None:
            rows.append(_metric_row(f"{shown}, T = {summary['temperature']:.2f}", summary, calibrated))
    return rows


def main_part(summary: Mapping[str, Any]) -> str:
    """Return the set of examples a summary speaks of first: `test`, or `validation` where there is no test."""
    return "test" if "test" in summary else "validation"


def calibrated_part(summary: Mapping[str, Any]) -> str | None:
    """Return the main part at the fitted temperature, as `test_calibrated`; None where no temperature is applied."""
    part = f"{main_part(summary)}_calibrated"
    return part if part in summary else None


def saved_part(summary: Mapping[str, Any]) -> str:
    """Return the measurements of the model as it was saved: those at its temperature where it is baked in."""
    calibrated = calibrated_part(summary)
    return calibrated if summary.get("baked") and calibrated else main_part(summary)


def unscaled(summary: Mapping[str, Any]) -> str:
    """Return the words for numbers that are not those of the model as it was saved; empty where they are."""
    return ", before the temperature" if saved_part(summary) != main_part(summary) else ""


def _metric_row(name: str, summary: Mapping[str, Any], part: str) -> Row:
    metrics = summary[part]
    band = summary["null_band"][part]["ece"]
    return {
        "run": name,
        "n": f"{metrics['n']:,.0f}",
        "accuracy": f"{metrics['accuracy']:.4f}",
        "NLL": f"{metrics['nll']:.4f}",
        "Brier": f"{metrics['brier']:.4f}",
        "ECE": f"{metrics['ece']:.4f}",
        "ECE if perfect": f"{band['low']:.4f}{DASH}{band['high']:.4f}",
        "OE": f"{metrics['oe']:.4f}",
    }


def text_table(rows: Sequence[Row]) -> str:
    """Lay out rows for the terminal: the first column to the left, numbers to the right."""
    return _lay_out(rows, box.SIMPLE_HEAD)


def markdown_table(rows: Sequence[Row]) -> str:
    """Lay out rows as markdown."""
    escaped = [{escape_markdown(heading): escape_markdown(cell) for heading, cell in row.items()} for row in rows]
    return _lay_out(escaped, box.MARKDOWN)


def escape_markdown(text: str) -> str:
    """Keep a text from being read as markup, be it HTML, a link, an image or a column, and on one line."""
    marked = re.sub(r"[\\`*|]|(?<=\])\(", r"\\\g<0>", escape(text, quote=False))
    return " ".join(marked.split())


def _lay_out(rows: Sequence[Row], style: box.Box) -> str:
    table = Table(box=style, show_edge=style is box.MARKDOWN)
    for k, heading in enumerate(rows[0]):
        table.add_column(Text(heading), justify="left" if k == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    buffer = StringIO()
    Console(file=buffer, width=_WIDE, color_system=None, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines() if line.strip())
