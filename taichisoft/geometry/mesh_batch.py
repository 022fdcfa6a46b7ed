"""Batches of triangle meshes with different topologies, packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from taichisoft.base.checks import (
    check_finite,
    check_indices,
    check_integer,
    check_same_device,
    check_tensor,
    check_type,
)
from taichisoft.base.eager import eager_class
from taichisoft.base.trees import collated, tree
from taichisoft.base.words import counted, summary
from taichisoft.geometry.assigned import pack, split
from taichisoft.geometry.look import (
    COLORS,
    OPACITIES,
    assigned_of,
    check_colors,
    check_face_objects,
    check_fits,
    check_normal_faces,
    check_opacities,
    fields_given,
    size_in_words,
)
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.packing import (
    check_meshes,
    check_same_colors,
    made_alike,
    numbered_anew,
    objects_of,
    packed_normal_faces,
)
from taichisoft.geometry.records import moved, replace_unchecked


@eager_class
@tree(but=("face_counts", "vertex_counts"))
@dataclass(frozen=True, eq=False)
class MeshBatch:
    """Meshes with different topologies, packed. Usually made by `from_meshes`.

    Parameters
    ----------
    vertices : Tensor, (B, Vmax, 3), float32 or float64
        Positions, padded with zeros after the first ``vertex_counts[b]`` rows of mesh b.
    faces : Tensor, (sum of F, 3), int64
        Faces of mesh 0, then of mesh 1, ... An entry indexes the vertices flattened to
        (B * Vmax, 3), so those of mesh b are ``b * Vmax`` plus the index within the mesh.
    face_counts, vertex_counts : tuple of B ints
        How many faces and vertices each mesh has.
    vertex_colors : Tensor, (B, Vmax, C), optional
        Padded like ``vertices``.
    face_colors : Tensor, (sum of F, C), optional
        In the order of ``faces``. Give vertex or face colours, not both.
    vertex_opacity : Tensor, (B, Vmax), optional
        As for `Mesh`, padded like ``vertices``.
    face_opacity : Tensor, (sum of F), optional
        In the order of ``faces``. Give one of the two.
    materials : tuple of Material, optional
        Those of all meshes, as for `Mesh`.
    face_materials : Tensor, (sum of F), int64, optional
        Which of them each face has, in the order of ``faces``.
    uv : Tensor, (T, 2), optional
        Rows of all meshes.
    uv_faces : Tensor, (sum of F, 3), int64, optional
        Rows of ``uv``, in the order of ``faces``; needed with ``uv``.
    normal_faces : Tensor, (sum of F, 3), int64, optional
        As for `Mesh`, in the order of ``faces``; no number is that of two meshes.
    face_objects : Tensor, (sum of F), int64, optional
        Which object each face is of, as for `Mesh`; each mesh counts from 0.

    Raises
    ------
    TypeError, ValueError
        As for `Mesh`; also if the counts do not add up, or a face uses another mesh's vertices.
    """

    vertices: torch.Tensor
    faces: torch.Tensor
    face_counts: tuple[int, ...]
    vertex_counts: tuple[int, ...]
    vertex_colors: torch.Tensor | None = None
    face_colors: torch.Tensor | None = None
    vertex_opacity: torch.Tensor | None = None
    face_opacity: torch.Tensor | None = None
    materials: tuple[Material, ...] | None = None
    face_materials: torch.Tensor | None = None
    uv: torch.Tensor | None = None
    uv_faces: torch.Tensor | None = None
    normal_faces: torch.Tensor | None = None
    face_objects: torch.Tensor | None = None

    def __post_init__(self) -> None:
        check_tensor(self.vertices, "vertices", ("B", "Vmax", 3))
        check_finite(self.vertices, "vertices")
        self._check_counts()
        check_tensor(self.faces, "faces", (sum(self.face_counts), 3), dtypes=(torch.int64,))
        check_same_device(self.faces, "faces", self.vertices, "vertices")
        for index, faces in enumerate(self._local_faces()):
            check_indices(faces, f"faces of mesh {index}", self.vertex_counts[index], "vertices")
        if self.uv is not None:
            check_tensor(self.uv, "uv", ("T", 2))
            check_type(self.uv_faces, "uv_faces", torch.Tensor)
        assigned_of(self).check(self.vertices, self.num_faces)
        check_normal_faces(self)
        check_face_objects(self)
        self._check_look()

    def __repr__(self) -> str:
        size = size_in_words(sum(self.vertex_counts), self.num_faces)
        return summary(self, f"batch of {counted(self.batch_size, 'mesh', 'meshes')}, {size}")

    @classmethod
    def from_meshes(cls, meshes: Sequence[Mesh]) -> MeshBatch:
        """Pack unbatched meshes, all with the same kind of colours. Differentiable.

        If some have an opacity, all of one kind, the others are opaque. If some have materials, the others
        have a white one, and those without colours have white ones, if others have any. If some are scenes,
        the others are one object. Their ``vertex_data`` is left out.

        Raises
        ------
        TypeError
            An element is not a `Mesh`, or dtypes differ.
        ValueError
            No mesh, a batched mesh, or different devices, kinds of colours or opacity, or
            channel counts.
        """
        meshes = list(meshes)
        check_meshes(meshes)
        for index, mesh in enumerate(meshes):
            if _has_batch_axis(mesh):
                raise ValueError(f"meshes[{index}] must not be batched, got batch axes")
        # Beside materials no colours are white ones.
        check_same_colors(meshes, white=any(mesh.materials is not None for mesh in meshes))
        meshes = made_alike(meshes)
        size = max(mesh.num_vertices for mesh in meshes)
        faces = [mesh.faces for mesh in meshes]
        materials = pack([assigned_of(mesh) for mesh in meshes], faces, meshes[0].vertices)

        def of_vertices(name: str) -> torch.Tensor | None:
            values = [value for mesh in meshes for value in fields_given(mesh, (name,)).values()]
            return _pad(values, size) if values else None

        def of_faces(name: str) -> torch.Tensor | None:
            values = [value for mesh in meshes for value in fields_given(mesh, (name,)).values()]
            return torch.cat(values) if values else None

        return cls(
            vertices=_pad([mesh.vertices for mesh in meshes], size),
            faces=torch.cat([own + b * size for b, own in enumerate(faces)]),
            face_counts=tuple(mesh.num_faces for mesh in meshes),
            vertex_counts=tuple(mesh.num_vertices for mesh in meshes),
            vertex_colors=of_vertices("vertex_colors"),
            face_colors=of_faces("face_colors"),
            vertex_opacity=of_vertices("vertex_opacity"),
            face_opacity=of_faces("face_opacity"),
            **materials._asdict(),
            normal_faces=packed_normal_faces(meshes),
            face_objects=_packed_objects(meshes),
        )

    @classmethod
    def from_lists(
        cls, vertices: Sequence[torch.Tensor], faces: Sequence[torch.Tensor]
    ) -> MeshBatch:
        """Pack lists as PyTorch3D has them: ``from_lists(meshes.verts_list(), meshes.faces_list())``.

        Parameters
        ----------
        vertices : sequence of Tensor, (V, 3)
            Of each mesh.
        faces : sequence of Tensor, (F, 3), int64
            Of each mesh.

        Raises
        ------
        TypeError, ValueError
            Lists of different lengths, or what `Mesh` and `from_meshes` raise.
        """
        vertices, faces = list(vertices), list(faces)
        if len(vertices) != len(faces):
            raise ValueError(
                f"faces must be given for each of {len(vertices)} meshes, got {len(faces)}"
            )
        return cls.from_meshes([Mesh(v, f) for v, f in zip(vertices, faces, strict=True)])

    def to_lists(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return vertices, (V, 3), and faces, (F, 3), of each mesh: ``Meshes(*batch.to_lists())``."""
        meshes = self.split()
        return [mesh.vertices for mesh in meshes], [mesh.faces for mesh in meshes]

    @property
    def batch_size(self) -> int:
        """Number of meshes B."""
        return self.vertices.shape[0]

    @property
    def num_faces(self) -> int:
        """Number of faces of all meshes together."""
        return self.faces.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the vertices."""
        return self.vertices.dtype

    @property
    def device(self) -> torch.device:
        """Device of the vertices."""
        return self.vertices.device

    def with_vertices(self, vertices: torch.Tensor) -> MeshBatch:
        """Return the batch with other positions, (B, Vmax, 3), and the same topologies.

        What the padding rows hold is ignored, but must be finite. Faces are not checked again.
        """
        check_tensor(vertices, "vertices", tuple(self.vertices.shape))
        check_finite(vertices, "vertices")
        check_same_device(vertices, "vertices", self.faces, "faces")
        batch = replace_unchecked(self, vertices=vertices)
        batch._check_look()
        return batch

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MeshBatch:
        """Return the batch on another device, or with another floating dtype. Differentiable."""
        return moved(self, device, dtype)

    def split(self) -> list[Mesh]:
        """Return the meshes one by one, without padding. Differentiable; looks as before `from_meshes`.

        Materials and rows of ``uv`` that a mesh does not use are left out, and each has its ``uv_faces``.
        What was packed beside others has what it lacked and they have: a white material, white colours, an
        opacity of 1, ``normal_faces``, ``face_objects``.
        """
        materials = split(assigned_of(self), self.face_counts)
        face_colors = _split_or_none(self.face_colors, self.face_counts)
        face_opacity = _split_or_none(self.face_opacity, self.face_counts)
        normal_faces = [
            None if own is None else numbered_anew(own)
            for own in _split_or_none(self.normal_faces, self.face_counts)
        ]
        face_objects = _split_or_none(self.face_objects, self.face_counts)
        return [
            Mesh(
                vertices=self.vertices[b, :count],
                faces=faces,
                vertex_colors=_rows_or_none(self.vertex_colors, b, count),
                face_colors=face_colors[b],
                vertex_opacity=_rows_or_none(self.vertex_opacity, b, count),
                face_opacity=face_opacity[b],
                **materials[b]._asdict(),
                normal_faces=normal_faces[b],
                face_objects=face_objects[b],
            )
            for b, (count, faces) in enumerate(
                zip(self.vertex_counts, self._local_faces(), strict=True)
            )
        ]

    def _local_faces(self) -> list[torch.Tensor]:
        size = self.vertices.shape[1]
        return [faces - b * size for b, faces in enumerate(self.faces.split(self.face_counts))]

    def _check_counts(self) -> None:
        batch, size = self.vertices.shape[:2]
        if batch < 1:
            raise ValueError("vertices must hold at least one mesh, got a batch of 0")
        for name in ("face_counts", "vertex_counts"):
            counts = getattr(self, name)
            check_type(counts, name, tuple)
            if len(counts) != batch:
                raise ValueError(f"{name} must have one entry per mesh ({batch}), got {counts}")
            for index, count in enumerate(counts):
                check_integer(count, f"{name}[{index}]", minimum=0)
        if max(self.vertex_counts) > size:
            raise ValueError(
                f"vertex_counts must not exceed the {size} rows of vertices, "
                f"got {self.vertex_counts}"
            )

    def _check_look(self) -> None:
        rows = tuple(self.vertices.shape[:2])
        check_colors(self, ((*rows, "C"),), ((self.num_faces, "C"),))
        check_opacities(self, (rows,), ((self.num_faces,),))
        check_fits(self)


def _has_batch_axis(mesh: Mesh) -> bool:
    """Return whether vertices or look have a batch axis, be it of one mesh."""
    rows = fields_given(mesh, ("vertices", *COLORS, "uv")).values()
    shares = fields_given(mesh, OPACITIES).values()
    return any(x.ndim == 3 for x in rows) or any(x.ndim == 2 for x in shares)


def _rows_or_none(values: torch.Tensor | None, mesh: int, count: int) -> torch.Tensor | None:
    return None if values is None else values[mesh, :count]


def _pad(values: list[torch.Tensor], size: int) -> torch.Tensor:
    """Return rows of several meshes, (V, ...), stacked, each with zeros up to a number of rows."""
    rows = [value.new_zeros(size - len(value), *value.shape[1:]) for value in values]
    return torch.stack([torch.cat(both) for both in zip(values, rows, strict=True)])


def _packed_objects(meshes: Sequence[Mesh]) -> torch.Tensor | None:
    """Return which object of its mesh each face is of, or None if no mesh says so."""
    if all(mesh.face_objects is None for mesh in meshes):
        return None
    return torch.cat([objects_of(mesh) for mesh in meshes])


def _split_or_none(
    values: torch.Tensor | None, counts: tuple[int, ...]
) -> Sequence[torch.Tensor | None]:
    return [None] * len(counts) if values is None else values.split(counts)


collated(Mesh, MeshBatch.from_meshes)
