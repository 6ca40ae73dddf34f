"""From results.json to a page: tables for each data set, model and size, in the terminal and in markdown."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from textmix.figures import Chart
from textmix.files import write_text
from textmix.report.table import DASH, Row, markdown_table, text_table
from textmix.sweep.charts import charts, size_charts
from textmix.sweep.grid import WHOLE

TITLES = {"nll": "NLL", "accuracy": "accuracy", "brier": "Brier", "ece": "ECE", "oe": "OE"}
TITLES |= {"over": "over", "under": "under"}
"""Metrics whose differences are shown, and their headings."""

_GROUP = ("data", "model", "size")
"""What the rows of a table share."""

_CAUTION = (
    "NLL is the primary measure. The others are secondary and many: among as many comparisons as these some intervals "
    "exclude zero by chance."
)

Entry = Mapping[str, Any]
"""A row of results.json, or its part `calibrated`."""


def text_page(results: Mapping[str, Any]) -> str:
    """Return the tables as the terminal shows them."""
    parts = []
    for title, rows in groups(results, *_GROUP):
        parts.append(f"{title}: {_counts(rows)}\n{text_table(metric_table(rows, results))}")
        parts += [f"{heading}\n{text_table(table)}" for heading, table in _other_tables(rows, results)]
    return "\n\n".join([*parts, _unfinished(results)]).rstrip()


def write_page(results: Mapping[str, Any], path: Path) -> None:
    """Write the page as markdown, and its figures as SVG beside it, all named after `path`."""
    parts = [f"# {results['sweep']}", _provenance(results), results["how"], _CAUTION, _unfinished(results)]
    for number, (title, rows) in enumerate(groups(results, *_GROUP)):
        parts += [f"## {title}", _counts(rows), markdown_table(metric_table(rows, results))]
        for heading, table in _other_tables(rows, results):
            parts += [heading, markdown_table(table)]
        parts += [_figure(chart, path, number) for chart in charts(rows)]
    for number, (title, rows) in enumerate(groups(results, "data", "model")):
        figures = [_figure(chart, path, number) for chart in size_charts(rows)]
        parts += [f"## {title}, by size", *figures] if figures else []
    write_text(path, "\n\n".join(part for part in parts if part) + "\n")


def groups(results: Mapping[str, Any], *kinds: str) -> list[tuple[str, list[Entry]]]:
    """Return the rows that agree in `kinds` (data, model, size), under a title."""
    found: dict[tuple[str, ...], list[Entry]] = {}
    for row in results["rows"]:
        found.setdefault(tuple(row[kind] for kind in kinds), []).append(row)
    return [(", ".join(name for name in names if name != WHOLE), rows) for names, rows in found.items()]


def metric_table(rows: Sequence[Entry], results: Mapping[str, Any]) -> list[Row]:
    """Return a row for each method, and one for it at the temperatures that validation asked for."""
    table = []
    for row in rows:
        table.append(_metrics(row["method"], row, row, results))
        if "calibrated" in row:
            mean = sum(row["temperatures"]) / len(row["temperatures"])
            table.append(_metrics(f"{row['method']}, T = {mean:.2f}", row, row["calibrated"], results))
    return table


def _metrics(name: str, row: Entry, entry: Entry, results: Mapping[str, Any]) -> Row:
    means, band = entry["means"], entry["null_band"]
    return {
        "method": name,
        "seeds": str(len(row["seeds"])),
        "accuracy": _number(means["accuracy"]),
        "NLL": _number(means["nll"]),
        f"NLL less {results['first']}'s": _change(entry["differences"], "nll"),
        "Brier": _number(means["brier"]),
        f"ECE ({results['bins']} bins)": _number(means["ece"]),
        "if perfect": f"{_number(band['low'])}{DASH}{_number(band['high'])}",
        "inside": f"{sum(band['inside'])} of {len(band['inside'])}",
        "debiased ECE": _number(means["debiased_ece"]),
        "ECE (100 bins)": _number(means["ece_100"]),
        "OE": _number(means["oe"]),
        "over": _number(means["over"]),
        "under": _number(means["under"]),
    }


def _other_tables(rows: Sequence[Entry], results: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Yield the differences from the first method, and what happens out of distribution, each under a heading."""
    raw = [(row["method"], row) for row in rows]
    scaled = [(row["method"], row["calibrated"]) for row in rows if "calibrated" in row]
    for heading, entries in (("raw", raw), ("after temperature scaling", scaled)):
        table = [_changes(method, entry) for method, entry in entries if entry["differences"]]
        if table:
            yield f"Difference from {results['first']}, {heading}, with 95 % intervals:", table
    outside = [_outside(row, name, entry) for row in rows for name, entry in row["ood"].items()]
    if outside:
        yield "Out of distribution, told from test examples by confidence:", outside


def _changes(method: str, entry: Entry) -> Row:
    return {"method": method} | {title: _change(entry["differences"], metric) for metric, title in TITLES.items()}


def _outside(row: Entry, name: str, entry: Entry) -> Row:
    return {
        "method": row["method"],
        "set": name,
        "n": f"{entry['n']:,}",
        "mean confidence": _with_interval(entry["mean_confidence"]),
        "difference": _change(entry["differences"], "mean_confidence"),
        "AUROC": _with_interval(entry["auroc"]),
        "AUROC, difference": _change(entry["differences"], "auroc"),
        "FPR95": _number(entry["fpr95"]),
    }


def _counts(rows: Sequence[Entry]) -> str:
    first = rows[0]
    train, validation = first["sizes"]["train"], first["sizes"]["validation"]
    told = f"{train:,} to train, {validation:,} to validate, n = {first['n']:,} {first['part']} examples."
    to_come = [
        f"{row['method']} (seeds {', '.join(map(str, row['missing_seeds']))})" for row in rows if row["missing_seeds"]
    ]
    return f"{told} Still to come: {'; '.join(to_come)}." if to_come else told


def _figure(chart: Chart, path: Path, number: int) -> str:
    file = path.with_name(f"{path.stem}-{number}-{chart.name}.svg")
    chart.save(file)
    return f"![{chart.title}]({file.name})\n\n{chart.description}"


def _provenance(results: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {' and '.join(found)}" for name, found in results["versions"].items())
    commits = ", ".join(revision[:12] for revision in results["git_revisions"]) or "unknown"
    return f"Generated by `textmix sweep`; configuration {results['config_hash']}, commit {commits}; {versions}."


def _unfinished(results: Mapping[str, Any]) -> str:
    planned, finished = results["runs"]["planned"], results["runs"]["finished"]
    return "" if planned == finished else f"{finished} of {planned} runs are finished."


def _number(value: float) -> str:
    return f"{value:.4f}"


def _with_interval(value: Mapping[str, float]) -> str:
    return f"{value['estimate']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _change(differences: Mapping[str, Mapping[str, float]], metric: str) -> str:
    if metric not in differences:
        return ""
    found = differences[metric]
    return f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
