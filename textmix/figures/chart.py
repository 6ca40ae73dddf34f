"""What a figure is made of: one look, a description in words, and SVG that follows the page it stands on."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from textmix.files import replacing

INK, MUTED, GRID, BAND, PAPER = "#1b1f24", "#5b636d", "#d5d9de", "#dfe3e8", "#fefefe"
"""Text and axes; secondary marks; grid lines; areas of what is expected; ground."""
BLUE, ORANGE, GREEN, PURPLE = "#0b5cad", "#e08214", "#35978f", "#8073ac"
"""Data. They differ in lightness too, and never alone: each goes with a line style, a marker or a hatch."""

SERIES = (
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": ORANGE, "linestyle": "--", "marker": "s"},
    {"color": GREEN, "linestyle": ":", "marker": "^"},
    {"color": PURPLE, "linestyle": "-.", "marker": "D"},
)
"""How the first four series of a figure look; further ones begin again."""

WIDTH = 4.4
"""Width in inches: at the width of a phone, ten-point letters stay about ten points."""

_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", BAND: "band", PAPER: "paper",
              BLUE: "blue", ORANGE: "orange", GREEN: "green", PURPLE: "purple"}  # fmt: skip

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # names of files and runs may hold dollars; what is mathematics says so
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "svg.fonttype": "path",
    "svg.hashsalt": "textmix",
}
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""What keeps the date out of a file, for the formats that would write it."""


@contextmanager
def look() -> Iterator[None]:
    """Draw in the library's style, whatever the caller's settings, and put those back.

    A letter that the font lacks, in a name, is drawn as a box without a warning: the description has the name.
    """
    with matplotlib.style.context(_STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def legend_label(name: str) -> str:
    """Return `name` as a label that a legend shows: matplotlib leaves out those that begin with an underscore."""
    return f"\N{ZERO WIDTH SPACE}{name}" if name.startswith("_") else name


@dataclass(frozen=True)
class Chart:
    """A figure with its words: `title` says what it shows, `description` what there is to see, for those who can't."""

    name: str
    figure: Figure
    title: str
    description: str

    def svg(self) -> str:
        """Return an SVG element to put into a page.

        It scales to the width it is given, takes its colours from the page's variables (`--ink`, `--blue`, ...) where
        there are any, and is announced by its title and description. Its ids begin with `name`, so that several charts
        can stand on one page.
        """
        buffer = io.StringIO()
        with look():
            self.figure.savefig(buffer, format="svg")
        body = buffer.getvalue()[buffer.getvalue().index("<svg") :]
        body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", body)
        for colour, variable in _VARIABLES.items():
            body = body.replace(colour, f"var(--{variable}, {colour})")
        width, height = (72 * inches for inches in self.figure.get_size_inches())
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
            f'viewBox="0 0 {width:g} {height:g}" aria-labelledby="{self.name}-title {self.name}-description">\n'
            f'<title id="{self.name}-title">{escape(self.title)}</title>\n'
            f'<desc id="{self.name}-description">{escape(self.description)}</desc>'
        )
        return head + body[body.index(">") + 1 :].rstrip()

    def save(self, path: Path) -> None:
        """Write the figure in the format of the suffix of `path`: svg, png, pdf. Equal figures give equal files."""
        suffix = path.suffix[1:]
        with look(), replacing(path) as part:
            self.figure.savefig(part, format=suffix, dpi=200, facecolor=PAPER, metadata=_UNDATED.get(suffix))
