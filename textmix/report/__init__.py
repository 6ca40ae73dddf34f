"""Reports: the summary of a run, its tables, report.html and the model card."""

from textmix.report.material import Material, read_run, read_summary
from textmix.report.summary import describe, summarise
from textmix.report.table import markdown_table, metric_rows, text_table
from textmix.report.write import make_report, write_report

__all__ = [
    "Material",
    "describe",
    "make_report",
    "markdown_table",
    "metric_rows",
    "read_run",
    "read_summary",
    "summarise",
    "text_table",
    "write_report",
]
