"""What `mkdocs` does besides: parts of the README, links from names to the API, and no foreign hosts."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parent.parent
# ``<!-- readme: Heading -->`` or ``<!-- readme: Heading / First words of a paragraph -->`` in a page.
PART = re.compile(r"^<!-- readme: (?P<heading>[^/\n]+?)(?: / (?P<start>.+?))? -->$", re.MULTILINE)
LINK_TO_FILE = re.compile(r"\[(?P<text>[^\]]+)\]\((?!https?:|#)(?P<path>[^)]+)\)")
# A name in running text, as in docstrings; those of modules and functions with their package.
NAME = re.compile(
    r"<code>(?P<name>(?:ts|taichisoft)\.[a-z][\w.]*|(?:ts\.)?[A-Z]\w*(?:\.\w+)?)(?:\([^<]*\))?</code>"
)
ALREADY_LINKED = re.compile(r"(<a\b.*?</a>|<h[1-6]\b.*?</h[1-6]>|<pre\b.*?</pre>)", re.DOTALL)
FOREIGN = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//"
)


def on_page_markdown(markdown: str, page, **_) -> str:
    """Put in the parts of the README that a page asks for."""
    return PART.sub(lambda found: readme_part(*found.group("heading", "start")), markdown)


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


def readme_part(heading: str, start: str | None = None) -> str:
    """Return what stands in the README below a heading, or of that the paragraphs from some words on.

    The paragraph that begins with these words is followed by those up to the next one that begins in bold.
    Links to files of the repository, which are not in the site, become their paths.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^##+ (.+?)\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL))
    if heading not in sections:
        raise PluginError(f"README.md has no heading {heading!r}")
    part = sections[heading].strip()
    if start is not None:
        found = re.search(rf"^{re.escape(start)}.*?(?=\n\n\*\*|\Z)", part, re.MULTILINE | re.DOTALL)
        if found is None:
            raise PluginError(f"{heading!r} of README.md has no paragraph {start!r}")
        part = found.group()
    return LINK_TO_FILE.sub(r"\g<text> (`\g<path>`)", part)


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
