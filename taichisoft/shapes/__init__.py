"""Procedural meshes: deterministic, in torch's default dtype, facing outwards, within the unit sphere.

The y axis points up. The objects are centred on their bounding box, their largest radius is 1
and they face +z. They have several closed parts that overlap, no face without area, and no
rotational symmetry, so that a silhouette tells their orientation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.basic import cube, icosphere, quad, torus, triangle
from taichisoft.shapes.furniture import chair, lamp
from taichisoft.shapes.organic import blob, boot
from taichisoft.shapes.tools import bracket, hammer, key, wrench
from taichisoft.shapes.vehicles import airplane, car
from taichisoft.shapes.vessels import mug, teapot

OBJECTS: Mapping[str, Callable[[], Mesh]] = MappingProxyType(
    {
        "airplane": airplane,
        "blob": blob,
        "boot": boot,
        "bracket": bracket,
        "car": car,
        "chair": chair,
        "hammer": hammer,
        "key": key,
        "lamp": lamp,
        "mug": mug,
        "teapot": teapot,
        "wrench": wrench,
    }
)
"""The asymmetric objects by name; each value makes the mesh without arguments."""

__all__ = [
    "OBJECTS",
    "airplane",
    "blob",
    "boot",
    "bracket",
    "car",
    "chair",
    "cube",
    "hammer",
    "icosphere",
    "key",
    "lamp",
    "mug",
    "quad",
    "teapot",
    "torus",
    "triangle",
    "wrench",
]
