"""Write numbers of ``results/`` into the pages: ``python docs/results_in_text.py``. `mkdocs` does so, too.

It also takes pictures of that folder along, to which the pages link.

In a page ``<!--r NAME-->...<!--/r-->`` holds what belongs to a name, so that the page can be read as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from results_numbers import RESULTS, values

ROOT = Path(__file__).parent.parent
MARKED = re.compile(r"<!--r (?P<name>[\w. ]+)-->(?P<space>\s*).*?<!--/r-->", re.DOTALL)
PLACED = "<!--r {0}-->{2}{1}{2}<!--/r-->"

PICTURES = ("claim.png",)
PICTURE = re.compile(r"\]\(\.\./results/(?=[\w-]+\.png\))")


def filled(text: str) -> str:
    """Return a page with the numbers in their places.

    Raises
    ------
    KeyError
        A name that there is not.
    """
    known = values()
    return MARKED.sub(lambda m: PLACED.format(m["name"], known[m["name"]], m["space"]), text)


def on_files(files, config, **_):
    """Add the pictures."""
    from mkdocs.structure.files import File

    for name in PICTURES:
        content = (RESULTS / name).read_bytes()
        files.append(File.generated(config, f"results/{name}", content=content))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """Put the numbers of today into a page, and link to the pictures where they are in the site."""
    return PICTURE.sub("](results/", filled(markdown))


def pages() -> list[Path]:
    """Return the files that have such numbers: those of the site, and the README."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> None:
    """Write them into the pages."""
    for path in pages():
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
