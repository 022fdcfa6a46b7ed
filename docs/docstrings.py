"""What is changed in docstrings for the API pages, so that they are right and read well there."""

from __future__ import annotations

import re

import griffe

# ``a, b : type`` and its description. Griffe would give all of them the default of the first.
TOGETHER = re.compile(
    r"^(?P<names>\w+(?:, \w+)+)(?P<type> : [^\n]*)?\n(?P<text>(?:[ ]+\S[^\n]*\n?|\n(?=[ ]))+)",
    re.MULTILINE,
)
# Otherwise these would be shown as tuples: ``Tensor, (F, 3)``, and ``float, Positive or (C,)``.
SHAPE = re.compile(
    r"(?:(?<= : )|^)(Tensor|array|Parameter|Parameter or buffer), (?=\()", re.MULTILINE
)
KIND = r"(?:\w+|\([^()]*\))"
CHOICE = re.compile(rf"(?<= : ){KIND}(?:, {KIND})+ or {KIND}$", re.MULTILINE)
BETWEEN = re.compile(r", (?![^(]*\))")
# A type is code as a whole.
TICKS = re.compile(r"^(?:\w+(?:, \w+)* : |Tensor, ).*``.*$", re.MULTILINE)


class Readable(griffe.Extension):
    """Describe every argument on its own, and say *of shape*."""

    def on_instance(self, *, obj: griffe.Object, **_) -> None:
        """Change the docstring of an object."""
        if obj.docstring is not None:
            text = TICKS.sub(lambda found: found[0].replace("``", ""), obj.docstring.value)
            text = SHAPE.sub(r"\1 of shape ", text)
            text = CHOICE.sub(lambda found: BETWEEN.sub(" or ", found[0]), text)
            obj.docstring.value = TOGETHER.sub(_apart, text)


def _apart(found: re.Match) -> str:
    names, kind, text = found.group("names"), found.group("type") or "", found.group("text")
    return "".join(f"{name}{kind}\n{text.rstrip()}\n" for name in names.split(", "))
