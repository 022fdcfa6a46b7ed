"""What an OBJ file and its MTL files say of a mesh: positions, triangles, colours, materials and UV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from taichisoft.files.colors import levels_of_text, with_opacity_apart
from taichisoft.files.hard_edges import with_normals_of
from taichisoft.files.images import read_image
from taichisoft.files.mtl import Map, Mtl, Tell, beside, read_mtl
from taichisoft.files.obj import NONE, Obj, read_obj
from taichisoft.files.stated import check_numbers
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.wrap import Wrap


def read_obj_mesh(content: bytes, path: Path, tell: Tell, *, materials: bool) -> Mesh:
    """Return the mesh in an OBJ file, in float64, with its materials and UV coordinates if asked for.

    Parameters
    ----------
    content : bytes
    path : Path
    tell : callable
        Is told what is missing.
    materials : bool

    Raises
    ------
    ValueError
        The file is damaged, or one that it names.
    """
    obj = read_obj(content, tell)
    check_numbers(obj.positions, obj.corners[..., 0])
    colors = None
    if obj.colors is not None:
        colors, _ = with_opacity_apart(levels_of_text(obj.colors))
    mesh = Mesh(
        torch.from_numpy(obj.positions),
        torch.from_numpy(np.ascontiguousarray(obj.corners[..., 0])),
        vertex_colors=colors,
    )
    index = obj.corners[..., 2]
    if (index != NONE).any():
        rows = np.concatenate(
            [obj.normals, np.full((1, 3), np.nan)]
        )  # the last is that of no normal
        mesh = with_normals_of(mesh, rows[index])
    return _with_look(mesh, obj, path, tell) if materials else mesh


def _with_look(mesh: Mesh, obj: Obj, path: Path, tell: Tell) -> Mesh:
    """Return the mesh with the materials and UV coordinates of its faces."""
    stated = _stated(obj, path, tell)
    names, chosen = _chosen(obj, stated, tell)
    materials = [_material(name, stated.get(name, Mtl()), tell) for name in names]
    index, uv = obj.corners[..., 1].copy(), obj.coordinates
    bare = (index == NONE).any(1)
    for number, name in enumerate(names):
        own, place = chosen == number, _place(stated.get(name, Mtl()), name, tell)
        if place is not None:
            uv, index = _moved(uv, index, own & ~bare, place)
        if materials[number].has_texels and (own & bare).any():
            tell(f"faces of material {name!r} have no UV coordinates: they are without its image")
            plain = replace(materials[number], image=None, image_opacity=None)
            if (own & ~bare).any():
                chosen[own & bare] = len(materials)
                materials.append(plain)
            else:
                materials[number] = plain
    if bare.any() and len(uv):
        index[bare] = len(uv)
        uv = np.concatenate([uv, np.zeros((1, 2))])
    if not bare.all():
        mesh = replace(mesh, uv=torch.from_numpy(uv), uv_faces=torch.from_numpy(index))
    if not materials:
        return mesh
    return mesh.with_materials(materials, torch.from_numpy(chosen) if len(materials) > 1 else None)


def _stated(obj: Obj, path: Path, tell: Tell) -> dict[str, Mtl]:
    """Return the materials in the MTL files that an OBJ file names, of those that are there."""
    found: dict[str, Mtl] = {}
    missing = False
    for names in obj.libraries:
        whole = beside(path, names)
        for file in [whole] if whole.is_file() else [beside(path, name) for name in names.split()]:
            if file.is_file():
                found |= read_mtl(file, tell)
                continue
            tell(f"materials must be in an existing file, got {file}")
            missing = True
    unknown = [name for name in obj.materials if name not in found]
    if obj.libraries and unknown and not missing:
        tell(f"no MTL file has the materials {', '.join(unknown)}")
    return found


def _chosen(obj: Obj, stated: dict[str, Mtl], tell: Tell) -> tuple[list[str], np.ndarray]:
    """Return the names of the materials, and which of them each face has.

    If no face names one, all have that of the MTL file, if it is the only one.
    """
    none = obj.face_materials == NONE
    if obj.materials:
        names = [*obj.materials, ""] if none.any() else obj.materials
        return names, np.where(none, len(obj.materials), obj.face_materials)
    if len(stated) > 1:
        tell(f"no face says which of the materials {', '.join(stated)} it has")
    return list(stated) if len(stated) == 1 else [], np.zeros(len(obj.corners), np.int64)


def _material(name: str, stated: Mtl, tell: Tell) -> Material:
    """Return a material with its images."""
    image = _texels(stated.image, tell)
    colors, opacity = (None, None) if image is None else with_opacity_apart(image)
    if stated.image_opacity is not None and not (image is not None and _one_file(stated)):
        alpha = _texels(stated.image_opacity, tell)
        if alpha is not None:
            size = alpha.shape[:2] if image is None else image.shape[:2]
            opacity = _resized(_one_channel(alpha), size)
    share = stated.opacity
    if share is None and stated.transparency is not None:
        share = 1 - stated.transparency
    place = stated.image or stated.image_opacity
    wrap = Wrap.CLAMP if place is not None and place.clamped else Wrap.REPEAT
    return Material(
        torch.tensor(stated.color or [1.0, 1.0, 1.0], dtype=torch.float64),
        colors,
        None if share in (None, 1) else torch.tensor(share, dtype=torch.float64),
        opacity,
        wrap,
        wrap,
        name=name,
    )


def _texels(image: Map | None, tell: Tell) -> np.ndarray | None:
    """Return RGB and opacity of an image, or None if it is not there."""
    if image is None:
        return None
    if image.path.is_file():
        return read_image(image.path, "texture")
    tell(f"texture must be an existing file, got {image.path}")
    return None


def _one_file(stated: Mtl) -> bool:
    """Return whether colours and opacity are channels of one image."""
    maps = (stated.image, stated.image_opacity)
    return len({one.path.resolve() for one in maps if one is not None}) == 1


def _one_channel(image: np.ndarray) -> np.ndarray:
    """Return what an image says of opacity: its own, or its grey if all of it is opaque."""
    opaque = (image[..., 3] == 1).all()
    return image[..., :3].mean(-1) if opaque else image[..., 3].copy()


def _resized(opacity: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Return an opacity with as many texels as an image of colours, bilinearly."""
    if opacity.shape != size:
        drawn = PIL.Image.fromarray(opacity.astype(np.float32)).resize(
            size[::-1], PIL.Image.Resampling.BILINEAR
        )
        opacity = np.asarray(drawn).astype(np.float64).clip(0, 1)
    return torch.from_numpy(opacity)


def _place(stated: Mtl, name: str, tell: Tell) -> Map | None:
    """Return the image that says how UV coordinates are scaled and moved, if they are."""
    maps = [one for one in (stated.image, stated.image_opacity) if one is not None]
    if len({(one.scale, one.offset, one.clamped) for one in maps}) > 1:
        tell(
            f"-s, -o and -clamp of material {name!r} are those of map_Kd: others of map_d are not read"
        )
    if not maps or (maps[0].scale, maps[0].offset) == (Map.scale, Map.offset):
        return None
    return maps[0]


def _moved(
    uv: np.ndarray, index: np.ndarray, faces: np.ndarray, image: Map
) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates with rows of their own, scaled and moved, for some of the faces."""
    rows, own = np.unique(index[faces], return_inverse=True)
    index = index.copy()
    index[faces] = len(uv) + own.reshape(-1, 3)
    return np.concatenate([uv, uv[rows] * image.scale + image.offset]), index
