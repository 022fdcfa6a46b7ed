"""Mesh files with a texture: OBJ and GLB, read through trimesh and Pillow."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.appearance.texture import Texture
from taichisoft.base.checks import check_dtype, check_type
from taichisoft.files.glb import stated_glb
from taichisoft.files.images import levels, pillow, read_image
from taichisoft.files.materials import Map, Materials
from taichisoft.files.meshes import check_exists, check_path, from_bytes, merged, read_stated
from taichisoft.files.obj import stated_obj
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.wrap import Wrap

SUFFIXES = (".obj", ".glb")
"""File formats that hold textures, by suffix, upper or lower case."""


def load_textured_mesh(
    path: str | os.PathLike,
    *,
    normalize: bool = False,
    wrap: Wrap = Wrap.REPEAT,
    mipmaps: bool = False,
    dtype: torch.dtype = torch.float32,
) -> tuple[Mesh, Texture]:
    """Read a mesh and its texture from an OBJ file, with the MTL and image beside it, or a GLB file.

    Parameters
    ----------
    path : str or path
        The suffix tells the format.
    normalize : bool
        Centre the mesh on its bounding box and scale it to a largest radius of 1.
    wrap : Wrap
        What is beyond the border of the texture.
    mipmaps : bool
        Whether smaller versions of the texture are seen where it is finer than the pixels.
    dtype : torch.dtype
        Of vertices and texture, float32 or float64.

    Returns
    -------
    mesh : Mesh
        On the CPU, without colours. Vertices that agree in every coordinate are joined, since both formats
        repeat them along the seams of the texture, where a mesh that is optimised would tear.
    texture : Texture
        With an index of its own for each corner. Its image is that of the diffuse or base colour, as the
        file has it (not made linear), RGB in [0, 1], with 8 bits; its fourth channel is the opacity of the
        texture, unless all is opaque. The options
        ``-s`` and ``-o`` of an image in an MTL file are in its coordinates; ``-clamp`` is not read, see
        ``wrap``.

    Raises
    ------
    FileNotFoundError
        No such file.
    ImportError
        Pillow, which reads the image, is not installed.
    TypeError
        An argument of a wrong type.
    ValueError
        Unknown suffix, a damaged file, or one without faces, UV coordinates or an image.
    """
    path = check_path(path, SUFFIXES)
    check_type(normalize, "normalize", bool)
    check_dtype(dtype)
    check_exists(path)
    pillow()  # without it trimesh drops images without a word
    materials = _materials(path)
    loaded = _read(path, materials)
    faces = torch.tensor(np.asarray(loaded.faces), dtype=torch.int64)
    mesh = merged(Mesh(torch.tensor(np.asarray(loaded.vertices), dtype=torch.float64), faces))
    mesh = (mesh.normalized() if normalize else mesh).to(dtype=dtype)
    uv = torch.tensor(_uv(loaded, materials), dtype=dtype)
    image, opacity = _image(loaded, path)
    opacity = None if opacity is None else opacity.to(dtype)
    return mesh, Texture(image.to(dtype), uv, faces, wrap, opacity, mipmaps)


def _read(path: Path, materials: Materials | None) -> Any:
    """Return what trimesh makes of a file with faces and UV coordinates."""
    import trimesh

    if materials is None:
        loaded = read_stated(path, stated_glb)
    else:
        loaded = read_stated(path, partial(stated_obj, textured=True), resolver=materials)
    is_mesh = isinstance(loaded, trimesh.Trimesh) and len(loaded.faces) > 0
    if not is_mesh or getattr(loaded.visual, "uv", None) is None:
        raise ValueError(f"path must hold a mesh with UV coordinates, got none in {path}")
    if not np.isfinite(loaded.visual.uv).all():
        raise ValueError(f"path must hold finite UV coordinates, got others in {path}")
    return loaded


def _materials(path: Path) -> Materials | None:
    """Return the materials of an OBJ file with images that can be read, None of a GLB file."""
    if path.suffix.lower() != ".obj":
        return None
    try:
        materials = Materials.of(path, path.read_bytes())
    except ValueError as error:
        raise ValueError(f"path must be a readable .obj file, got {path}: {error}") from error
    for one in materials.maps:
        try:
            read_image(one.path, "texture")  # here, since trimesh goes on without it
        except (OSError, ValueError) as error:
            raise ValueError(
                f"path must hold a texture with a readable image, got {path}: {error}"
            ) from error
    moved = [one for one in materials.maps if one != Map(one.path)]
    if moved and len(materials.maps) > 1:
        raise ValueError(
            f"path must have one image if map_Kd has -s or -o, got {len(materials.maps)} in {path}"
        )
    return materials


def _uv(loaded: Any, materials: Materials | None) -> np.ndarray:
    """Return UV coordinates (T, 2), scaled and moved as the options of the image say."""
    uv = np.asarray(loaded.visual.uv)[:, :2]
    if materials is None or len(materials.maps) != 1:
        return uv
    return uv * materials.maps[0].scale + materials.maps[0].offset


def _image(loaded: Any, path: Path) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the image of the material, (H, W, 3), and its opacity, (H, W), or None if all is opaque."""
    material = loaded.visual.material
    image = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
    # For an OBJ without its MTL trimesh makes a small image of one colour, which is of no file format.
    made_up = path.suffix.lower() == ".obj" and getattr(image, "format", None) is None
    if image is None or made_up:
        raise ValueError(f"path must hold a texture with a readable image, got none in {path}")
    try:
        pixels = np.rint(255 * levels(image)).astype(np.uint8)
    except Exception as error:  # a decoder that meets a damaged image may raise anything
        raise ValueError(
            f"path must hold a texture with a readable image, got {path}: {error}"
        ) from error
    colors, opacity = from_bytes(pixels.reshape(-1, 4))
    size = pixels.shape[:2]
    return colors.reshape(*size, 3), None if opacity is None else opacity.reshape(size)
