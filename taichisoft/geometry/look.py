"""The look of meshes: which of their fields are colours and opacities, and what all of these must be."""

from __future__ import annotations

from typing import Protocol

import torch

from taichisoft.base.checks import (
    Shape,
    check_finite,
    check_indices,
    check_like,
    check_same_device,
    check_shares,
    check_tensor,
)
from taichisoft.base.transforms import beneath
from taichisoft.base.words import counted
from taichisoft.geometry.assigned import Assigned
from taichisoft.geometry.material import Material

COLORS = ("vertex_colors", "face_colors")
OPACITIES = ("vertex_opacity", "face_opacity")


class Look(Protocol):
    """What a `Mesh` and a `MeshBatch` have in common."""

    @property
    def vertices(self) -> torch.Tensor: ...  # noqa: D102

    @property
    def num_faces(self) -> int: ...  # noqa: D102

    @property
    def vertex_colors(self) -> torch.Tensor | None: ...  # noqa: D102

    @property
    def face_colors(self) -> torch.Tensor | None: ...  # noqa: D102

    @property
    def materials(self) -> tuple[Material, ...] | None: ...  # noqa: D102

    @property
    def face_materials(self) -> torch.Tensor | None: ...  # noqa: D102

    @property
    def uv(self) -> torch.Tensor | None: ...  # noqa: D102

    @property
    def uv_faces(self) -> torch.Tensor | None: ...  # noqa: D102

    @property
    def normal_faces(self) -> torch.Tensor | None: ...  # noqa: D102

    @property
    def face_objects(self) -> torch.Tensor | None: ...  # noqa: D102


def size_in_words(vertices: int, faces: int) -> str:
    """Return how many vertices and faces there are."""
    return f"{counted(vertices, 'vertex', 'vertices')}, {counted(faces, 'face', 'faces')}"


def fields_given(record: Look, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Return those of the fields of these names that are not None."""
    return {name: getattr(record, name) for name in names if getattr(record, name) is not None}


def assigned_of(record: Look) -> Assigned:
    """Return the materials of a mesh, and where they are."""
    return Assigned(record.materials, record.face_materials, record.uv, record.uv_faces)


def check_fits(record: Look) -> None:
    """Check that materials fit vertices and colours; what they are in themselves has been checked."""
    materials = assigned_of(record)
    materials.check_like(record.vertices)
    for name, value in fields_given(record, COLORS).items():
        materials.check_tint(value.shape[-1], name)


def check_vertices(vertices: torch.Tensor) -> None:
    """Check vertices, (V, 3) or (B, V, 3)."""
    check_tensor(vertices, "vertices", ("V", 3), ("B", "V", 3))
    check_finite(vertices, "vertices")


def check_normal_faces(record: Look) -> None:
    """Check which corners share a normal."""
    index = record.normal_faces
    if index is not None:
        check_tensor(index, "normal_faces", (record.num_faces, 3), dtypes=(torch.int64,))
        check_same_device(index, "normal_faces", record.vertices, "vertices")
        check_indices(index, "normal_faces", 3 * record.num_faces, "corners of faces")


def check_face_objects(record: Look) -> None:
    """Check which object each face is of."""
    objects = record.face_objects
    if objects is not None:
        check_tensor(objects, "face_objects", (record.num_faces,), dtypes=(torch.int64,))
        check_same_device(objects, "face_objects", record.vertices, "vertices")
        if len(objects) and int(beneath(objects).min()) < 0:
            raise ValueError(
                f"face_objects must not be negative, got {int(beneath(objects).min())}"
            )


def check_colors(record: Look, of_vertices: tuple[Shape, ...], of_faces: tuple[Shape, ...]) -> None:
    """Check that there are colours of one kind at most, of one of its shapes."""
    if record.vertex_colors is not None and record.face_colors is not None:
        raise ValueError("vertex_colors and face_colors must not both be given")
    for name, shapes in (("vertex_colors", of_vertices), ("face_colors", of_faces)):
        value = getattr(record, name)
        if value is not None:
            check_tensor(value, name, *shapes)
            check_like(value, name, record.vertices, "vertices")
            check_finite(value, name)


def check_opacities(
    record: Look, of_vertices: tuple[Shape, ...], of_faces: tuple[Shape, ...]
) -> None:
    """Check that there are opacities of one kind at most, of one of its shapes, in [0, 1]."""
    found = fields_given(record, OPACITIES)
    if len(found) > 1:
        raise ValueError("vertex_opacity and face_opacity must not both be given")
    for name, value in found.items():
        check_tensor(value, name, *(of_vertices if name == OPACITIES[0] else of_faces))
        check_like(value, name, record.vertices, "vertices")
        check_shares(value, name)


def batch_of(value: torch.Tensor) -> int:
    """Return the batch size of rows, (N, C) or (B, N, C)."""
    return value.shape[0] if value.ndim == 3 else 1
