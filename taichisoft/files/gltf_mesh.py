"""What a glTF file says of a mesh: the triangles of its scene, in place, with colours and materials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.files.colors import with_opacity_apart
from taichisoft.files.gltf import Gltf
from taichisoft.files.gltf_materials import Looks
from taichisoft.files.hard_edges import with_normals_of
from taichisoft.files.stated import check_numbers
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh

TRIANGLES, STRIP, FAN = 4, 5, 6
WHOLE = "iu"


@dataclass(frozen=True)
class Part:
    """A primitive in its place.

    Parameters
    ----------
    positions : array, (V, 3)
    faces : array, (F, 3), int64
    colors : array, (V, 4), or None
    uv : array, (V, 2), or None
        With the origin at the lower edge.
    material : Material or None
    normals : array, (V, 3), or None
    """

    positions: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    uv: np.ndarray | None
    material: Material | None
    normals: np.ndarray | None


def read_gltf_mesh(
    content: bytes, path: Path, tell: Callable[[str], None], *, materials: bool
) -> Mesh:
    """Return the mesh in a GLB or glTF file, in float64, with its materials and UV if asked for.

    Parameters
    ----------
    content : bytes
    path : Path
    tell : callable
        Is told what is missing, or not read.
    materials : bool

    Raises
    ------
    ValueError
        The file is damaged, or one that it names.
    """
    gltf = Gltf(content, path)
    looks = Looks(gltf, tell)
    with np.errstate(all="ignore"):  # of numbers that are refused
        parts = [
            part
            for mesh, place in _placed(gltf, tell)
            for primitive in gltf.item("meshes", mesh)["primitives"]
            if (part := _part(gltf, primitive, place, looks, materials=materials)) is not None
        ]
    return _joined(parts)


def _placed(gltf: Gltf, tell: Callable[[str], None]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the meshes of the scene, and the matrix (4, 4) that takes each to its place."""
    nodes = gltf.tree.get("nodes", [])
    if not nodes:
        yield from ((index, np.eye(4)) for index in range(len(gltf.tree.get("meshes", []))))
        return
    left = [(index, np.eye(4)) for index in reversed(_roots(gltf))]
    seen = 0
    while left:
        index, above = left.pop()
        node = gltf.item("nodes", index)
        seen += 1
        if seen > len(nodes):
            raise ValueError("a node of the scene has two parents")
        place = above @ _matrix(node)
        if not np.isfinite(place).all():
            raise ValueError(f"the place of nodes[{index}] must be finite")
        left += [(child, place) for child in reversed(node.get("children", []))]
        if "mesh" in node:
            if "skin" in node:
                tell("skins are not read: vertices are where they are without")
            yield node["mesh"], place


def _roots(gltf: Gltf) -> list[int]:
    if gltf.tree.get("scenes"):
        return gltf.item("scenes", gltf.tree.get("scene", 0)).get("nodes", [])
    count = len(gltf.tree["nodes"])
    nodes = [gltf.item("nodes", index) for index in range(count)]
    children = {child for node in nodes for child in node.get("children", [])}
    return [index for index in range(count) if index not in children]


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """Return the matrix of a node: stated column by column, or scale, then rotation, then translation."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
    else:
        from trimesh.transformations import quaternion_matrix

        x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
        largest = max(abs(x), abs(y), abs(z), abs(w)) or 1.0  # of which a square may be infinite
        matrix = quaternion_matrix(np.array((w, x, y, z)) / largest)
        matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
        matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _part(
    gltf: Gltf,
    primitive: dict[str, Any],
    place: np.ndarray,
    looks: Looks,
    *,
    materials: bool,
) -> Part | None:
    """Return a primitive in its place; None if it is made of points or lines."""
    mode = primitive.get("mode", TRIANGLES)
    attributes = primitive["attributes"]
    if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in attributes:
        return None
    if primitive.get("targets"):
        looks.tell("morph targets are not read: vertices are where they are without")
    positions = gltf.numbers(attributes["POSITION"])
    faces = _triangles(gltf, primitive, mode, len(positions))
    check_numbers(positions, faces)
    if np.linalg.det(place[:3, :3]) < 0:
        faces = faces[:, ::-1]
    part = Part(
        positions @ place[:3, :3].T + place[:3, 3],
        faces,
        _colors(gltf, attributes, len(positions)),
        None,
        None,
        _normals(gltf, attributes, len(positions), place),
    )
    check_numbers(part.positions, faces)
    number = primitive.get("material")
    if part.colors is not None:
        if materials and (part.colors[:, 3] != 1).any() and looks.masks_texels(number):
            looks.tell(
                "alphaCutoff is compared with texels and vertices apart, not with their product"
            )
        part.colors[:, 3] = looks.alpha(number)(part.colors[:, 3])
    return _with_look(part, attributes, number, looks) if materials else part


def _with_look(part: Part, attributes: dict[str, int], number: int | None, looks: Looks) -> Part:
    gltf, look = looks.gltf, looks.of(number)
    material, index = look.material, attributes.get(f"TEXCOORD_{look.coordinates}")
    if index is None:
        if material.has_texels:
            looks.tell(
                f"faces of material {material.name!r} have no UV coordinates: they are without its image"
            )
            material = looks.plain(number)
        return replace(part, material=material)
    uv = _checked(gltf.numbers(index), len(part.positions), "UV coordinates")[:, :2]
    if look.transform is not None:
        uv = uv @ look.transform[:, :2].T + look.transform[:, 2]
    return replace(part, material=material, uv=np.stack([uv[:, 0], 1 - uv[:, 1]], -1))


def _triangles(gltf: Gltf, primitive: dict[str, Any], mode: int, vertices: int) -> np.ndarray:
    if "indices" in primitive:
        index = gltf.array(primitive["indices"])[:, 0]
        if index.dtype.kind not in WHOLE:
            raise ValueError("indices of faces must be whole numbers, got floats")
        index = index.astype(np.int64)
    else:
        index = np.arange(vertices)
    if mode == TRIANGLES:
        if len(index) % 3:
            raise ValueError(f"triangles must have 3 corners each, got {len(index)} corners")
        return index.reshape(-1, 3)
    corners = np.stack([index[:-2], index[1:-1], index[2:]], -1)
    if mode == FAN:
        corners[:, 0] = index[:1]
    else:
        corners[1::2] = corners[1::2][:, [1, 0, 2]]  # every second one is turned round
    return corners


def _colors(gltf: Gltf, attributes: dict[str, int], vertices: int) -> np.ndarray | None:
    """Return RGB and opacity of the vertices."""
    if "COLOR_0" not in attributes:
        return None
    index = attributes["COLOR_0"]
    values = gltf.array(index)
    if values.dtype.kind in WHOLE:  # which are normalised, whether that is stated or not
        values = values / np.iinfo(values.dtype).max
    colors = np.ones((vertices, 4))
    colors[:, : values.shape[1]] = _checked(values.astype(np.float64), vertices, "colours")
    return colors


def _normals(
    gltf: Gltf, attributes: dict[str, int], vertices: int, place: np.ndarray
) -> np.ndarray | None:
    """Return unit normals in place, or zero where one has no direction."""
    if "NORMAL" not in attributes:
        return None
    normals = _checked(gltf.numbers(attributes["NORMAL"]), vertices, "normals")
    turned = normals @ np.linalg.pinv(place[:3, :3])
    lengths = np.linalg.norm(turned, axis=1, keepdims=True)
    return turned / np.where(lengths > 0, lengths, 1)


def _checked(values: np.ndarray, vertices: int, what: str) -> np.ndarray:
    if len(values) != vertices:
        raise ValueError(f"{what} must be there for {vertices} vertices, got {len(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite")
    return values


def _joined(parts: list[Part]) -> Mesh:
    """Return the parts as one mesh; what some lack and others have is white, or 0 of UV."""
    counts = np.array([len(part.positions) for part in parts], np.int64)
    starts = np.cumsum(counts) - counts
    empty = [np.empty((0, 3))]
    faces = [part.faces + start for part, start in zip(parts, starts, strict=True)]
    look: dict[str, Any] = {}
    if any(part.colors is not None for part in parts):
        colors, opacity = with_opacity_apart(
            np.concatenate([_or(part.colors, np.ones((len(part.positions), 4))) for part in parts])
        )
        look |= {"vertex_colors": colors, "vertex_opacity": opacity}
    if any(part.uv is not None for part in parts):
        uv = [_or(part.uv, np.zeros((len(part.positions), 2))) for part in parts]
        look["uv"] = torch.from_numpy(np.concatenate(uv))
    mesh = Mesh(
        torch.from_numpy(np.concatenate([part.positions for part in parts] or empty)),
        torch.from_numpy(np.concatenate(faces or empty).astype(np.int64)),
        **look,
    )
    if any(part.normals is not None for part in parts):
        normals = [_or(part.normals, np.full(part.positions.shape, np.nan)) for part in parts]
        mesh = with_normals_of(mesh, np.concatenate(normals)[mesh.faces.numpy()])
    materials = [part.material for part in parts if part.material is not None]
    if not materials or all(not _says(material) for material in materials):
        return mesh
    different = list({id(material): material for material in materials}.values())
    number = {id(material): index for index, material in enumerate(different)}
    own = [np.full(len(p.faces), number[id(m)]) for p, m in zip(parts, materials, strict=True)]
    chosen = torch.from_numpy(np.concatenate(own)) if len(different) > 1 else None
    return mesh.with_materials(different, chosen)


def _says(material: Material) -> bool:
    """Return whether a material is another one than that of what has none."""
    return bool(
        material.has_texels or material.has_opacity or material.name or (material.color != 1).any()
    )


def _or(values: np.ndarray | None, default: np.ndarray) -> np.ndarray:
    return default if values is None else values
