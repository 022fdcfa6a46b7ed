"""What `mkdocs` does besides: links from names to the API, and no foreign hosts."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parent.parent
# A name in running text, as in docstrings; those of modules and functions with their package.
NAME = re.compile(
    r"<code>(?P<name>(?:ts|taichisoft)\.[a-z][\w.]*|(?:ts\.)?[A-Z]\w*(?:\.\w+)?)(?:\([^<]*\))?</code>"
)
ALREADY_LINKED = re.compile(r"(<a\b.*?</a>|<h[1-6]\b.*?</h[1-6]>|<pre\b.*?</pre>)", re.DOTALL)
FOREIGN = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//"
)


def on_page_content(html: str, **_) -> str:
    """Link the names of the library in running text to the API."""
    parts = ALREADY_LINKED.split(html)
    return "".join(part if i % 2 else NAME.sub(_linked, part) for i, part in enumerate(parts))


def on_post_page(output: str, page, **_) -> str:
    """Raise if a page would load anything from another host."""
    found = FOREIGN.search(output)
    if found:
        raise PluginError(f"{page.file.src_uri} loads from another host: {found.group()}")
    return output


# The tests see to it that the pages of the API show every public name.
PUBLIC = frozenset(
    name
    for page in (ROOT / "docs" / "api").glob("*.md")
    for name in re.findall(r"^::: taichisoft\.(\w+)$", page.read_text("utf-8"), re.MULTILINE)
)


def _linked(found: re.Match) -> str:
    name = found.group("name").removeprefix("ts.").removeprefix("taichisoft.")
    if name.split(".")[0] not in PUBLIC:
        return found.group()
    return f'<autoref identifier="taichisoft.{name}" optional>{found.group()}</autoref>'
