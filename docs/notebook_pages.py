"""The notebooks as pages of the site, with the outputs that are kept in them. Nothing is executed.

A hook of `mkdocs`. Formulas become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "notebooks"
REPOSITORY = "https://github.com/taichisoft/taichisoft/blob/main/notebooks"
# Code, which is left as it is, or a formula of its own or in a line.
FORMULA = re.compile(r"(?P<code>`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+)\$", re.DOTALL)
# What stands for a formula until the page is HTML: letters that Markdown has no use for.
MARK = re.compile("formula(block|inline)x([0-9a-f]+)x")
LINK = re.compile(r"\(\.\./notebooks/(\w+)\.ipynb\)")
# Characters that fit beside both sidebars of a screen of 1280 pixels.
LINE = 100


@dataclass(frozen=True)
class NotebookPage:
    """A notebook as Markdown.

    Parameters
    ----------
    name : str
        Of the file, without its suffix.
    text : str
        Markdown, in which a mark stands for each formula.
    pictures : dict of bytes
        PNG files by name.
    """

    name: str
    text: str
    pictures: dict[str, bytes]


def page_of(path: Path) -> NotebookPage:
    """Return the page of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_text(source))
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [_output(output, path.stem, pictures) for output in cell["outputs"]]
    parts.insert(1, f"The notebook [`{path.name}`]({REPOSITORY}/{path.name}), with its outputs.")
    return NotebookPage(path.stem, "\n\n".join(parts) + "\n", pictures)


def on_files(files, config, **_):
    """Add the pages and their pictures."""
    from mkdocs.structure.files import File

    for path in sorted(FOLDER.glob("[0-9]*.ipynb")):
        page = page_of(path)
        files.append(File.generated(config, f"notebooks/{page.name}.md", content=page.text))
        for name, picture in page.pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """Link to the pages where the text links to the files, as it does for readers of the repository."""
    return LINK.sub(r"(notebooks/\1.md)", markdown)


def on_page_content(html: str, **_) -> str:
    """Put MathML in the place of the marks."""
    return MARK.sub(lambda found: _mathml(*found.groups()), html)


def _text(source: str) -> str:
    return FORMULA.sub(_marked, source.replace(".ipynb)", ".md)"))


def _marked(found: re.Match) -> str:
    if found["code"] is not None:
        return found["code"]
    formula = found["block"] or found["inline"]
    kind = "block" if found["block"] else "inline"
    return f"formula{kind}x{formula.encode().hex()}x"


def _mathml(kind: str, formula: str) -> str:
    from latex2mathml.converter import convert

    return convert(bytes.fromhex(formula).decode(), display=kind)


def _output(output: dict, name: str, pictures: dict[str, bytes]) -> str:
    """Return what a cell printed, or its picture, which is added to those of the page."""
    if output["output_type"] == "stream":
        return _printed("".join(output["text"]).rstrip())
    data = output["data"]
    if "image/png" not in data:
        return _printed("".join(data["text/plain"]))
    file = f"{name}_{len(pictures) + 1}.png"
    pictures[file] = base64.b64decode("".join(data["image/png"]))
    return f"![picture {len(pictures)} of the notebook]({file})"


def _printed(text: str) -> str:
    """Return what was printed; long lines are wrapped, while tables stay aligned and scroll on a phone."""
    long = max(map(len, text.splitlines()), default=0) > LINE
    return f"``` {{ .text{' .output' if long else ''} }}\n{text}\n```"
