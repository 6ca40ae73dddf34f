from textmix.report import Material, write_report

SECTIONS = [
    "Accuracy and proper scores", "Calibration", "Temperature", "Answering only when sure", "Out of distribution",
    "Classes", "Confident mistakes", "Over the epochs", "Settings and versions",
]  # fmt: skip


def test_has_every_part_in_order(written, material, outline):
    page = outline((written / "report.html").read_text())
    assert page.headings == [material.name, *SECTIONS]
    assert page.tags.count("svg") == 5
    assert [line[3:] for line in (written / "README.md").read_text().splitlines() if line.startswith("## ")] == SECTIONS


def test_what_is_missing_is_left_out(material, tmp_path, outline):
    bare = {key: value for key, value in material.summary.items() if "test" not in key and "temperature" not in key}
    for key in ("intervals", "null_band", "selective"):
        bare[key] = {"validation": bare[key]["validation"]}
    write_report(Material("bare", {**bare, "ood": {}}, validation=material.validation), tmp_path)
    page = outline((tmp_path / "report.html").read_text())
    assert page.headings == [
        "bare",
        *[s for s in SECTIONS if s not in {"Temperature", "Out of distribution", "Over the epochs"}],
    ]
    assert "On 600 validation examples" in (tmp_path / "report.html").read_text()
    write_report(Material("numbers alone", material.summary), tmp_path)
    assert outline((tmp_path / "report.html").read_text()).tags.count("svg") == 0
