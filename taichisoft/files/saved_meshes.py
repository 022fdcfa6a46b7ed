"""Writing mesh files: OBJ, PLY, STL, GLB, glTF and OFF."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.base.checks import check_type
from taichisoft.base.files import write_atomically
from taichisoft.base.warn import warn_user
from taichisoft.files.colors import to_bytes
from taichisoft.files.meshes import SUFFIXES, check_path
from taichisoft.files.ply_mesh import COLORS, POSITION, names_taken
from taichisoft.files.saved_gltf import gltf_files
from taichisoft.files.saved_obj import obj_files
from taichisoft.geometry.mesh import Mesh

# Of a mesh without a batch axis.
AXES = {
    "vertices": 2, "vertex_colors": 2, "face_colors": 2, "vertex_opacity": 1, "face_opacity": 1, "uv": 2,
}  # fmt: skip
# What files of each format hold, besides vertices and faces.
HOLDING = {
    ".obj": ("vertex_colors", "materials", "uv", "normal_faces"),
    ".ply": ("vertex_colors", "vertex_opacity", "face_colors", "face_opacity", "vertex_data"),
    ".glb": ("vertex_colors", "vertex_opacity", "materials", "uv", "normal_faces"),
    ".gltf": ("vertex_colors", "vertex_opacity", "materials", "uv", "normal_faces"),
    ".stl": (),
    ".off": (),
}
FIELDS = (*AXES, "vertex_data", "materials", "normal_faces", "face_objects")
RGBA = 4
PLY_DTYPES = (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float32, torch.float64,
)  # fmt: skip


def save_mesh(mesh: Mesh, path: str | os.PathLike) -> None:
    """Write a mesh to an OBJ, PLY, STL, GLB, glTF or OFF file, replacing an existing one.

    Parameters
    ----------
    mesh : Mesh
        One mesh with at least one face: no batch axes (``MeshBatch.split`` gives single meshes).
    path : str or path
        The suffix tells the format. Its folder must exist. Materials of ``mesh.obj`` are written to
        ``mesh.mtl``, images to ``mesh_0.png``, ``mesh_1.png`` and so on; images of ``mesh.gltf`` to
        ``mesh_gltf_0.png`` and so on, numbers to ``mesh.bin``. A GLB file holds all of it.

    Raises
    ------
    FileNotFoundError
        The folder does not exist.
    OSError
        A file cannot be written; each is as it was before, or whole.
    TypeError
        ``mesh`` or ``path`` of a wrong type.
    ValueError
        Unknown suffix, a mesh with a batch axis or without faces, colours that are not grey, RGB or
        RGBA or more than 0.5 outside of [0, 1], or an opacity that they cannot hold: of vertices with
        colours of faces (or the other way round), or beside RGBA; ``vertex_data`` with names or dtypes that
        a PLY file would not give back.

    Warns
    -----
    UserWarning
        Colours outside of [0, 1], as those of a fit may be, are clamped; or the format does not hold
        something of the mesh, which is left out.

    Notes
    -----
    PLY, STL, GLB and glTF hold float32, OBJ and OFF all digits (12 after the point in OFF). Colours, opacity
    of vertices and faces, and images are rounded to 8 bits. Grey becomes RGB. Vertex colours go into OBJ
    (without opacity), PLY, GLB and glTF, face colours into PLY. Opacity makes RGBA of them; a mesh
    without colours is white then.

    Materials, UV coordinates and hard edges, as normals, go into OBJ, GLB and glTF. OBJ has one wrap for
    u and v, and no mirror.
    ``mipmaps`` is how an image is drawn, and in no file. GLB and glTF sort faces by material and have rows
    of their own for the vertices of each, and along hard edges and seams of UV coordinates: ``load_mesh(...,
    merge=True)`` joins them.
    """
    check_type(mesh, "mesh", Mesh)
    path = check_path(path, SUFFIXES)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in an existing folder, got {path}")
    if mesh.num_faces == 0:
        raise ValueError("mesh must have at least one face to be saved, got none")
    check_single(mesh)
    suffix = path.suffix.lower()
    colors = colors_held(mesh, HOLDING[suffix])
    if suffix == ".ply":
        _check_data(mesh, colored="vertex" in colors)
    _tell_what_is_lost(mesh, path)
    if suffix == ".obj":
        files = obj_files(mesh, colors.get("vertex"), path)
    elif suffix in (".glb", ".gltf"):
        files = gltf_files(mesh, colors.get("vertex"), path)
    else:
        files = {path: _by_trimesh(mesh, colors, suffix)}
    for file, content in files.items():  # the one that names the others is the last
        write_atomically(file, partial(_write, content))


def check_single(mesh: Mesh) -> None:
    """Raise ValueError for a mesh with a batch axis."""
    for name, axes in AXES.items():
        value = getattr(mesh, name)
        if value is not None and value.ndim > axes:
            raise ValueError(f"mesh must not be batched, got {name} of shape {tuple(value.shape)}")


def _check_data(mesh: Mesh, *, colored: bool) -> None:
    """Raise ValueError for numbers of vertices that a PLY file would not give back."""
    data = mesh.vertex_data or {}
    written = {*POSITION, *(COLORS[0] if colored else ())}
    taken = written | names_taken({*written, *data})
    for name, value in data.items():
        if value.dtype not in PLY_DTYPES:
            raise ValueError(
                f"vertex_data[{name!r}] must be bool, float32, float64 or whole numbers to be saved, "
                f"got {value.dtype}"
            )
        if not name or " " in name or not (name.isascii() and name.isprintable()):
            raise ValueError(
                f"names of vertex_data must be one word of ASCII to be saved, got {name!r}"
            )
        if name in taken:
            raise ValueError(
                f"vertex_data must not be named {name!r} to be saved: it would be read as a position, normal "
                "or colour"
            )


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _tell_what_is_lost(mesh: Mesh, path: Path) -> None:
    suffix = path.suffix.lower()
    held = ("vertices", *HOLDING[suffix])
    lost = [name for name in FIELDS if getattr(mesh, name) is not None and name not in held]
    rgba = mesh.vertex_colors is not None and mesh.vertex_colors.shape[1] == RGBA
    if suffix == ".obj" and rgba:
        lost.append("the fourth channel of vertex_colors")
    if lost:
        warn_user(f"{suffix} files do not hold {', '.join(lost)}: left out of {path}")


def colors_held(mesh: Mesh, held: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the colours of vertices or faces as bytes, with opacity as a fourth channel.

    Parameters
    ----------
    mesh : Mesh
    held : tuple of str
        Which of ``vertex_colors``, ``vertex_opacity``, ``face_colors`` and ``face_opacity`` there may be.
    """
    found = {}
    for kind in ("vertex", "face"):
        names = [f"{kind}_{what}" for what in ("colors", "opacity") if f"{kind}_{what}" in held]
        colors, opacity = ([getattr(mesh, name) for name in names] + [None, None])[:2]
        if opacity is not None:
            colors = _with_opacity(mesh, kind, colors, opacity)
        if colors is not None:
            found[kind] = to_bytes(colors, f"{kind}_colors")
    return found


def _with_opacity(
    mesh: Mesh, kind: str, colors: torch.Tensor | None, opacity: torch.Tensor
) -> torch.Tensor:
    if colors is None:
        if mesh.vertex_colors is not None or mesh.face_colors is not None:
            raise ValueError(
                f"{kind}_opacity must come with {kind}_colors to be saved, got colours of the other kind"
            )
        colors = opacity.new_ones(len(opacity), 3)
    if colors.shape[1] == 1:
        colors = colors.expand(-1, 3)
    if colors.shape[1] != 3:
        raise ValueError(
            f"{kind}_colors must be RGB to be saved with {kind}_opacity, got {colors.shape[1]} channels"
        )
    return torch.cat([colors, opacity[:, None]], 1)


def _by_trimesh(mesh: Mesh, colors: dict[str, np.ndarray], suffix: str) -> bytes:
    import trimesh

    data: dict[str, Any] = {name: _saved_data(x) for name, x in (mesh.vertex_data or {}).items()}
    out: Any = trimesh.Trimesh(
        to_numpy(mesh.vertices),
        to_numpy(mesh.faces),
        process=False,
        vertex_attributes=data if suffix == ".ply" else None,
    )
    for kind, numbers in colors.items():
        setattr(out.visual, f"{kind}_colors", numbers)
    content = out.export(file_type=suffix[1:], **({"digits": 12} if suffix == ".off" else {}))
    return content.encode() if isinstance(content, str) else content


def _saved_data(value: torch.Tensor) -> np.ndarray:
    """Return numbers of a type that PLY has."""
    numbers = to_numpy(value)
    if numbers.dtype.kind == "b":
        return numbers.astype(np.uint8)
    if numbers.dtype == np.int64 and (numbers == numbers.astype(np.int32)).all():
        return numbers.astype(np.int32)
    return numbers


def to_numpy(value: torch.Tensor) -> np.ndarray:
    """Return the numbers of a tensor, wherever it is."""
    return value.detach().cpu().numpy()
