"""Joining: several meshes as one scene, each an object of it, and copies of a mesh in several places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

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
    objects_of,
    packed_normal_faces,
)


@eager
def join(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes into a scene: one mesh, in which each is an object. Differentiable.

    Rendered as one they hide each other, which images of each would not. ``face_objects`` of the scene says
    which object each face is of, and ``renderer(scene, camera, objects=True).objects`` how much of each is
    seen; gradients reach the vertices, colours, materials and opacities of each mesh.

    Parameters
    ----------
    meshes : sequence of Mesh
        At least one; of one dtype and device, with batch sizes that are equal or 1. Those that have colours
        have them of one kind, of vertices or of faces, and of as many channels; the others become white.
        Opacity is of one kind as well; the others become opaque. Materials may differ, but for their number
        of channels. ``vertex_data`` is the same for all: names and dtypes.

    Returns
    -------
    Mesh
        Vertices and faces in the order of the meshes. A mesh that is a scene already keeps its objects, which
        follow those before. A material that several have is there once.

    Raises
    ------
    TypeError, ValueError
        No mesh, what is none, different dtypes, devices or batch sizes, colours or opacities of two kinds,
        colours that cannot multiply the materials, other ``vertex_data``, or ``uv`` with a batch axis.
    """
    meshes = list(check_type(meshes, "meshes", (list, tuple)))
    check_meshes(meshes)
    for index, mesh in enumerate(meshes):
        if mesh.uv is not None and mesh.uv.ndim == 3:
            raise ValueError(f"uv of meshes[{index}] must have no batch axis, got one")
    check_batch({f"meshes[{index}]": mesh.batch_size for index, mesh in enumerate(meshes)})
    check_same_colors(meshes, white=True)
    meshes = made_alike(meshes)
    faces, starts = [mesh.faces for mesh in meshes], _starts(mesh.num_vertices for mesh in meshes)
    objects = [objects_of(mesh) for mesh in meshes]
    materials = pack([assigned_of(mesh) for mesh in meshes], faces, meshes[0].vertices)
    return Mesh(
        torch.cat(_of_one_batch([mesh.vertices for mesh in meshes], 2), -2),
        _counted_on(faces, starts),
        vertex_colors=_rows(meshes, "vertex_colors", 2),
        face_colors=_rows(meshes, "face_colors", 2),
        vertex_opacity=_rows(meshes, "vertex_opacity", 1),
        face_opacity=_rows(meshes, "face_opacity", 1),
        **materials._asdict(),
        normal_faces=packed_normal_faces(meshes),
        face_objects=_counted_on(objects, _starts(_number(own) for own in objects)),
        vertex_data=_data(meshes),
    )


@eager
def instances(mesh: Mesh, rotation: Tensor, translation: Tensor) -> Mesh:
    """Return a scene of copies of a mesh, each an object in a place of its own. Differentiable.

    Parameters
    ----------
    mesh : Mesh
        The copies share its materials.
    rotation : Tensor, (N, 3, 3) or (B, N, 3, 3)
        Of each copy, at least one; dtype and device of the mesh. As for `Mesh.transformed`.
    translation : Tensor, (N, 3) or (B, N, 3)
        Of each copy, in scene units: a point x of the mesh is at ``rotation @ x + translation``.

    Returns
    -------
    Mesh
        As `join` returns it.

    Raises
    ------
    TypeError, ValueError
        A wrong type, shape, dtype, device or batch size, or ``uv`` with a batch axis.
    """
    check_type(mesh, "mesh", Mesh)
    check_tensor(rotation, "rotation", ("N", 3, 3), ("B", "N", 3, 3))
    count = rotation.shape[-3]
    check_tensor(translation, "translation", (count, 3), ("B", count, 3))
    if not count:
        raise ValueError("rotation must be of at least one copy, got none")
    places = zip(rotation.unbind(-3), translation.unbind(-2), strict=True)
    return join([mesh.transformed(*place) for place in places])


def _of_one_batch(values: Sequence[Tensor], axes: int) -> list[Tensor]:
    """Return values all with a batch axis, in front of so many, if any has one."""
    sizes = [len(value) for value in values if value.ndim > axes]
    return [value.expand(max(sizes), *value.shape[-axes:]) if sizes else value for value in values]


def _rows(meshes: Sequence[Mesh], name: str, axes: int) -> Tensor | None:
    """Return a field of all meshes, one after the other; None if they have none."""
    values = [value for mesh in meshes for value in fields_given(mesh, (name,)).values()]
    return torch.cat(_of_one_batch(values, axes), -axes) if values else None


def _starts(counts: Iterable[int]) -> list[int]:
    """Return how many there are in all before each."""
    return [0, *accumulate(counts)][:-1]


def _counted_on(indices: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    """Return indices one after the other, each counted from its start."""
    return torch.cat([own + start for own, start in zip(indices, starts, strict=True)])


def _number(objects: Tensor) -> int:
    """Return how many objects there are; of a mesh without faces one."""
    return int(objects.max()) + 1 if len(objects) else 1


def _data(meshes: Sequence[Mesh]) -> dict[str, Tensor] | None:
    """Return the other numbers of vertices, if there are any."""
    data = [mesh.vertex_data or {} for mesh in meshes]
    for index, own in enumerate(data):
        if _dtypes(own) != _dtypes(data[0]):
            raise ValueError(
                f"meshes[{index}] must have the vertex_data of meshes[0] ({_in_words(data[0])}), got "
                f"{_in_words(own)}"
            )
    return {name: torch.cat([own[name] for own in data]) for name in data[0]} or None


def _dtypes(data: Mapping[str, Tensor]) -> dict[str, torch.dtype]:
    return {name: value.dtype for name, value in data.items()}


def _in_words(data: Mapping[str, Tensor]) -> str:
    """Return ``heat of torch.float32``, as it stands in an error."""
    return ", ".join(f"{name} of {value.dtype}" for name, value in data.items()) or "none"
