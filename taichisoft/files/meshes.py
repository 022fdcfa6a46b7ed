"""Reading mesh files: OBJ, PLY, STL, GLB, glTF and OFF.

trimesh is imported where it is used: it takes a third of the time of importing everything else.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.base.checks import check_dtype, check_type
from taichisoft.base.warn import warn_user
from taichisoft.files.gltf_mesh import read_gltf_mesh
from taichisoft.files.hard_edges import without_needless
from taichisoft.files.obj_mesh import read_obj_mesh
from taichisoft.files.off import stated_off
from taichisoft.files.ply_mesh import read_ply_mesh
from taichisoft.files.stated import check_numbers
from taichisoft.files.stl import stated_stl
from taichisoft.geometry.mesh import Mesh

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".gltf", ".off")
"""File formats by suffix, upper or lower case."""

CHECKS = {".stl": stated_stl, ".off": stated_off}


def load_mesh(
    path: str | os.PathLike,
    *,
    normalize: bool = False,
    merge: bool = False,
    materials: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Mesh:
    """Read a mesh from an OBJ, PLY, STL, GLB, glTF or OFF file, with its materials.

    The parts of a scene are moved to their places and joined, polygons are cut into triangles; points and
    lines are left out. MTL files, images and buffers are looked for beside the file.

    Parameters
    ----------
    path : str or path
        The suffix tells the format.
    normalize : bool
        Centre the mesh on its bounding box and scale it to a largest radius of 1.
    merge : bool
        Join vertices that agree in every coordinate, colour, opacity and ``vertex_data``. GLB repeats
        vertices along the seams of textures and normals, where a mesh that is optimised would tear. STL,
        which repeats the corners of every triangle, is always merged. Otherwise vertices and their
        order are those of the file.
    materials : bool
        Whether materials, their images and UV coordinates are read.
    dtype : torch.dtype
        Of vertices, colours, images and opacity, float32 or float64.

    Returns
    -------
    Mesh
        On the CPU. See the notes for what of a file it holds.

    Raises
    ------
    FileNotFoundError
        No such file.
    TypeError
        ``path`` or ``dtype`` of a wrong type.
    ValueError
        Unknown suffix, a damaged file, or a file without vertices or without faces; one that requires an
        extension of glTF that is not supported.

    Warns
    -----
    UserWarning
        An MTL file or an image that is not there, faces with an image but without UV coordinates (all are
        drawn without the image), or what of a file is left out.

    Notes
    -----
    Colours of vertices or faces are RGB, 1 for 255 of 8 bits and 65535 of 16; floats stay as they are. In
    OBJ, which does not say, they are from 0 to 255 if one is above 2, or if all are whole and one is above
    1. A fourth channel is the opacity, unless all are opaque. Other numbers of the vertices of a PLY file
    are in ``vertex_data``.

    Materials are base colours and opacity, with the numbers of the file (not made linear): of MTL ``Kd``,
    ``d`` or ``Tr``, ``map_Kd`` with its fourth channel as opacity, ``map_d``, ``-clamp``, and ``-s`` and
    ``-o``, which are in the coordinates; of glTF ``baseColorFactor``, ``baseColorTexture``, its sampler,
    ``COLOR_0``, and ``KHR_texture_transform``, which is in the coordinates. ``map_d`` is brought to the size
    of ``map_Kd`` and lies where it does; if both are one image, opacity is its fourth channel alone. What
    else is valid in an MTL file, and would change what is seen, is a warning. Faces without a material
    beside others have a white one. If no face of an OBJ file says which material it has, and there is one
    alone, all have that.

    Normals of OBJ, PLY and glTF say which edges are hard (``normal_faces``): corners at one place share a
    normal if they have the same in the file, to one degree, and the normals themselves follow from the faces.
    Those of STL are left out.

    ``alphaMode`` of glTF: with ``OPAQUE``, the default, opacity is left out; with ``MASK`` it is 1 from
    ``alphaCutoff`` on and else 0, of each texel and each vertex (times the factor). glTF compares their
    product, at each pixel; where a material has both, that is a warning. With ``BLEND`` it is as it stands.
    What has no material is opaque. Skins, morph targets (each a warning) and animations are not read.
    """
    path = check_path(path, SUFFIXES)
    check_type(normalize, "normalize", bool)
    check_type(merge, "merge", bool)
    check_type(materials, "materials", bool)
    check_dtype(dtype)
    check_exists(path)

    def tell(what: str) -> None:
        warn_user(f"{path}: {what}")

    mesh = read_mesh(path, tell, materials=materials)
    if merge or path.suffix.lower() == ".stl":
        mesh = merged(mesh)
    mesh = without_needless(mesh)
    # normalised in float64, so that the result does not depend on where the mesh was
    with damage_named(path):  # colours that float32 does not hold
        return (mesh.normalized() if normalize else mesh).to(dtype=dtype)


def check_path(path: str | os.PathLike, suffixes: tuple[str, ...]) -> Path:
    """Return a path if it ends in one of the suffixes, in upper or lower case."""
    check_type(path, "path", (str, os.PathLike))
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"path must end in one of {', '.join(suffixes)}, got {path.name!r}")
    return path


def check_exists(path: Path) -> None:
    """Raise FileNotFoundError unless there is such a file."""
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing file, got {path}")


def read_mesh(path: Path, tell: Callable[[str], None], *, materials: bool) -> Mesh:
    """Return the mesh in a file, in float64.

    Raises
    ------
    ValueError
        A damaged file, or one without vertices or faces.
    """
    suffix = path.suffix.lower()
    with damage_named(path):
        content = path.read_bytes()
        if suffix == ".obj":
            mesh = read_obj_mesh(content, path, tell, materials=materials)
        elif suffix in (".glb", ".gltf"):
            mesh = read_gltf_mesh(content, path, tell, materials=materials)
        elif suffix == ".ply":
            mesh = read_ply_mesh(content, tell)
        else:
            mesh = _read_stated(content, suffix)
    if 0 in (mesh.num_vertices, mesh.num_faces):
        raise ValueError(
            f"path must hold a mesh with vertices and faces, got {mesh.num_vertices} vertices "
            f"and {mesh.num_faces} faces in {path}"
        )
    return mesh


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Raise ValueError that names the file for whatever a parser raises, which may be anything."""
    try:
        yield
    except (ImportError, Warning):  # a warning if a program makes errors of them
        raise
    except Exception as error:
        what = _damage(error)
        raise ValueError(
            f"path must be a readable {path.suffix.lower()} file, got {path}: {what}"
        ) from error


def _damage(error: Exception) -> str:
    """Return what is wrong in a file, of what a parser raised."""
    if isinstance(error, KeyError):
        return f"{error} is missing in the file"
    if isinstance(error, IndexError):
        return f"something is missing in the file ({error})"
    return str(error) or type(error).__name__


def _read_stated(content: bytes, suffix: str) -> Mesh:
    """Return what trimesh makes of a file, after a check, with as many faces as the file states."""
    import trimesh

    stated = CHECKS[suffix](content)
    with warnings.catch_warnings():  # of numbers that are refused below
        warnings.simplefilter("ignore")
        loaded: Any = trimesh.load(
            BytesIO(stated.content), file_type=suffix[1:], force="mesh", process=False
        )
    # releases of trimesh differ in what they return when there is nothing to return
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        return Mesh(torch.empty(0, 3, dtype=torch.float64), torch.empty(0, 3, dtype=torch.int64))
    check_numbers(np.asarray(loaded.vertices), np.asarray(loaded.faces))
    if stated.triangles is not None and len(loaded.faces) != stated.triangles:
        raise ValueError(
            f"{stated.triangles} triangles are stated, and {len(loaded.faces)} were read"
        )
    return Mesh(
        torch.tensor(loaded.vertices, dtype=torch.float64),
        torch.tensor(loaded.faces, dtype=torch.int64),
    )


def merged(mesh: Mesh) -> Mesh:
    """Join equal vertices; those that stay keep their order."""
    data = mesh.vertex_data or {}
    rows = [mesh.vertices, mesh.vertex_colors, mesh.vertex_opacity, *data.values()]
    columns = [x.double().reshape(mesh.num_vertices, -1) for x in rows if x is not None]
    _, first, index = np.unique(
        torch.cat(columns, 1).numpy(), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    new_index = np.empty_like(order)
    new_index[order] = np.arange(len(order))
    kept = torch.from_numpy(first[order])

    def chosen(value: torch.Tensor | None) -> torch.Tensor | None:
        return None if value is None else value[kept]

    return replace(
        mesh,
        vertices=mesh.vertices[kept],
        faces=torch.from_numpy(new_index[index.reshape(-1)])[mesh.faces],
        vertex_colors=chosen(mesh.vertex_colors),
        vertex_opacity=chosen(mesh.vertex_opacity),
        vertex_data={name: value[kept] for name, value in data.items()} or None,
        uv_faces=mesh.faces if mesh.uv is not None and mesh.uv_faces is None else mesh.uv_faces,
    )
