"""The page as one HTML file that needs nothing else: no network, no script, no second file."""

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from textmix.report.page import Page


def render_html(page: Page) -> str:
    """Return `page` as HTML. Every text is escaped; the SVG of the figures, which escapes its own, goes in as it is."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["base64"] = lambda data: b64encode(data).decode("ascii")
    return templates.get_template("report.html").render(vars(page))
