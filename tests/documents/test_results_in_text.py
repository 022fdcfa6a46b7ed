"""Numbers of results/ in the pages are those of today."""

from __future__ import annotations

import re
import runpy

import pytest

from tests.helpers import ROOT

with pytest.MonkeyPatch.context() as patch:
    # As for the script, and for mkdocs.
    patch.syspath_prepend(ROOT / "docs")
    HOOK = runpy.run_path(str(ROOT / "docs" / "results_in_text.py"))
PAGES = {path: path.read_text("utf-8") for path in HOOK["pages"]()}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_has_the_numbers_of_today(path):
    assert HOOK["filled"](PAGES[path]) == PAGES[path], "run python docs/results_in_text.py"


def test_every_number_is_used():
    used = {name for text in PAGES.values() for name in re.findall(r"<!--r ([\w.]+)-->", text)}
    assert used == set(HOOK["values"]())


def test_a_stale_number_is_replaced():
    name, number = next(iter(HOOK["values"]().items()))
    assert HOOK["filled"](f"<!--r {name}-->\n\nold\n\n<!--/r-->") == (
        f"<!--r {name}-->\n\n{number}\n\n<!--/r-->"
    )


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError):
        HOOK["filled"]("<!--r nothing.such-->1<!--/r-->")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_number_begins_a_line(path):
    """Markdown would end the paragraph before it."""
    assert not re.search(r"^ *<!--r [\w.]+-->\S", PAGES[path], flags=re.MULTILINE)
