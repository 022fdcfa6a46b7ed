"""Mesh files: OBJ, PLY, STL, GLB and OFF, read and written through trimesh.

trimesh is imported where it is used: it takes a third of the time of importing everything else.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.base.checks import check_dtype, check_type
from taichisoft.files.glb import stated_glb
from taichisoft.files.obj import stated_obj
from taichisoft.files.off import stated_off
from taichisoft.files.ply_mesh import read_ply_mesh
from taichisoft.files.stated import Stated, check_numbers
from taichisoft.files.stl import stated_stl
from taichisoft.geometry.mesh import Mesh

SUFFIXES = (".obj", ".ply", ".stl", ".glb", ".off")
"""File formats by suffix, upper or lower case."""

# Which formats hold colours of what.
HOLDING = {"vertex": (".obj", ".ply", ".glb"), "face": (".ply",)}
# Of a mesh without a batch axis.
AXES = {"vertices": 2, "vertex_colors": 2, "face_colors": 2, "vertex_opacity": 1, "face_opacity": 1}

CHECKS = {".stl": stated_stl, ".glb": stated_glb, ".off": stated_off}


def load_mesh(
    path: str | os.PathLike,
    *,
    normalize: bool = False,
    merge: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Mesh:
    """Read a mesh from an OBJ, PLY, STL, GLB or OFF file.

    The parts of a scene are moved to their places and joined, polygons are cut into triangles.

    Parameters
    ----------
    path : str or path
        The suffix tells the format.
    normalize : bool
        Centre the mesh on its bounding box and scale it to a largest radius of 1.
    merge : bool
        Join vertices that agree in every coordinate, colour and opacity. GLB repeats vertices along
        the seams of textures and normals, where a mesh that is optimised would tear. STL, which
        repeats the corners of every triangle, is always merged. Otherwise vertices and their
        order are those of the file.
    dtype : torch.dtype
        Of vertices, colours and opacity, float32 or float64.

    Returns
    -------
    Mesh
        On the CPU. Colours of vertices or faces, where the file has them, are RGB in [0, 1], read
        with 8 bits; of RGBA the last becomes the opacity, unless all are opaque. Textures are not
        read, see `load_textured_mesh`.

    Raises
    ------
    FileNotFoundError
        No such file.
    TypeError
        ``path`` or ``dtype`` of a wrong type.
    ValueError
        Unknown suffix, a damaged file, or a file without vertices or without faces.
    """
    path = check_path(path, SUFFIXES)
    check_type(normalize, "normalize", bool)
    check_type(merge, "merge", bool)
    check_dtype(dtype)
    check_exists(path)
    mesh = _read(path)
    if 0 in (mesh.num_vertices, mesh.num_faces):
        raise ValueError(
            f"path must hold a mesh with vertices and faces, got {mesh.num_vertices} vertices "
            f"and {mesh.num_faces} faces in {path}"
        )
    if merge or path.suffix.lower() == ".stl":
        mesh = merged(mesh)
    # normalised in float64, so that the result does not depend on where the mesh was
    return (mesh.normalized() if normalize else mesh).to(dtype=dtype)


def save_mesh(mesh: Mesh, path: str | os.PathLike) -> None:
    """Write a mesh to an OBJ, PLY, STL, GLB or OFF file, replacing an existing one.

    Parameters
    ----------
    mesh : Mesh
        One mesh with at least one face: no batch axes (``MeshBatch.split`` gives single meshes).
    path : str or path
        The suffix tells the format. Its folder must exist.

    Notes
    -----
    PLY, STL and GLB hold float32, OBJ and OFF decimals (12 digits after the point). Colours and
    opacity are rounded to 8 bits. Vertex colours go into OBJ (without opacity), PLY and GLB, face
    colours into PLY; elsewhere they are left out. Opacity makes RGBA of them; a mesh without
    colours is white then.

    Raises
    ------
    FileNotFoundError
        The folder does not exist.
    TypeError
        ``mesh`` or ``path`` of a wrong type.
    ValueError
        Unknown suffix, a mesh with a batch axis or without faces, colours that are not RGB or
        RGBA in [0, 1], or an opacity that they cannot hold: of vertices with colours of faces (or
        the other way round), or beside RGBA.
    """
    check_type(mesh, "mesh", Mesh)
    path = check_path(path, SUFFIXES)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in an existing folder, got {path}")
    if mesh.num_faces == 0:
        raise ValueError("mesh must have at least one face to be saved, got none")
    for name, axes in AXES.items():
        value = getattr(mesh, name)
        if value is not None and value.ndim > axes:
            raise ValueError(f"mesh must not be batched, got {name} of shape {tuple(value.shape)}")
    import trimesh

    suffix = path.suffix.lower()
    data = {name: _saved_data(x) for name, x in (mesh.vertex_data or {}).items()}
    out: Any = trimesh.Trimesh(
        _to_numpy(mesh.vertices),
        _to_numpy(mesh.faces),
        process=False,
        vertex_attributes=data if suffix == ".ply" else None,
    )
    for kind, suffixes in HOLDING.items():
        colors = _saved_colors(mesh, kind) if suffix in suffixes else None
        if colors is not None:
            setattr(out.visual, f"{kind}_colors", _to_bytes(colors, f"{kind}_colors"))
    options = {"digits": 12} if suffix in (".obj", ".off") else {}
    out.export(path, file_type=suffix[1:], **options)


def _saved_data(value: torch.Tensor) -> np.ndarray:
    """Return numbers of a type that PLY has."""
    numbers = _to_numpy(value)
    if numbers.dtype.kind == "b":
        return numbers.astype(np.uint8)
    if numbers.dtype == np.int64 and (numbers == numbers.astype(np.int32)).all():
        return numbers.astype(np.int32)
    return numbers


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


def _read(path: Path) -> Mesh:
    suffix = path.suffix.lower()
    if suffix == ".ply":
        with damage_named(path):
            return read_ply_mesh(path.read_bytes(), path)
    if suffix == ".obj":
        check: Callable[[bytes], Stated] = partial(stated_obj, textured=False)
        return _to_mesh(read_stated(path, check, maintain_order=True))
    return _to_mesh(read_stated(path, CHECKS[suffix]))


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Raise ValueError that names the file for whatever a parser raises, which may be anything."""
    try:
        yield
    except Exception as error:
        what = str(error) or type(error).__name__
        raise ValueError(
            f"path must be a readable {path.suffix.lower()} file, got {path}: {what}"
        ) from error


def read_stated(path: Path, check: Callable[[bytes], Stated], **options: Any) -> Any:
    """Return what trimesh makes of a file, after a check, with as many faces as the file states.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    content = path.read_bytes()
    with damage_named(path):
        stated = check(content)
        with warnings.catch_warnings():  # of numbers that are refused below
            warnings.simplefilter("ignore")
            import trimesh

            loaded: Any = trimesh.load(
                BytesIO(stated.content),
                file_type=path.suffix.lower()[1:],
                force="mesh",
                process=False,
                **options,
            )
            _check_loaded(loaded, stated)
    return loaded


def _check_loaded(loaded: Any, stated: Stated) -> None:
    """Raise ValueError for numbers, indices or a number of faces that cannot be."""
    if not hasattr(loaded, "faces") or len(loaded.faces) == 0:
        return
    check_numbers(np.asarray(loaded.vertices), np.asarray(loaded.faces))
    if stated.triangles is not None and len(loaded.faces) != stated.triangles:
        raise ValueError(
            f"{stated.triangles} triangles are stated, and {len(loaded.faces)} were read"
        )


def _to_mesh(loaded: Any) -> Mesh:
    """Return the float64 mesh with the colours that trimesh found."""
    import trimesh

    # releases of trimesh differ in what they return when there is nothing to return
    if not isinstance(loaded, trimesh.Trimesh):
        return Mesh(torch.empty(0, 3, dtype=torch.float64), torch.empty(0, 3, dtype=torch.int64))
    colors: dict[str, Any] = {}
    if loaded.visual.defined and loaded.visual.kind in ("vertex", "face"):
        kind = loaded.visual.kind
        rgb, opacity = from_bytes(getattr(loaded.visual, f"{kind}_colors"))
        colors = {f"{kind}_colors": rgb, f"{kind}_opacity": opacity}
    return Mesh(
        torch.tensor(loaded.vertices, dtype=torch.float64),
        torch.tensor(loaded.faces, dtype=torch.int64).reshape(-1, 3),
        **colors,
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
    )


def from_bytes(colors: np.ndarray) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return RGB, (N, 3), and opacity, (N,), or None if all is opaque, of (N, 4) bytes, in [0, 1]."""
    values = torch.tensor(colors, dtype=torch.float64) / 255
    return values[:, :3], None if (colors[:, 3] == 255).all() else values[:, 3]


def _saved_colors(mesh: Mesh, kind: str) -> torch.Tensor | None:
    """Return what of a mesh is saved as colours of vertices or faces, or None."""
    colors, opacity = getattr(mesh, f"{kind}_colors"), getattr(mesh, f"{kind}_opacity")
    if opacity is None:
        return colors
    if colors is None:
        if mesh.vertex_colors is not None or mesh.face_colors is not None:
            raise ValueError(
                f"{kind}_opacity must come with {kind}_colors to be saved, got colours of the other kind"
            )
        colors = opacity.new_ones(len(opacity), 3)
    if colors.shape[1] != 3:
        raise ValueError(
            f"{kind}_colors must be RGB to be saved with {kind}_opacity, got {colors.shape[1]} channels"
        )
    return torch.cat([colors, opacity[:, None]], 1)


def _to_bytes(colors: torch.Tensor, name: str) -> np.ndarray:
    values = _to_numpy(colors)
    if values.shape[1] not in (3, 4):
        raise ValueError(f"{name} must be RGB or RGBA to be saved, got {values.shape[1]} channels")
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"{name} must be in [0, 1] to be saved, got {values.min():g} to {values.max():g}"
        )
    return np.round(values * 255).astype(np.uint8)


def _to_numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
