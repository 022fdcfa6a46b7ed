"""Mesh files with one texture: OBJ, GLB and glTF, as a mesh and a `Texture`."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from taichisoft.appearance.texture import Texture
from taichisoft.base.checks import check_dtype, check_type
from taichisoft.base.warn import warn_user
from taichisoft.files.hard_edges import without_needless
from taichisoft.files.meshes import check_exists, check_path, merged, read_mesh
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.wrap import Wrap

SUFFIXES = (".obj", ".glb", ".gltf")
"""File formats that hold textures, by suffix, upper or lower case."""

_ALL_READ = "ts.load_mesh reads it with all of its materials"


def load_textured_mesh(
    path: str | os.PathLike,
    *,
    normalize: bool = False,
    wrap: Wrap | None = None,
    mipmaps: bool = False,
    dtype: torch.dtype = torch.float32,
) -> tuple[Mesh, Texture]:
    """Read a mesh and its only texture from an OBJ file, with the MTL and image beside it, or GLB or glTF.

    `load_mesh` reads files with any number of materials.

    Parameters
    ----------
    path : str or path
        The suffix tells the format.
    normalize : bool
        Centre the mesh on its bounding box and scale it to a largest radius of 1.
    wrap : Wrap, optional
        What is beyond the border of the texture. By default what the file says.
    mipmaps : bool
        Whether smaller versions of the texture are seen where it is finer than the pixels.
    dtype : torch.dtype
        Of vertices and texture, float32 or float64.

    Returns
    -------
    mesh : Mesh
        On the CPU, without colours, with the hard edges of the file. Vertices that agree in every coordinate
        are joined, since both formats repeat them along the seams of the texture, where a mesh that is
        optimised would tear.
    texture : Texture
        Of the coordinates of each corner. Its image is that of the diffuse or base colour, as the
        file has it (not made linear), RGB in [0, 1], times the factor of the material; its opacity is that of
        the material, see `load_mesh`.

    Raises
    ------
    FileNotFoundError
        No such file.
    TypeError
        An argument of a wrong type.
    ValueError
        Unknown suffix, a damaged file, one without faces, UV coordinates or an image, with several materials,
        or with two wraps where none is given.

    Warns
    -----
    UserWarning
        What of the file is missing or not read: so colours and opacity of vertices, which change the
        image, unless they are white and opaque.
    """
    path = check_path(path, SUFFIXES)
    check_type(normalize, "normalize", bool)
    check_type(wrap, "wrap", (Wrap, type(None)))
    check_dtype(dtype)
    check_exists(path)

    told: list[str] = []
    mesh = read_mesh(path, told.append, materials=True)
    material = _only_material(mesh, path, told)
    if wrap is None and material.wrap_u is not material.wrap_v:
        raise ValueError(
            f"path must hold an image with one wrap, got two; give wrap=, or {_ALL_READ}: {path}"
        )
    if _vertices_change_colors(mesh):
        told.append(f"colours and opacity of vertices are left out; {_ALL_READ} and them")
    for what in told:
        warn_user(f"{path}: {what}")
    assert material.image is not None, "it has been looked for"
    assert mesh.uv is not None, "so has it"
    colors = material.image * material.color
    opacity = material.image_opacity
    if material.opacity is not None:
        share = colors.new_ones(colors.shape[:2]) if opacity is None else opacity
        opacity = share * material.opacity
    index = mesh.faces if mesh.uv_faces is None else mesh.uv_faces
    texture = Texture(
        colors.to(dtype),
        mesh.uv.to(dtype),
        index,
        material.wrap_u if wrap is None else wrap,
        None if opacity is None else opacity.to(dtype),
        mipmaps,
    )
    bare = without_needless(merged(Mesh(mesh.vertices, mesh.faces, normal_faces=mesh.normal_faces)))
    return (bare.normalized() if normalize else bare).to(dtype=dtype), texture


def _vertices_change_colors(mesh: Mesh) -> bool:
    """Return whether the image is multiplied by something else than 1."""
    values = (mesh.vertex_colors, mesh.vertex_opacity)
    return any(x is not None and bool((x != 1).any()) for x in values)


def _only_material(mesh: Mesh, path: Path, told: list[str]) -> Material:
    """Return the material of a mesh that has one alone, with an image."""
    if mesh.uv is None:
        raise ValueError(f"path must hold a mesh with UV coordinates, got none in {path}")
    materials = mesh.materials or ()
    if not any(material.image is not None for material in materials):
        why = "".join(f": {what}" for what in told)
        raise ValueError(f"path must hold a texture with a readable image, got none in {path}{why}")
    if len(materials) > 1:
        raise ValueError(f"path must hold one material, got {len(materials)}; {_ALL_READ}: {path}")
    return materials[0]
