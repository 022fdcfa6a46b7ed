"""The notebooks as pages of the documentation: nothing of them is lost. ``make docs`` converts formulas."""

from __future__ import annotations

import json
import re
import runpy

import pytest

from tests.helpers import ROOT

HOOK = runpy.run_path(str(ROOT / "docs" / "notebook_pages.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = {path.stem: HOOK["page_of"](path) for path in NOTEBOOKS}

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@each
def test_code_and_outputs_are_there(path):
    page = PAGES[path.stem]
    pictures = 0
    for cell in cells(path):
        if cell["cell_type"] == "code":
            assert "".join(cell["source"]) in page.text
        for output in cell.get("outputs", []):
            assert "".join(output.get("text", "")).rstrip() in page.text
            pictures += "image/png" in output.get("data", {})
    assert len(page.pictures) == pictures > 0
    assert all(f"]({name})" in page.text for name in page.pictures)
    assert all(data.startswith(b"\x89PNG") for data in page.pictures.values())


@each
def test_every_formula_is_marked(path):
    source = "\n\n".join("".join(c["source"]) for c in cells(path) if c["cell_type"] == "markdown")
    formulas = [
        a or b for a, b in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", source, flags=re.DOTALL)
    ]
    marks = HOOK["MARK"].findall(PAGES[path.stem].text)
    assert [bytes.fromhex(code).decode() for _, code in marks] == formulas
    fences = re.sub(r"```.*?```", "", PAGES[path.stem].text, flags=re.DOTALL)
    assert "$" not in fences


def test_a_dollar_in_code_stays():
    assert HOOK["_text"]("`a $b$ c` and $d$").startswith("`a $b$ c` and formulainlinex64x")


def test_links_go_to_pages():
    assert HOOK["_text"]("[x](01_softness.ipynb)") == "[x](01_softness.md)"
    link = HOOK["on_page_markdown"]("[x](../notebooks/01_softness.ipynb)")
    assert link == "[x](notebooks/01_softness.md)"


def test_all_are_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.findall(r"notebooks/(\w+)\.md", nav) == [path.stem for path in NOTEBOOKS]
