"""The page as a model card: markdown under the metadata that the Hugging Face Hub reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from textmix.config import PACKAGED
from textmix.report.material import Material
from textmix.report.page import Page, Section
from textmix.report.table import escape_markdown, main_part, markdown_table, saved_part

HUB_METRICS = ("accuracy", "nll", "brier", "ece", "oe")
"""Metrics of the summary that go into the metadata."""
_ON_THE_HUB = {f"{PACKAGED}minilm": "sentence-transformers/all-MiniLM-L6-v2"}
_FILES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".gz")


def render_card(page: Page, material: Material) -> str:
    """Return the text of README.md: metadata, how to load the model, and what report.html says."""
    parts = [f"---\n{metadata(material)}\n---", f"# {escape_markdown(page.title)}"]
    parts += [escape_markdown(paragraph) for paragraph in page.lead]
    if material.has_model:
        parts.append(_usage(material))
    for section in page.sections:
        parts.append(_section(section))
    parts.append(escape_markdown(page.footer))
    return "\n\n".join(parts) + "\n"


def metadata(material: Material) -> str:
    """Return the YAML head of a model card: task, data set and base model where the Hub has them, licence, metrics."""
    data, model = material.config.get("data", {}), material.config.get("model", {})
    dataset = _hub_id(data.get("path"))
    base = _hub_id(model.get("path")) if model.get("name") == "pretrained" else None
    results = [
        EvalResult(
            task_type=_task(material),
            dataset_type=dataset or "other",
            dataset_name=dataset or Path(str(data.get("path", material.name)).removeprefix(PACKAGED)).name,
            dataset_split=main_part(material.summary),
            metric_type=name,
            metric_value=material.summary[saved_part(material.summary)][name],
        )
        for name in HUB_METRICS
    ]
    card = ModelCardData(
        base_model=base,
        datasets=[dataset] if dataset else None,
        license=material.summary.get("license"),
        library_name="transformers" if material.has_model else None,
        metrics=list(HUB_METRICS),
        model_name=material.name,
        pipeline_tag=_task(material),
        tags=["textmix", "calibration", *(["mixup"] if _mixed(material.config) else [])],
        eval_results=results,
    )
    return card.to_yaml(line_break="\n")


def _mixed(config: Mapping[str, Any]) -> bool:
    mixup = config.get("mixup", {})
    return bool(mixup) and mixup.get("site") != "none" and mixup.get("alpha", 0) > 0


def _hub_id(path: str | None) -> str | None:
    """Return the name on the Hub of what lies at `path`; None where it is a file, a folder or a packaged corpus."""
    path = _ON_THE_HUB.get(str(path), path)
    if path is None or path.startswith((PACKAGED, "/", ".", "~")) or Path(path).exists() or path.count("/") > 1:
        return None
    return None if path.endswith(_FILES) else path  # the report may be written again where the file is not


def _task(material: Material) -> str:
    images = material.config.get("data", {}).get("image_column") is not None
    return "image-classification" if images else "text-classification"


def _usage(material: Material) -> str:
    own = material.config.get("model", {}).get("name") != "pretrained"
    cut = ", truncation=True" if _task(material) == "text-classification" else ""
    lines = ["import textmix.models  # registers the architecture with the Auto classes"] if own else []
    lines += [
        "from transformers import pipeline",
        "",
        f'classify = pipeline("{_task(material)}", model="model"{cut})  # the folder beside this file',
    ]
    return "```python\n" + "\n".join(lines) + "\n```"


def _section(section: Section) -> str:
    parts = [f"## {section.title}"]
    parts += [escape_markdown(paragraph) for paragraph in section.paragraphs]
    parts += [f"*{chart.title} (in report.html).* {escape_markdown(chart.description)}" for chart in section.charts]
    for table in section.tables:
        parts += [f"**{escape_markdown(table.caption)}**", markdown_table(table.rows)]
    return "\n\n".join(parts)
