"""What a PLY file says of a mesh: positions, triangles, colours, and other numbers of vertices."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch

from taichisoft.files.colors import levels_of, with_opacity_apart
from taichisoft.files.hard_edges import with_normals_of
from taichisoft.files.ply import Table, read_ply
from taichisoft.files.stated import check_numbers
from taichisoft.geometry.mesh import Mesh

POSITION, NORMAL = ("x", "y", "z"), ("nx", "ny", "nz")
# What programs call the channels of colours.
COLORS = (
    ("red", "green", "blue", "alpha"),
    ("diffuse_red", "diffuse_green", "diffuse_blue", "diffuse_alpha"),
    ("r", "g", "b", "a"),
)


def read_ply_mesh(content: bytes, tell: Callable[[str], None]) -> Mesh:
    """Return the mesh in a PLY file, in float64. Polygons are cut into triangles.

    Parameters
    ----------
    content : bytes
    tell : callable
        Is told what is left out.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    tables = read_ply(content, tell)
    nothing = Table({}, np.empty((0, 3), np.int64), np.empty(0, np.int64))
    vertices, faces = tables.get("vertex", nothing), tables.get("face", nothing)
    if not all(name in vertices.columns for name in POSITION):
        return Mesh(torch.empty(0, 3, dtype=torch.float64), torch.empty(0, 3, dtype=torch.int64))
    positions = _matrix(vertices, POSITION)
    check_numbers(positions, faces.triangles)
    taken = names_taken(vertices.columns)
    look: dict[str, Any] = {}
    for kind, table in (("vertex", vertices), ("face", faces)):
        names = _color_names(table.columns)
        if not names:
            continue
        if look:
            tell("there are colours of vertices and of faces: those of faces are left out")
            continue
        levels = _levels(table, names)
        colors, opacity = with_opacity_apart(levels if kind == "vertex" else levels[table.rows])
        look = {f"{kind}_colors": colors, f"{kind}_opacity": opacity}
    lost = [name for name in faces.columns if name not in _color_names(faces.columns)]
    if lost:
        tell(f"numbers of faces are left out: {', '.join(lost)}")
    others = {n: _numbers(x) for n, x in vertices.columns.items() if n not in taken}
    mesh = Mesh(
        torch.from_numpy(positions.astype(np.float64)),
        torch.from_numpy(faces.triangles),
        vertex_data=others or None,
        **look,
    )
    if not taken.issuperset(NORMAL):
        return mesh
    return with_normals_of(mesh, _matrix(vertices, NORMAL).astype(np.float64)[faces.triangles])


def names_taken(names: Collection[str]) -> set[str]:
    """Return which names of numbers of vertices are read as positions, normals or colours."""
    normals = NORMAL if all(name in names for name in NORMAL) else ()
    return {*POSITION, *normals, *_color_names(names)}


def _color_names(names: Collection[str]) -> tuple[str, ...]:
    """Return the names of red, green, blue and, if there is one, alpha; of no colours none."""
    for channels in COLORS:
        if all(name in names for name in channels[:3]):
            return channels if channels[3] in names else channels[:3]
    return ()


def _levels(table: Table, names: tuple[str, ...]) -> np.ndarray:
    """Return colours in float64, of one type or of several."""
    kinds = {table.columns[name].dtype for name in names}
    if len(kinds) == 1:
        return levels_of(_matrix(table, names))
    return np.stack([levels_of(table.columns[name]) for name in names], -1)


def _matrix(table: Table, names: tuple[str, ...]) -> np.ndarray:
    columns = [table.columns[name] for name in names]
    return np.stack([column.astype(column.dtype.newbyteorder("=")) for column in columns], -1)


def _numbers(column: np.ndarray) -> torch.Tensor:
    """Return floats of their own type, and whole numbers of 64 bits."""
    own = column.dtype.newbyteorder("=")
    return torch.from_numpy(column.astype(own if own.kind == "f" else np.int64))
