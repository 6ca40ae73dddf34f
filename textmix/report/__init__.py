"""Reports: the summary of a run, its tables, report.html and the model card."""

from textmix.report.material import Material
from textmix.report.summary import summarise
from textmix.report.table import metric_rows, text_table
from textmix.report.write import make_report, write_report

__all__ = [
    "Material",
    "make_report",
    "metric_rows",
    "summarise",
    "text_table",
    "write_report",
]
