"""Joining: several meshes as one scene, each an object of it, and copies of a mesh in several places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from taichisoft.base.checks import check_batch, check_tensor, check_type
from taichisoft.base.eager import eager
from taichisoft.geometry.assigned import pack
from taichisoft.geometry.look import assigned_of, fields_given
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.packing import (
    check_meshes,
    check_same_colors,
    made_alike,
    packed_normal_faces,
)


@eager
def join(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes into a scene: one mesh, in which each is an object. Differentiable.

    Rendered as one they hide each other, which images of each would not. ``face_objects`` of the scene says
    which object each face is of, and ``renderer(scene, camera, objects=True).objects`` how much of each is
    seen.

    Parameters
    ----------
    meshes : sequence of Mesh
        At least one; of one dtype and device, with batch sizes that are equal or 1. Those that have colours
        have them of one kind, of vertices or of faces, and of as many channels; the others become white.
        Opacity is of one kind as well. Materials may differ.

    Returns
    -------
    Mesh
        Vertices and faces in the order of the meshes. A mesh that is a scene already keeps its objects, which
        follow those before. Of ``vertex_data`` that is kept which all have, with one dtype.

    Raises
    ------
    TypeError, ValueError
        No mesh, what is none, different dtypes, devices or batch sizes, colours or opacities of two kinds, or
        ``uv`` with a batch axis.
    """
    meshes = list(check_type(meshes, "meshes", (list, tuple)))
    check_meshes(meshes)
    for index, mesh in enumerate(meshes):
        if mesh.uv is not None and mesh.uv.ndim == 3:
            raise ValueError(f"uv of meshes[{index}] must have no batch axis, got one")
    check_batch({f"meshes[{index}]": mesh.batch_size for index, mesh in enumerate(meshes)})
    check_same_colors(meshes, white=True)
    meshes = made_alike(meshes)
    starts = [sum(mesh.num_vertices for mesh in meshes[:index]) for index in range(len(meshes))]
    faces = [mesh.faces for mesh in meshes]
    materials = pack([assigned_of(mesh) for mesh in meshes], faces, meshes[0].vertices)
    return Mesh(
        torch.cat(_of_one_batch([mesh.vertices for mesh in meshes], 2), -2),
        torch.cat([own + start for own, start in zip(faces, starts, strict=True)]),
        vertex_colors=_rows(meshes, "vertex_colors", 2),
        face_colors=_rows(meshes, "face_colors", 2),
        vertex_opacity=_rows(meshes, "vertex_opacity", 1),
        face_opacity=_rows(meshes, "face_opacity", 1),
        **materials._asdict(),
        normal_faces=packed_normal_faces(meshes),
        face_objects=_objects(meshes),
        vertex_data=_data(meshes),
    )


@eager
def instances(mesh: Mesh, rotation: Tensor, translation: Tensor) -> Mesh:
    """Return a scene of copies of a mesh, each an object in a place of its own. Differentiable.

    Parameters
    ----------
    mesh : Mesh
        Without a batch axis. The copies share its materials.
    rotation : Tensor, (N, 3, 3)
        Of each copy; dtype and device of the mesh. Not checked to be a rotation: a multiple of one scales.
    translation : Tensor, (N, 3)
        Of each copy, in scene units: a point x of the mesh is at ``rotation @ x + translation``.

    Returns
    -------
    Mesh
        As `join` returns it.

    Raises
    ------
    TypeError, ValueError
        A wrong type, shape, dtype or device; or a mesh with a batch axis.
    """
    check_type(mesh, "mesh", Mesh)
    if mesh.has_batch_axis:
        raise ValueError("mesh must have no batch axis, got one")
    check_tensor(rotation, "rotation", ("N", 3, 3))
    check_tensor(translation, "translation", (len(rotation), 3))
    if not len(rotation):
        raise ValueError("rotation must be of at least one copy, got none")
    return join([mesh.transformed(*place) for place in zip(rotation, translation, strict=True)])


def _of_one_batch(values: Sequence[Tensor], axes: int) -> list[Tensor]:
    """Return values all with a batch axis, in front of so many, if any has one."""
    sizes = [len(value) for value in values if value.ndim > axes]
    return [value.expand(max(sizes), *value.shape[-axes:]) if sizes else value for value in values]


def _rows(meshes: Sequence[Mesh], name: str, axes: int) -> Tensor | None:
    """Return a field of all meshes, one after the other; None if they have none."""
    values = [value for mesh in meshes for value in fields_given(mesh, (name,)).values()]
    return torch.cat(_of_one_batch(values, axes), -axes) if values else None


def _objects(meshes: Sequence[Mesh]) -> Tensor:
    """Return which object each face is of."""
    found, start = [], 0
    for mesh in meshes:
        own = (
            mesh.faces.new_zeros(mesh.num_faces) if mesh.face_objects is None else mesh.face_objects
        )
        found.append(own + start)
        start += int(own.max()) + 1 if len(own) else 1
    return torch.cat(found)


def _data(meshes: Sequence[Mesh]) -> dict[str, Tensor] | None:
    """Return the other numbers of vertices that all meshes have, with one dtype."""
    data = [mesh.vertex_data or {} for mesh in meshes]
    kept = [
        name
        for name, value in data[0].items()
        if all(name in own and own[name].dtype == value.dtype for own in data)
    ]
    return {name: torch.cat([own[name] for own in data]) for name in kept} or None
