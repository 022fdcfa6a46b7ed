"""Files: whole ones of each format, ways to damage them, and what is left of what they state."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

Damage = Callable[[bytes, np.random.Generator], bytes]
# Words in the place of numbers.
NUMBERS = (
    "1e300",
    "-1e39",
    "nan",
    "inf",
    "-inf",
    "0",
    "-1",
    "99999999999999999999",
    "1e-320",
    "x",
    "",
)


def write_whole_files(folder: Path) -> list[Path]:
    """Write one mesh in every format and encoding, and return the paths."""
    mesh = trimesh.creation.icosphere(subdivisions=1)
    text = {"encoding": "ascii"}
    kinds = {
        "a.obj": {}, "b.ply": text, "c.ply": {}, "d.stl": {}, "e.stl": {"file_type": "stl_ascii"},
        "f.off": {}, "g.glb": {},
    }  # fmt: skip
    for name, options in kinds.items():
        mesh.export(folder / name, **options)
    quads = ["v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 0", "vt 0 0", "vt 1 1", "vn 0 0 1"]
    quads += ["f 1/1/1 2/2/1 3/1/1 4/2/1", "f -1 -2 \\", "-3", "f 4//1 3//1 2//1 1//1"]
    (folder / "h.obj").write_text("\n".join(quads) + "\n")
    return [folder / name for name in (*kinds, "h.obj")]


def truncated(content: bytes, generator: np.random.Generator) -> bytes:
    """Cut the end off."""
    return content[: generator.integers(len(content))]


def flipped(content: bytes, generator: np.random.Generator) -> bytes:
    """Change one to four bytes."""
    changed = bytearray(content)
    for place in generator.integers(len(content), size=generator.integers(1, 5)):
        changed[place] = generator.integers(256)
    return bytes(changed)


def without_a_line(content: bytes, generator: np.random.Generator) -> bytes:
    """Leave a line out."""
    lines = content.split(b"\n")
    del lines[generator.integers(len(lines))]
    return b"\n".join(lines)


def with_a_doubled_line(content: bytes, generator: np.random.Generator) -> bytes:
    """Write a line twice."""
    lines = content.split(b"\n")
    place = generator.integers(len(lines))
    return b"\n".join([*lines[: place + 1], *lines[place:]])


def with_another_number(content: bytes, generator: np.random.Generator) -> bytes:
    """Put a huge number, or none, in the place of a written one, or of four bytes where none is."""
    found = list(re.finditer(rb"-?\d+\.?\d*", content))
    if not found or (b"\0" in content and generator.random() < 0.8):
        place = int(generator.integers(max(len(content) - 4, 1)))
        number = struct.pack("<f", generator.choice([np.nan, np.inf, -3e38, 1e30]))
        return content[:place] + number + content[place + 4 :]
    one = found[generator.integers(len(found))]
    return content[: one.start()] + str(generator.choice(NUMBERS)).encode() + content[one.end() :]


DAMAGES: tuple[Damage, ...] = (
    truncated, flipped, without_a_line, with_a_doubled_line, with_another_number,
)  # fmt: skip


def triangles_stated(path: Path) -> int:
    """Return how many triangles a file that could be read states, as simply as can be.

    Not for polygons in PLY and OFF, of which `write_whole_files` writes none.
    """
    content = path.read_bytes()
    if path.suffix == ".glb":
        tree = json.loads(content[20 : 20 + struct.unpack("<I", content[12:16])[0]])
        return tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]]["count"] // 3
    text = content.decode("latin-1")
    if path.suffix == ".obj":
        joined = re.sub(r"\\[ \t]*\r?\n", " ", text)
        rows = [re.split(r"#", line)[0].split() for line in re.split(r"\r\n|\n|\r", joined)]
        return sum(len(row) - 3 for row in rows if row[:1] == ["f"])
    if path.suffix == ".ply":
        return int(re.search(r"element face (\d+)", text)[1])
    if path.suffix == ".off":
        return int(re.search(r"OFF\s+(?:#.*\s+)?\d+\s+(\d+)", text)[1])
    stated = struct.unpack("<I", content[80:84])[0]
    return stated if len(content) == 84 + 50 * stated else len(re.findall("endfacet", text, re.I))
