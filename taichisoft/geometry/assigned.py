"""Assigned materials: which material each face of a mesh has, and where in its image the face lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import (
    check_finite,
    check_indices,
    check_like,
    check_same_device,
    check_tensor,
    check_type,
)
from taichisoft.geometry.material import Material


class Assigned(NamedTuple):
    """Materials of faces; the fields are those of `taichisoft.geometry.mesh.Mesh`, in their order."""

    materials: tuple[Material, ...] | None
    face_materials: Tensor | None
    uv: Tensor | None
    uv_faces: Tensor | None

    @property
    def batch_size(self) -> int:
        """Batch size of the coordinates, 1 without a batch axis."""
        return self.uv.shape[0] if self.uv is not None and self.uv.ndim == 3 else 1

    def check(self, vertices: Tensor, num_faces: int) -> None:
        """Raise TypeError or ValueError for an argument of a mesh that is wrong, but for dtypes and devices.

        Parameters
        ----------
        vertices : Tensor, (V, 3) or (B, V, 3)
        num_faces : int
        """
        self._check_materials()
        if self.face_materials is not None:
            if self.materials is None:
                raise ValueError("face_materials must not be given without materials")
            check_tensor(self.face_materials, "face_materials", (num_faces,), dtypes=(torch.int64,))
            check_same_device(self.face_materials, "face_materials", vertices, "vertices")
            check_indices(self.face_materials, "face_materials", len(self.materials), "materials")
        if self.uv is not None:
            check_tensor(self.uv, "uv", ("T", 2), ("B", "T", 2))
            check_finite(self.uv, "uv")
        self._check_uv_faces(vertices, num_faces)

    def check_like(self, vertices: Tensor) -> None:
        """Raise TypeError or ValueError for another dtype or device than that of the vertices."""
        for index, material in enumerate(self.materials or ()):
            check_like(material.color, f"color of materials[{index}]", vertices, "vertices")
        if self.uv is not None:
            check_like(self.uv, "uv", vertices, "vertices")

    def check_tint(self, channels: int, name: str) -> None:
        """Raise ValueError if colours of so many channels cannot multiply those of the materials."""
        if self.materials is not None and channels not in (1, self.materials[0].channels):
            raise ValueError(
                f"{name} must have 1 channel or the {self.materials[0].channels} of the materials, got "
                f"{channels}"
            )

    def _check_materials(self) -> None:
        if self.materials is None:
            return
        check_type(self.materials, "materials", tuple)
        if not self.materials:
            raise ValueError("materials must hold at least one material, got none")
        for index, material in enumerate(self.materials):
            check_type(material, f"materials[{index}]", Material)
            if material.channels != self.materials[0].channels:
                raise ValueError(
                    f"materials[{index}] must have the {self.materials[0].channels} channels of "
                    f"materials[0], got {material.channels}"
                )
            if material.has_texels and self.uv is None:
                raise ValueError(f"uv must be given for the image of materials[{index}], got None")

    def _check_uv_faces(self, vertices: Tensor, num_faces: int) -> None:
        if self.uv_faces is None:
            if self.uv is not None and self.uv.shape[-2] != vertices.shape[-2]:
                raise ValueError(
                    f"uv must have one row for each of the {vertices.shape[-2]} vertices unless uv_faces is "
                    f"given, got {self.uv.shape[-2]}"
                )
            return
        if self.uv is None:
            raise ValueError("uv_faces must not be given without uv")
        check_tensor(self.uv_faces, "uv_faces", (num_faces, 3), dtypes=(torch.int64,))
        check_same_device(self.uv_faces, "uv_faces", vertices, "vertices")
        check_indices(self.uv_faces, "uv_faces", self.uv.shape[-2], "rows of uv")


def pack(parts: Sequence[Assigned], faces: Sequence[Tensor], like: Tensor) -> Assigned:
    """Return the materials of several meshes as those of one: what one of them lacks is white.

    A material that several of them have is there once.

    Parameters
    ----------
    parts : sequence of Assigned
        Without a batch axis.
    faces : sequence of Tensor, (F, 3), int64
        Of each.
    like : Tensor
        Of their dtype and device.

    Raises
    ------
    ValueError
        Materials of different numbers of channels.
    """
    return Assigned(*_pack_materials(parts, faces, like), *_pack_uv(parts, faces, like))


def _pack_materials(
    parts: Sequence[Assigned], faces: Sequence[Tensor], like: Tensor
) -> tuple[tuple[Material, ...] | None, Tensor | None]:
    first = next((part.materials[0] for part in parts if part.materials), None)
    if first is None:
        return None, None
    white = (Material(like.new_ones(first.channels)),)
    places: dict[int, int] = {}
    found: list[Material] = []
    rows = []
    for index, (part, own) in enumerate(zip(parts, faces, strict=True)):
        materials = part.materials or white
        if materials[0].channels != first.channels:
            raise ValueError(
                f"meshes[{index}] must have materials of {first.channels} channels as others have, got "
                f"{materials[0].channels}"
            )
        for material in materials:
            if id(material) not in places:
                places[id(material)] = len(found)
                found.append(material)
        numbers = torch.tensor([places[id(x)] for x in materials], device=like.device)
        chosen = part.face_materials
        rows.append(numbers[own.new_zeros(len(own)) if chosen is None else chosen])
    return tuple(found), torch.cat(rows)


def _pack_uv(
    parts: Sequence[Assigned], faces: Sequence[Tensor], like: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    if all(part.uv is None for part in parts):
        return None, None
    values, rows, start = [], [], 0
    for part, own in zip(parts, faces, strict=True):
        if part.uv is None:
            uv, index = like.new_zeros(1, 2), torch.zeros_like(own)
        else:
            uv, index = part.uv, own if part.uv_faces is None else part.uv_faces
        values.append(uv)
        rows.append(index + start)
        start += len(uv)
    return torch.cat(values), torch.cat(rows)


def split(assigned: Assigned, face_counts: Sequence[int]) -> list[Assigned]:
    """Return the materials of each of packed meshes, without what none of its faces has."""
    return [
        Assigned(*_own_materials(assigned, faces), *_own_uv(assigned, faces))
        for faces in torch.arange(sum(face_counts)).split(list(face_counts))
    ]


def _own_materials(
    assigned: Assigned, faces: Tensor
) -> tuple[tuple[Material, ...] | None, Tensor | None]:
    materials, chosen = assigned.materials, assigned.face_materials
    if materials is None or not len(faces):
        return None, None
    if chosen is None:
        return materials[:1], None
    used, own = torch.unique(chosen[faces.to(chosen.device)], return_inverse=True)
    return tuple(materials[index] for index in used.tolist()), own if len(used) > 1 else None


def _own_uv(assigned: Assigned, faces: Tensor) -> tuple[Tensor | None, Tensor | None]:
    uv, index = assigned.uv, assigned.uv_faces
    if uv is None or index is None or not len(faces):
        return None, None
    own = index[faces.to(index.device)]
    first, last = (int(x) for x in torch.aminmax(own))
    return uv[first : last + 1], own - first
