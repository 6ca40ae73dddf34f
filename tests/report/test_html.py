import re


def test_page_is_self_contained(written, outline):
    html = (written / "report.html").read_text()
    assert not {"script", "link", "img", "iframe", "object"} & set(outline(html).tags)
    assert not re.search(r'(src|href)="(?!#)', html)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_texts_and_labels_are_escaped_and_whole(written, material, outline):
    html = (written / "report.html").read_text()
    cells = outline(html).cells
    assert any("<script>window.ran = true</script>" in cell for cell in cells)
    assert "<b>neutral</b>" in cells
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in html
    card = (written / "README.md").read_text()
    assert "<script" not in card
    assert "](http" not in card
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in card
