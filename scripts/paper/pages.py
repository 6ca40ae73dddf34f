"""Put the tables' numbers into README.md, docs/guide.md and docs/results/default_recipe.md.

They come from the JSON files of docs/results, which `textmix sweep` wrote; run it as python scripts/paper/pages.py.
README has a pair of comments that hold the front table; the guide is the template guide.md.jinja, whose words are to be
read again when numbers change.
"""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from textmix.files import write_text
from textmix.report.table import Row, markdown_table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- front table: scripts/paper/pages.py -->", "<!-- end of the front table -->"

FIRST, RECIPE = "no mixup", "mixup 0.1"
"""The method that everything is compared with, and the one whose settings are the defaults of textmix."""
SHOWN = (FIRST, RECIPE, "mixup 0.4")
"""Methods of the front table."""
TABLES = {"cnn": "text_cnn", "lstm": "text_lstm", "minilm": "text_minilm", "methods": "minilm_methods",
          "select": "select", "ood": "ood", "sizes": "data_size", "alpha": "alpha", "vectors": "vectors"}  # fmt: skip
"""The tables of the guide, by the names that they have in its template."""
NAMES = {"trec": "TREC", "mr": "MR", "sst2": "SST-2", "subj": "Subj", "imdb": "IMDB"}
CHOSEN_ON = ("trec", "mr", "sst2", "subj")
"""Data sets on whose validation examples the recipe was chosen."""
OUTSIDE = {"trec": "TREC", "sst2": "SST-2", "tweets": "social-media texts", "bbc": "BBC News", "noise": "random tokens",
           "noise_embeddings": "Gaussian embeddings"}  # fmt: skip
"""What the out-of-distribution table is trained and tried on."""
DRAWN = ("25", "50", "100", "200")
"""Sizes of the parts of the validation set that the guide shows."""
LARGEST_LOSS = 0.02
"""Of test NLL, which the whole interval of the recipe's difference has to stay below."""
LARGEST_ECE = 0.01
LARGEST_DROP = {"trec": 0.01}
"""Of accuracy; 0.005 on other sets."""

Entry = Mapping[str, Any]


def rows_of(name: str) -> list[Entry]:
    """Return the rows of a table; none where it was not made yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_bytes())["rows"] if path.exists() else []


def front_table(rows: Sequence[Entry]) -> str:
    """Return the summary of the table of Kim CNN: a line for each data set and method."""
    return markdown_table([_front(row) for row in rows if row["method"] in SHOWN])


def _front(row: Entry) -> Row:
    raw, scaled = row, row["calibrated"]
    return {
        "data, n": f"{NAMES[row['data']]}, {row['n']:,}",
        "": row["method"],
        "accuracy": f"{raw['means']['accuracy']:.3f}",
        "ECE": f"{raw['means']['ece']:.3f}",
        "OE": f"{raw['means']['oe']:.3f}",
        "NLL": f"{raw['means']['nll']:.3f}",
        "ECE, T": f"{scaled['means']['ece']:.3f}",
        "NLL, T": f"{scaled['means']['nll']:.3f}",
        "less no mixup's NLL, T": _change(scaled),
    }


def _change(entry: Entry) -> str:
    found = entry["differences"].get("nll")
    return "" if found is None else f"{found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


def recipe_page(rows: Sequence[Entry]) -> str:
    """Return how far the default recipe keeps its bars: against no mixup, both after temperature scaling."""
    first = {(row["data"], row["model"]): row for row in rows if row["method"] == FIRST}
    own = [row for row in rows if row["method"] == RECIPE]
    table = [_bars(row, first[row["data"], row["model"]]) for row in own]
    lower = sum(row["calibrated"]["differences"]["nll"]["difference"] < 0 for row in own)
    told = (
        f"Written by `scripts/paper/pages.py`. The recipe is {RECIPE} ({_settings(own[0])}), its temperature fitted "
        f"on validation and baked into the model. It is compared with {FIRST} after temperature scaling, on test, "
        "over the seeds; both keep the epoch that is best on validation after scaling. "
        f"NLL: the 95 % interval of the difference ends below +{LARGEST_LOSS}, and the mean is below 0 "
        f"on at least half of the lines. ECE: the debiased one is at most {LARGEST_ECE}, or the mean over the seeds is "
        "no larger than the end of the band of a perfect model, on at least three of four data sets; IMDB is beyond "
        "these. Accuracy: at most a point lower on TREC, half a point elsewhere."
    )
    better = f"NLL is lower than without mixup on {lower} of {len(own)} lines."
    return "\n\n".join(["# The default recipe against its bars", told, markdown_table(table), better]) + "\n"


def _settings(row: Entry) -> str:
    return ", ".join(f"`{key}: {value}`" for key, value in row["changes"].items())


def _bars(row: Entry, first: Entry) -> Row:
    scaled, without = row["calibrated"], first["calibrated"]
    nll, accuracy = scaled["differences"]["nll"], scaled["differences"]["accuracy"]
    debiased, band = scaled["means"]["debiased_ece"], scaled["null_band"]
    calm = debiased <= LARGEST_ECE or scaled["means"]["ece"] <= band["high"]
    return {
        "data": NAMES[row["data"]],
        "model": row["model"],
        "seeds": str(len(row["seeds"])),
        "NLL": f"{without['means']['nll']:.3f} to {scaled['means']['nll']:.3f}",
        "difference": _change(scaled),
        f"below +{LARGEST_LOSS}": _kept(nll["high"] < LARGEST_LOSS),
        "ECE": f"{scaled['means']['ece']:.3f}",
        "perfect": f"{band['low']:.3f} to {band['high']:.3f}",
        "debiased": f"{debiased:.3f}",
        "calibrated": _kept(calm),
        "accuracy": f"{accuracy['difference']:+.4f}",
        "not lower": _kept(accuracy["difference"] >= -LARGEST_DROP.get(row["data"], 0.005)),
    }


def _kept(kept: bool) -> str:
    return "yes" if kept else "no"


def guide_page() -> str:
    """Return the guide with the numbers of the tables."""
    environment = Environment(  # noqa: S701 - the page is Markdown, and nothing in it comes from strangers
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["signed"] = signed
    environment.filters["change"] = lambda d: "{} [{}, {}]".format(*map(signed, (d["difference"], d["low"], d["high"])))
    environment.filters["plain"] = lambda value: f"{value:.3f}"
    tables = {variable: by_place(rows_of(name)) for variable, name in TABLES.items()}
    validation = {variable: _on_validation(rows_of(TABLES[variable])) for variable in ("cnn", "minilm")}
    needs = json.loads((RESULTS / "validation_size.json").read_bytes())
    return environment.get_template("guide.md.jinja").render(
        names=NAMES, outside=OUTSIDE, validation=validation, chosen_on=CHOSEN_ON, needs=needs, drawn=DRAWN, **tables
    )


def signed(value: float) -> str:
    """Return a number in three digits with its sign, without a zero before the point."""
    return f"{value:+.3f}".replace("0.", ".", 1)


def by_place(rows: Sequence[Entry]) -> dict[str, dict[str, Entry]]:
    """Return the rows of a table by data set, with the number of training texts where it has several, and method."""
    found: dict[str, dict[str, Entry]] = {}
    for row in rows:
        place = row["data"] if row["size"] == "all" else f"{row['data']} {row['size']}"
        found.setdefault(place, {})[row["method"]] = row
    return found


def _on_validation(rows: Sequence[Entry]) -> Mapping[str, float]:
    """Return each method's mean difference from no mixup in validation NLL after scaling, over :data:`CHOSEN_ON`."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["method"] != FIRST and row["data"] in CHOSEN_ON:
            change = row["validation"]["calibrated"]["differences"]["nll"]["difference"]
            found.setdefault(row["method"], []).append(change)
    return {method: statistics.fmean(changes) for method, changes in found.items()}


def with_front_table(readme: str, table: str) -> str:
    """Return README with the table between its two comments."""
    return re.sub(f"(?<={BEGIN}\n).*(?=\n{END})", lambda _: table, readme, flags=re.DOTALL)


def main() -> None:
    """Write all three."""
    cnn, minilm = rows_of("text_cnn"), rows_of("text_minilm")
    readme = ROOT / "README.md"
    write_text(readme, with_front_table(readme.read_text(encoding="utf-8"), front_table(cnn)))
    write_text(RESULTS / "default_recipe.md", recipe_page([*cnn, *minilm]))
    write_text(ROOT / "docs" / "guide.md", guide_page())


if __name__ == "__main__":
    main()
