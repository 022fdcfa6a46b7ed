"""Packing: what several meshes look like, made alike so that it can be put together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from taichisoft.base.checks import check_like, check_type
from taichisoft.geometry.look import COLORS, OPACITIES, assigned_of, fields_given
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.records import replace_unchecked


def check_meshes(meshes: Sequence[Mesh]) -> None:
    """Raise TypeError or ValueError unless these are meshes of one dtype and device, at least one."""
    if not meshes:
        raise ValueError("meshes must hold at least one mesh, got none")
    for index, mesh in enumerate(meshes):
        check_type(mesh, f"meshes[{index}]", Mesh)
        check_like(mesh.vertices, f"meshes[{index}]", meshes[0].vertices, "meshes[0]")


def check_same_colors(meshes: Sequence[Mesh], *, white: bool) -> None:
    """Raise ValueError unless all have colours of one kind, which can multiply their materials.

    With `white`, those without colours are left out.
    """
    counted = [i for i, mesh in enumerate(meshes) if not white or fields_given(mesh, COLORS)]
    for index in counted[1:]:
        first = meshes[counted[0]]
        if _describe_colors(meshes[index]) != _describe_colors(first):
            raise ValueError(
                f"meshes[{index}] must have the colours of meshes[{counted[0]}] "
                f"({_describe_colors(first)}), got {_describe_colors(meshes[index])}"
            )
    materials = next((assigned_of(mesh) for mesh in meshes if mesh.materials is not None), None)
    if materials is not None:
        for index, mesh in enumerate(meshes):
            for name, colors in fields_given(mesh, COLORS).items():
                materials.check_tint(colors.shape[-1], f"{name} of meshes[{index}]")


def made_alike(meshes: Sequence[Mesh]) -> list[Mesh]:
    """Return meshes that all have colours, if any has, and all an opacity of one kind, if any has.

    What a mesh lacks is white, and opaque.

    Raises
    ------
    ValueError
        Some have an opacity of vertices, and some of faces.
    """
    names = {name for mesh in meshes for name in fields_given(mesh, OPACITIES)}
    if len(names) > 1:
        raise ValueError("meshes must not have vertex_opacity and face_opacity, got some of each")
    for name in names:
        meshes = [_with_ones(mesh, name, ()) for mesh in meshes]
    for mesh in meshes:
        for name, colors in fields_given(mesh, COLORS).items():
            return [_with_ones(one, name, tuple(colors.shape[-1:])) for one in meshes]
    return list(meshes)


def packed_normal_faces(meshes: Sequence[Mesh]) -> torch.Tensor | None:
    """Return which corners of several meshes share a normal, or None if it is as the vertices say."""
    if all(mesh.normal_faces is None for mesh in meshes):
        return None
    rows, start = [], 0
    for mesh in meshes:
        own = numbered_anew(mesh.faces if mesh.normal_faces is None else mesh.normal_faces)
        rows.append(own + start)
        start += 3 * mesh.num_faces
    return torch.cat(rows)


def objects_of(mesh: Mesh) -> torch.Tensor:
    """Return which object each face is of, (F,); a mesh that does not say so is one object."""
    own = mesh.face_objects
    return mesh.faces.new_zeros(mesh.num_faces) if own is None else own


def numbered_anew(index: torch.Tensor) -> torch.Tensor:
    """Return an index with the same corners alike, whose numbers are 0, 1 and so on."""
    return torch.unique(index, return_inverse=True)[1].reshape(index.shape)


def _with_ones(mesh: Mesh, name: str, channels: tuple[int, ...]) -> Mesh:
    """Return a mesh with a field of vertices or faces that is 1 everywhere, if it has none."""
    if getattr(mesh, name) is not None:
        return mesh
    count = mesh.num_vertices if name.startswith("vertex") else mesh.num_faces
    return replace_unchecked(mesh, **{name: mesh.vertices.new_ones(count, *channels)})


def _describe_colors(mesh: Mesh) -> str:
    for name, colors in fields_given(mesh, COLORS).items():
        return f"{colors.shape[-1]} channels of {name}"
    return "no colours"
