"""OBJ, MTL and PNG files of a mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from taichisoft.base.warn import warn_user
from taichisoft.files.saved_materials import Image, Saved, faces_of, saved_materials
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.normals import corner_normals
from taichisoft.geometry.wrap import Wrap


def obj_files(mesh: Mesh, colors: np.ndarray | None, path: Path) -> dict[Path, bytes]:
    """Return the content of the files of a mesh by path, the OBJ file last.

    Parameters
    ----------
    mesh : Mesh
    colors : array, (V, 3) or (V, 4), uint8, or None
        Of the vertices; opacity is left out.
    path : Path
        Of the OBJ file; the others are beside it.
    """
    files: dict[Path, bytes] = {}
    lines: list[str] = []
    names: list[str] = []
    if mesh.materials is not None:
        saved, images = saved_materials(mesh.materials)
        names = [one.name for one in saved]
        pictures = [path.with_name(f"{path.stem}_{i}.png") for i in range(len(images))]
        library = path.with_suffix(".mtl")
        files |= {file: image.content for file, image in zip(pictures, images, strict=True)}
        files[library] = _mtl(mesh.materials, saved, images, [file.name for file in pictures])
        lines.append(f"mtllib {library.name}")
    positions = _text(mesh.vertices)
    if colors is not None:
        rows = np.concatenate([positions, (colors[:, :3] / 255).round(6).astype(str)], 1)
    else:
        rows = positions
    lines += [f"v {' '.join(row)}" for row in rows]
    corners = [mesh.faces.cpu().numpy() + 1]
    if mesh.uv is not None:
        lines += [f"vt {' '.join(row)}" for row in _text(mesh.uv)]
        corners.append(corners[0] if mesh.uv_faces is None else mesh.uv_faces.cpu().numpy() + 1)
    if mesh.normal_faces is not None:
        values, index = corner_normals(mesh)
        lines += [f"vn {' '.join(row)}" for row in _text(values[: int(index.max()) + 1])]
        corners += [] if mesh.uv is not None else [np.full_like(corners[0], 0)]
        corners.append(index.cpu().numpy() + 1)
    lines += _faces(corners, names, faces_of(mesh.face_materials, mesh.num_faces))
    files[path] = ("\n".join(lines) + "\n").encode()
    return files


def _text(value: Tensor) -> np.ndarray:
    """Return numbers as words, with as many digits as their type needs."""
    return value.detach().cpu().numpy().astype(str)


def _faces(corners: list[np.ndarray], names: list[str], materials: np.ndarray) -> list[str]:
    """Return the lines of the faces, each after that of its material if another one was before."""
    words = corners[0].astype(str)
    for others in corners[1:]:
        named = np.where(others > 0, others.astype(str), "")  # nothing between two / is no UV
        words = np.char.add(np.char.add(words, "/"), named)
    lines, last = [], -1
    for row, material in zip(words.tolist(), materials.tolist(), strict=True):
        if names and material != last:
            lines.append(f"usemtl {names[material]}")
            last = material
        lines.append(f"f {' '.join(row)}")
    return lines


def _mtl(
    materials: tuple[Material, ...], saved: list[Saved], images: list[Image], files: list[str]
) -> bytes:
    lines: list[str] = []
    for material, one in zip(materials, saved, strict=True):
        lines += [f"newmtl {one.name}", "Kd " + " ".join(map(repr, one.color))]
        if material.opacity is not None:
            lines.append(f"d {one.opacity!r}")
        if one.image is not None:
            option = _clamp(material, one.name)
            if material.image is not None or not images[one.image].has_opacity:
                lines.append(f"map_Kd {option}{files[one.image]}")
            if images[one.image].has_opacity:
                lines.append(f"map_d {option}{files[one.image]}")
    return ("\n".join(lines) + "\n").encode()


def _clamp(material: Material, name: str) -> str:
    """Return the option of an image that is not repeated."""
    wraps = {material.wrap_u, material.wrap_v}
    if wraps == {Wrap.CLAMP}:
        return "-clamp on "
    if wraps != {Wrap.REPEAT}:
        warn_user(
            f".obj files hold one wrap, REPEAT or CLAMP, of an image: that of material {name!r} is saved as "
            "REPEAT"
        )
    return ""
