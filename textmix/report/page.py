"""What a page is made of, before it is HTML or markdown, and how numbers are written on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from textmix.figures import Chart
from textmix.report.table import Row

NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Table:
    """Rows under a caption; columns named in `words` hold text and stand to the left.

    A `stacked` table turns each row into a block where the screen is narrow. `pictures` are PNG files, one a row, that
    stand before it where the page can show them; None is a row without one.
    """

    caption: str
    rows: Sequence[Row]
    words: tuple[str, ...] = ()
    stacked: bool = False
    pictures: Sequence[bytes | None] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, figures, tables."""

    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report: what a manager reads first, then the parts."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: str


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * share:.1f}{NO_BREAK}%"


def number(value: float) -> str:
    """Write a metric."""
    return f"{value:z.4f}"


def between(bounds: Sequence[float]) -> str:
    """Write an interval of metrics, in one piece."""
    return f"[{bounds[0]:.4f},{NO_BREAK}{bounds[1]:.4f}]"


def percent_range(bounds: Sequence[float]) -> str:
    """Write an interval of shares, in one piece."""
    return f"{100 * bounds[0]:.1f}{NO_BREAK}to{NO_BREAK}{percent(bounds[1])}"


def p_value(value: float) -> str:
    """Write a p-value; below a thousandth its digits say nothing."""
    return f"{value:.3f}" if value >= 0.001 else f"<{NO_BREAK}0.001"
