"""STL: binary ones of the length that they state, and those of text facet by facet."""

from __future__ import annotations

import struct

from taichisoft.files.stated import Stated, decoded, numbers

HEADER, FACET = 84, 50


def stated_stl(content: bytes) -> Stated:
    """Check an STL file; one of text is written plainly, as one solid.

    Raises
    ------
    ValueError
        A binary file of another length than it states, or text that is not valid.
    """
    facets = struct.unpack("<I", content[80:HEADER])[0] if len(content) >= HEADER else None
    if facets is not None and len(content) == HEADER + FACET * facets:
        return Stated(content, facets)
    if content.lstrip()[:5].lower() == b"solid" and b"\0" not in content:
        return _text(content)
    if facets is None:
        raise ValueError(f"a binary file has {HEADER} bytes or more, got {len(content)}")
    raise ValueError(
        f"{facets} faces are stated, which take {HEADER + FACET * facets} bytes, got {len(content)}"
    )


# What a line begins with, and what must have come before it.
BEFORE = {
    "solid": ("", "endsolid"),
    "facet": ("solid", "endfacet"),
    "outer": ("facet",),
    "endloop": ("vertex",),
    "endfacet": ("endloop",),
    "endsolid": ("solid", "endfacet"),
}


def _text(content: bytes) -> Stated:
    rows: list[str] = []
    last, facets = "", 0
    for number, line in enumerate(decoded(content).split("\n"), 1):
        words, where = line.split(), f"line {number}"
        if not words:
            continue
        word = words[0].lower()
        if word == "vertex" and last in ("outer", "vertex") and len(words) == 4:
            rows.append("vertex " + " ".join(map(repr, numbers(words[1:], where))))
        elif last not in BEFORE.get(word, ()):
            raise ValueError(f"{where} cannot be read: {line.strip()[:80]!r} after {last!r}")
        facets += word == "facet"
        if word == "endloop" and len(rows) != 3 * facets:
            raise ValueError(f"{where}: a face must have 3 corners")
        last = word
    if last != "endsolid":
        raise ValueError("the file ends before endsolid")
    return Stated("\n".join(["solid", *rows, "endsolid", ""]).encode(), facets)
