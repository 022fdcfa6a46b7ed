"""GLB: the lengths of its chunks, and the triangles of its scene."""

from __future__ import annotations

import json
import struct
from typing import Any

from taichisoft.files.stated import Stated

TRIANGLES = 4


def stated_glb(content: bytes) -> Stated:
    """Check that a GLB file is whole.

    Raises
    ------
    ValueError
        It is shorter or longer than it states, or its JSON cannot be read.
    """
    if len(content) < 20 or content[:4] != b"glTF":
        raise ValueError("the file does not begin as a GLB file does")
    version, length, size, kind = struct.unpack("<II I4s", content[4:20])
    if version != 2:
        raise ValueError(f"the version must be 2, got {version}")
    if length != len(content):
        raise ValueError(f"{length} bytes are stated, got {len(content)}")
    if kind != b"JSON" or 20 + size > length:
        raise ValueError("the first chunk must be JSON, and end within the file")
    return Stated(content, _triangles(json.loads(content[20 : 20 + size])))


def _triangles(tree: dict[str, Any]) -> int | None:
    """Return the number of triangles in the scene, None if some primitives are of another kind."""
    scenes = tree.get("scenes")
    if not scenes:
        return None
    left, seen, total = list(scenes[tree.get("scene", 0)].get("nodes", [])), 0, 0
    while left:
        node = tree["nodes"][left.pop()]
        seen += 1
        if seen > len(tree["nodes"]):
            raise ValueError("a node of the scene has two parents")
        left += node.get("children", [])
        primitives = tree["meshes"][node["mesh"]]["primitives"] if "mesh" in node else ()
        for primitive in primitives:
            mode = primitive.get("mode", TRIANGLES)
            if mode > TRIANGLES:
                return None
            if mode == TRIANGLES:
                attributes = primitive["attributes"]
                index = primitive.get("indices", attributes.get("POSITION"))
                total += tree["accessors"][index]["count"] // 3
    return total
