"""Triangle meshes: one topology with any number of vertex sets, or a packed batch of topologies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from taichisoft.base.checks import (
    Shape,
    check_batch,
    check_finite,
    check_indices,
    check_integer,
    check_like,
    check_same_device,
    check_shares,
    check_tensor,
    check_type,
)
from taichisoft.base.eager import eager_class
from taichisoft.base.words import counted, summary
from taichisoft.geometry.assigned import Assigned, pack, split
from taichisoft.geometry.material import Material
from taichisoft.geometry.records import moved, replace_unchecked


@eager_class
@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh, or a batch of meshes that share their faces.

    Faces are counter-clockwise seen from outside (the normal ``(b - a) x (c - a)`` points out).
    Degenerate faces (repeated index, zero area) and a mesh without faces are legal.
    The tensors are kept as given, never copied, so gradients flow to them.

    Parameters
    ----------
    vertices : Tensor, (V, 3) or (B, V, 3), float32 or float64
        Positions in scene units.
    faces : Tensor, (F, 3), int64
        Three vertex indices per face, in ``[0, V)``.
    vertex_colors : Tensor, (V, C) or (B, V, C), optional
        Any number of channels per vertex; dtype and device of ``vertices``.
    face_colors : Tensor, (F, C) or (B, F, C), optional
        One colour per face. Give vertex or face colours, not both.
    vertex_opacity : Tensor, (V,) or (B, V), optional
        How much of what is behind each vertex hides, from 0 (nothing) to 1 (all, the default).
    face_opacity : Tensor, (F,) or (B, F), optional
        The same for each face. Give one of the two, with colours of either kind or without.
    materials : tuple of Material, optional
        Plain colours and images, all of C channels. Colours of vertices or faces, of 1 or C channels,
        and opacities are multiplied by those of the materials.
    face_materials : Tensor, (F,), int64, optional
        Which of the materials each face has. By default the first.
    uv : Tensor, (T, 2) or (B, T, 2), optional
        Where images of materials are looked up; any finite numbers, see `Wrap`, and `Texture` for where
        the origin is. Dtype and device of ``vertices``.
    uv_faces : Tensor, (F, 3), int64, optional
        Rows of ``uv`` of the three corners of each face. By default the faces, that is, one row per vertex.
    normal_faces : Tensor, (F, 3), int64, optional
        Hard edges: corners of faces with the same number, in ``[0, 3 F)``, share a normal, that of the faces
        around, weighted by area. By default the faces: corners at the same vertex share one. Light and
        rendered normals follow; they are computed from the vertices, and never stale.
    vertex_data : dict of Tensor, (V,), optional
        Other numbers of the vertices by name, of any dtype, which `to` keeps. Nothing reads them but
        files, which keep them.

    Raises
    ------
    TypeError
        An argument is of a wrong type or dtype.
    ValueError
        Wrong shape, NaN or infinity, index out of range, different devices, both kinds of
        colours or opacities, an opacity outside of [0, 1], batch sizes that are neither equal
        nor 1, materials of different channels, or an image without ``uv``.
    """

    vertices: torch.Tensor
    faces: torch.Tensor
    vertex_colors: torch.Tensor | None = None
    face_colors: torch.Tensor | None = None
    vertex_opacity: torch.Tensor | None = None
    face_opacity: torch.Tensor | None = None
    materials: tuple[Material, ...] | None = None
    face_materials: torch.Tensor | None = None
    uv: torch.Tensor | None = None
    uv_faces: torch.Tensor | None = None
    normal_faces: torch.Tensor | None = None
    vertex_data: Mapping[str, torch.Tensor] | None = None

    def __post_init__(self) -> None:
        _check_vertices(self.vertices)
        check_tensor(self.faces, "faces", ("F", 3), dtypes=(torch.int64,))
        check_same_device(self.faces, "faces", self.vertices, "vertices")
        check_indices(self.faces, "faces", self.num_vertices, "vertices")
        _assigned(self).check(self.vertices, self.num_faces)
        _check_normal_faces(self)
        self._check_data()
        self._check_look()

    def __repr__(self) -> str:
        size = _size_in_words(self.num_vertices, self.num_faces)
        meshes = f"{self.batch_size} meshes of" if self.batch_size > 1 else "mesh of"
        return summary(self, f"{meshes} {size}")

    @classmethod
    def from_trimesh(cls, mesh: Any, dtype: torch.dtype = torch.float32) -> Mesh:
        """Return a ``trimesh.Trimesh`` as a mesh, with its colours or its material.

        Parameters
        ----------
        mesh : trimesh.Trimesh
            Colours of vertices or faces with their opacity; or UV coordinates and a material, of which base
            or diffuse colour, image and opacity are taken; numbers of vertices are in ``vertex_data``.
            Opacity of a PBRMaterial is as its ``alphaMode`` says, see `load_mesh`: without one all is
            opaque. The grey that trimesh gives a SimpleMaterial without a diffuse colour is white beside an
            image.
        dtype : torch.dtype
            float32 or float64; ``vertex_data`` has its own.

        Raises
        ------
        TypeError
            Another type, such as a scene, or several materials (a MultiMaterial).
        ValueError
            An ``alphaMode`` that glTF does not have, or colours that are not finite.

        Warns
        -----
        UserWarning
            Attributes of vertices that are no numbers, or several for each vertex, are left out.
        """
        from taichisoft.files.trimesh_meshes import from_trimesh  # sugar

        return from_trimesh(mesh, dtype)

    def to_trimesh(self) -> Any:
        """Return the mesh as a ``trimesh.Trimesh``, on the CPU, with colours or one material in 8 bits.

        Vertices are repeated where UV coordinates have a seam.

        Raises
        ------
        ValueError
            A batch axis, colours that are not grey, RGB or RGBA, or are far outside of [0, 1].

        Warns
        -----
        UserWarning
            Something that trimesh does not hold is left out: several materials, colours beside a material,
            opacity of vertices or faces without colours (beside them it makes RGBA), UV coordinates without a
            material, another wrap than REPEAT, hard edges.
        """
        from taichisoft.files.trimesh_meshes import to_trimesh  # sugar

        return to_trimesh(self)

    @property
    def num_vertices(self) -> int:
        """Number of vertices V."""
        return self.vertices.shape[-2]

    @property
    def num_faces(self) -> int:
        """Number of faces F."""
        return self.faces.shape[0]

    @property
    def batch_size(self) -> int:
        """Number of meshes B: the largest batch axis of vertices and look, 1 without one."""
        return max(_batch_of(self.vertices), *self._look_batches().values(), 1)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the vertices."""
        return self.vertices.dtype

    @property
    def device(self) -> torch.device:
        """Device of the vertices."""
        return self.vertices.device

    def with_vertices(self, vertices: torch.Tensor) -> Mesh:
        """Return the mesh with other positions, (V, 3) or (B, V, 3), and the same topology.

        Faces are not checked again, so this is cheap enough for an optimisation loop.
        """
        _check_vertices(vertices)
        if vertices.shape[-2] != self.num_vertices:
            raise ValueError(
                f"vertices must keep the {self.num_vertices} vertices of the mesh, "
                f"got {vertices.shape[-2]}"
            )
        check_same_device(vertices, "vertices", self.faces, "faces")
        mesh = replace_unchecked(self, vertices=vertices)
        mesh._check_look()
        return mesh

    def with_vertex_colors(self, vertex_colors: torch.Tensor | None) -> Mesh:
        """Return the mesh with these colours per vertex, (V, C) or (B, V, C); None removes them.

        Colours per face, if any, are dropped.
        """
        mesh = replace_unchecked(self, vertex_colors=vertex_colors, face_colors=None)
        mesh._check_look()
        return mesh

    def with_face_colors(self, face_colors: torch.Tensor | None) -> Mesh:
        """Return the mesh with these colours per face, (F, C) or (B, F, C); None removes them.

        Colours per vertex, if any, are dropped.
        """
        mesh = replace_unchecked(self, vertex_colors=None, face_colors=face_colors)
        mesh._check_look()
        return mesh

    def with_vertex_opacity(self, vertex_opacity: torch.Tensor | None) -> Mesh:
        """Return the mesh with this opacity per vertex, (V,) or (B, V); None makes it opaque.

        Opacity per face, if any, is dropped; colours stay.
        """
        mesh = replace_unchecked(self, vertex_opacity=vertex_opacity, face_opacity=None)
        mesh._check_look()
        return mesh

    def with_face_opacity(self, face_opacity: torch.Tensor | None) -> Mesh:
        """Return the mesh with this opacity per face, (F,) or (B, F); None makes it opaque.

        Opacity per vertex, if any, is dropped; colours stay.
        """
        mesh = replace_unchecked(self, vertex_opacity=None, face_opacity=face_opacity)
        mesh._check_look()
        return mesh

    def with_materials(
        self,
        materials: Sequence[Material] | None,
        face_materials: torch.Tensor | None = None,
        uv: torch.Tensor | None = None,
        uv_faces: torch.Tensor | None = None,
    ) -> Mesh:
        """Return the mesh with these materials; None removes them, and which face has which.

        Of the other arguments, which are those of `Mesh`, None keeps what the mesh has. Colours and opacity
        of vertices and faces stay.
        """
        check_type(materials, "materials", (tuple, list, type(None)))
        kept = Assigned(
            None if materials is None else tuple(materials),
            self.face_materials if face_materials is None else face_materials,
            self.uv if uv is None else uv,
            self.uv_faces if uv_faces is None else uv_faces,
        )
        if materials is None:
            kept = kept._replace(face_materials=face_materials)
        kept.check(self.vertices, self.num_faces)
        mesh = replace_unchecked(self, **kept._asdict())
        mesh._check_look()
        return mesh

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Mesh:
        """Return the mesh on another device, or with another floating dtype. Differentiable.

        Raises
        ------
        ValueError
            A float64 number is beyond what float32 holds, about 3.4e38.
        """
        return moved(self, device, dtype)

    def normalized(self) -> Mesh:
        """Return the mesh centred on its bounding box and scaled to a largest radius of 1.

        Each mesh of a batch is normalised by itself. The map is differentiable. A mesh whose
        vertices all coincide is only moved to the origin.
        """
        if self.num_vertices == 0:
            return self
        low, high = self.vertices.amin(-2, keepdim=True), self.vertices.amax(-2, keepdim=True)
        centred = self.vertices - (low / 2 + high / 2)
        # Squares overflow and underflow long before the numbers do; a power of two rounds nothing.
        largest = centred.detach().abs().amax((-2, -1), keepdim=True)
        scaled = centred / torch.ldexp(torch.ones_like(largest), largest.frexp().exponent - 1)
        square = scaled.square().sum(-1).amax(-1)[..., None, None]
        radius = torch.where(square > 0, square, torch.ones_like(square)).sqrt()
        return self.with_vertices(scaled / radius)

    def _check_data(self) -> None:
        check_type(self.vertex_data, "vertex_data", (Mapping, type(None)))
        for name, value in (self.vertex_data or {}).items():
            check_type(name, "names of vertex_data", str)
            where = f"vertex_data[{name!r}]"
            check_type(value, where, torch.Tensor)
            check_tensor(value, where, (self.num_vertices,), dtypes=(value.dtype,))
            check_same_device(value, where, self.vertices, "vertices")

    def _look_batches(self) -> dict[str, int]:
        """Return the batch sizes of colours, coordinates and opacity, as far as there are any."""
        colors, opacities = _given(self, (*COLORS, "uv")), _given(self, OPACITIES)
        sizes = {name: _batch_of(value) for name, value in colors.items()}
        return sizes | {name: _batch_of(value[..., None]) for name, value in opacities.items()}

    def _check_look(self) -> None:
        vertices, faces = (self.num_vertices, "C"), (self.num_faces, "C")
        _check_colors(self, (vertices, ("B", *vertices)), (faces, ("B", *faces)))
        _check_opacities(
            self,
            ((self.num_vertices,), ("B", self.num_vertices)),
            ((self.num_faces,), ("B", self.num_faces)),
        )
        _check_fits(self)
        check_batch({"vertices": _batch_of(self.vertices), **self._look_batches()})


@eager_class
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
        _assigned(self).check(self.vertices, self.num_faces)
        _check_normal_faces(self)
        self._check_look()

    def __repr__(self) -> str:
        size = _size_in_words(sum(self.vertex_counts), self.num_faces)
        return summary(self, f"batch of {counted(self.batch_size, 'mesh', 'meshes')}, {size}")

    @classmethod
    def from_meshes(cls, meshes: Sequence[Mesh]) -> MeshBatch:
        """Pack unbatched meshes, all with the same kind of colours. Differentiable.

        If some have an opacity, all of one kind, the others are opaque. If some have materials, the others
        have a white one, and those without colours have white ones, if others have any. Their
        ``vertex_data`` is left out.

        Raises
        ------
        TypeError
            An element is not a `Mesh`, or dtypes differ.
        ValueError
            No mesh, a batched mesh, or different devices, kinds of colours or opacity, or
            channel counts.
        """
        meshes = list(meshes)
        _check_packable(meshes)
        size = max(mesh.num_vertices for mesh in meshes)
        vertex_opacity, face_opacity = _packed_opacity(meshes, size)
        faces = [mesh.faces for mesh in meshes]
        assigned = pack([_assigned(mesh) for mesh in meshes], faces, meshes[0].vertices)
        meshes = [_with_white(mesh, meshes) for mesh in meshes]
        vertex_colors = [m.vertex_colors for m in meshes if m.vertex_colors is not None]
        face_colors = [m.face_colors for m in meshes if m.face_colors is not None]
        return cls(
            vertices=_pad([mesh.vertices for mesh in meshes], size),
            faces=torch.cat([mesh.faces + b * size for b, mesh in enumerate(meshes)]),
            face_counts=tuple(mesh.num_faces for mesh in meshes),
            vertex_counts=tuple(mesh.num_vertices for mesh in meshes),
            vertex_colors=_pad(vertex_colors, size) if vertex_colors else None,
            face_colors=torch.cat(face_colors) if face_colors else None,
            vertex_opacity=vertex_opacity,
            face_opacity=face_opacity,
            **assigned._asdict(),
            normal_faces=_packed_normal_faces(meshes),
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
        opacity of 1, ``normal_faces``.
        """
        assigned = split(_assigned(self), self.face_counts)
        face_colors = _split_or_none(self.face_colors, self.face_counts)
        face_opacity = _split_or_none(self.face_opacity, self.face_counts)
        normal_faces = _split_or_none(self.normal_faces, self.face_counts)
        return [
            Mesh(
                vertices=self.vertices[b, :count],
                faces=faces,
                vertex_colors=_rows_or_none(self.vertex_colors, b, count),
                face_colors=face_colors[b],
                vertex_opacity=_rows_or_none(self.vertex_opacity, b, count),
                face_opacity=face_opacity[b],
                **assigned[b]._asdict(),
                normal_faces=_numbered_anew(normal_faces[b]),
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
        _check_colors(self, ((*rows, "C"),), ((self.num_faces, "C"),))
        _check_opacities(self, (rows,), ((self.num_faces,),))
        _check_fits(self)


COLORS = ("vertex_colors", "face_colors")
OPACITIES = ("vertex_opacity", "face_opacity")


def _size_in_words(vertices: int, faces: int) -> str:
    return f"{counted(vertices, 'vertex', 'vertices')}, {counted(faces, 'face', 'faces')}"


def _given(record: Mesh | MeshBatch, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Return those of the fields of these names that are not None."""
    return {name: getattr(record, name) for name in names if getattr(record, name) is not None}


def _assigned(record: Mesh | MeshBatch) -> Assigned:
    return Assigned(record.materials, record.face_materials, record.uv, record.uv_faces)


def _check_fits(record: Mesh | MeshBatch) -> None:
    """Check that materials fit vertices and colours; what they are in themselves has been checked."""
    assigned = _assigned(record)
    assigned.check_like(record.vertices)
    for name, value in _given(record, COLORS).items():
        assigned.check_tint(value.shape[-1], name)


def _check_vertices(vertices: torch.Tensor) -> None:
    check_tensor(vertices, "vertices", ("V", 3), ("B", "V", 3))
    check_finite(vertices, "vertices")


def _check_normal_faces(record: Mesh | MeshBatch) -> None:
    index = record.normal_faces
    if index is not None:
        check_tensor(index, "normal_faces", (record.num_faces, 3), dtypes=(torch.int64,))
        check_same_device(index, "normal_faces", record.vertices, "vertices")
        check_indices(index, "normal_faces", 3 * record.num_faces, "corners of faces")


def _packed_normal_faces(meshes: list[Mesh]) -> torch.Tensor | None:
    """Return which corners of several meshes share a normal, or None if it is as the vertices say."""
    if all(mesh.normal_faces is None for mesh in meshes):
        return None
    rows, start = [], 0
    for mesh in meshes:
        own = _numbered_anew(mesh.faces if mesh.normal_faces is None else mesh.normal_faces)
        assert own is not None, "there are faces, if only of number 0"
        rows.append(own + start)
        start += 3 * mesh.num_faces
    return torch.cat(rows)


def _numbered_anew(index: torch.Tensor | None) -> torch.Tensor | None:
    """Return an index with the same corners alike, whose numbers are 0, 1 and so on."""
    if index is None:
        return None
    return torch.unique(index, return_inverse=True)[1].reshape(index.shape)


def _check_colors(
    record: Mesh | MeshBatch, of_vertices: tuple[Shape, ...], of_faces: tuple[Shape, ...]
) -> None:
    """Check that there are colours of one kind at most, of one of its shapes."""
    if record.vertex_colors is not None and record.face_colors is not None:
        raise ValueError("vertex_colors and face_colors must not both be given")
    for name, shapes in (("vertex_colors", of_vertices), ("face_colors", of_faces)):
        value = getattr(record, name)
        if value is not None:
            check_tensor(value, name, *shapes)
            check_like(value, name, record.vertices, "vertices")
            check_finite(value, name)


def _check_opacities(
    record: Mesh | MeshBatch, of_vertices: tuple[Shape, ...], of_faces: tuple[Shape, ...]
) -> None:
    """Check that there are opacities of one kind at most, of one of its shapes, in [0, 1]."""
    given = _given(record, OPACITIES)
    if len(given) > 1:
        raise ValueError("vertex_opacity and face_opacity must not both be given")
    for name, value in given.items():
        check_tensor(value, name, *(of_vertices if name == OPACITIES[0] else of_faces))
        check_like(value, name, record.vertices, "vertices")
        check_shares(value, name)


def _batch_of(value: torch.Tensor) -> int:
    return value.shape[0] if value.ndim == 3 else 1


def _check_packable(meshes: list[Mesh]) -> None:
    if not meshes:
        raise ValueError("meshes must hold at least one mesh, got none")
    for index, mesh in enumerate(meshes):
        check_type(mesh, f"meshes[{index}]", Mesh)
        has_axis = [x.ndim == 3 for x in (mesh.vertices, *_given(mesh, (*COLORS, "uv")).values())]
        if any(has_axis) or any(x.ndim == 2 for x in _given(mesh, OPACITIES).values()):
            raise ValueError(f"meshes[{index}] must not be batched, got batch axes")
        check_like(mesh.vertices, f"meshes[{index}]", meshes[0].vertices, "meshes[0]")
    # Beside materials no colours are white ones.
    mixed = any(mesh.materials is not None for mesh in meshes)
    first = (_first_colored(meshes) or 0) if mixed else 0
    for index, mesh in enumerate(meshes):
        if mixed and not _given(mesh, COLORS):
            continue
        if _describe_colors(mesh) != _describe_colors(meshes[first]):
            raise ValueError(
                f"meshes[{index}] must have the colours of meshes[{first}] "
                f"({_describe_colors(meshes[first])}), got {_describe_colors(mesh)}"
            )


def _first_colored(meshes: list[Mesh]) -> int | None:
    return next((index for index, mesh in enumerate(meshes) if _given(mesh, COLORS)), None)


def _with_white(mesh: Mesh, meshes: list[Mesh]) -> Mesh:
    """Return a mesh with white colours, if it has none and others have some."""
    first = _first_colored(meshes)
    if first is None or _given(mesh, COLORS):
        return mesh
    ((name, colors),) = _given(meshes[first], COLORS).items()
    count = mesh.num_vertices if name == COLORS[0] else mesh.num_faces
    return replace_unchecked(mesh, **{name: colors.new_ones(count, colors.shape[-1])})


def _describe_colors(mesh: Mesh) -> str:
    for name, colors in _given(mesh, COLORS).items():
        return f"{colors.shape[-1]} channels of {name}"
    return "no colours"


def _packed_opacity(
    meshes: list[Mesh], size: int
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the opacity of vertices or faces, 1 for a mesh without, or None if no mesh has any."""
    names = {name for mesh in meshes for name in _given(mesh, OPACITIES)}
    if len(names) > 1:
        raise ValueError("meshes must not have vertex_opacity and face_opacity, got some of each")
    if not names:
        return None, None
    values = []
    for mesh in meshes:
        count = mesh.num_vertices if OPACITIES[0] in names else mesh.num_faces
        found = _given(mesh, OPACITIES).values()
        values.append(next(iter(found), mesh.vertices.new_ones(count)))
    if OPACITIES[0] in names:
        return _pad([value[:, None] for value in values], size)[..., 0], None
    return None, torch.cat(values)


def _rows_or_none(values: torch.Tensor | None, mesh: int, count: int) -> torch.Tensor | None:
    return None if values is None else values[mesh, :count]


def _pad(values: list[torch.Tensor], size: int) -> torch.Tensor:
    return torch.stack(
        [torch.nn.functional.pad(value, (0, 0, 0, size - value.shape[0])) for value in values]
    )


def _split_or_none(
    values: torch.Tensor | None, counts: tuple[int, ...]
) -> Sequence[torch.Tensor | None]:
    return [None] * len(counts) if values is None else values.split(counts)
