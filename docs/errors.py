"""Write docs/errors.md from the errors that the library raises: `python docs/errors.py`.

Messages are read from the source, so that none is forgotten; their causes and cures are in error_cures.py.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from error_cures import CURES

PACKAGE = Path(__file__).parent.parent / "taichisoft"
PAGE = Path(__file__).parent / "errors.md"
# What one was doing, in the order of a program, by the beginning of the module's path; the first that fits.
TOPICS = {
    "Starting: the backend": ("base/backend",),
    "Making a mesh": (
        "geometry/mesh",
        "geometry/attributes",
        "geometry/assigned",
        "geometry/material",
        "geometry/look",
        "geometry/packing",
        "geometry/joining",
        "engine/job",
    ),
    "Loading and saving files": ("files/",),
    "Placing a camera; rotations": ("cameras/", "geometry/rotations"),
    "Textures, lights and background": ("appearance/", "engine/shaded"),
    "Loading and saving a softness": ("softness/file", "softness/registry", "softness/pretrained"),
    "Choosing a softness": ("softness/", "diagnosis/"),
    "Differentiating": ("engine/bridge", "engine/transformed", "render/reference"),
    "Rendering": ("render/", "engine/", "base/memory"),
    "Fitting and losses": ("fitting/", "geometry/"),
    "Finding a pose": ("poses/",),
    "Any call: what an argument is": ("",),
}
INTRODUCTION = """# Errors

Every error that the library raises, with its cause and its cure, ordered by what one was doing. A message
names the argument, what was expected and what came; words in *italics* stand for what is filled in. Checks
that many functions share are [at the end](#any-call-what-an-argument-is). This page is generated from the
source (`python docs/errors.py`).
"""


@dataclass(frozen=True, order=True)
class Raised:
    """An error: its type and message, with placeholders as words in braces."""

    message: str
    kind: str


def raised(path: Path) -> Iterator[Raised]:
    """Yield the errors that a module raises with a message of its own."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            yield Raised(_template(node.exc.args[0]), ast.unparse(node.exc.func))


def by_topic() -> dict[str, list[Raised]]:
    """Return all errors by topic, each once."""
    found: dict[str, set[Raised]] = {topic: set() for topic in TOPICS}
    seen: set[Raised] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if module.startswith(("engine/kernels/", "cli/", "shapes/", "__main__")):
            continue
        topic = next(t for t, starts in TOPICS.items() if module.startswith(starts))
        errors = set(raised(path)) - seen
        found[topic] |= errors
        seen |= errors
    return {topic: sorted(errors) for topic, errors in found.items()}


def cure(error: Raised) -> tuple[str, str, str]:
    """Return the pattern, cause and cure of an error.

    Raises
    ------
    LookupError
        There is none: add one to error_cures.py.
    """
    for entry in CURES:
        if re.search(entry[0], error.message):
            return entry
    raise LookupError(f"no cure in docs/error_cures.py for: {error.message}")


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for topic, errors in by_topic().items():
        parts.append(f"## {topic}\n")
        cured: dict[tuple[str, str, str], list[Raised]] = {}
        for error in errors:
            cured.setdefault(cure(error), []).append(error)
        for (_, cause, remedy), messages in cured.items():
            lines = [f"- `{error.kind}`: {_in_words(error.message)}" for error in messages]
            parts.append(
                "\n".join(lines) + f"\n\n    **Cause.** {cause}\n\n    **Cure.** {remedy}\n"
            )
    return "\n".join(parts)


def _template(node: ast.expr) -> str:
    """Return a message with each placeholder as a word in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return _template(node.left) + _template(node.right)
    source = ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node)
    words = [
        w for w in re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'", "", source)) if w not in PLUMBING
    ]
    return "{" + (words[-1].strip("_") if words else "value") + "}"


# Of an expression that fills a placeholder, names that say nothing.
PLUMBING = {
    "tuple",
    "type",
    "len",
    "str",
    "sorted",
    "join",
    "tolist",
    "item",
    "for",
    "in",
    "min",
    "max",
    "self",
}
PLUMBING |= {"__name__", "arch_name", "repr", "title"}


def _in_words(message: str) -> str:
    escaped = re.sub(r"([*_\[\]<>|])", r"\\\1", message)
    named = re.sub(r"\{([^}]*)\}", lambda m: "*" + m[1].replace("\\_", " ").lower() + "*", escaped)
    # Two that follow each other would be one, with the asterisks between them.
    return named.replace("**", "* *")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
