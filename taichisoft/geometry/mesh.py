"""Triangle meshes: one topology with any number of vertex sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from taichisoft.base.checks import (
    check_batch,
    check_indices,
    check_like,
    check_same_device,
    check_tensor,
    check_type,
)
from taichisoft.base.eager import eager_class
from taichisoft.base.precision import full_precision
from taichisoft.base.trees import tree
from taichisoft.base.words import summary
from taichisoft.geometry.assigned import Assigned
from taichisoft.geometry.look import (
    COLORS,
    OPACITIES,
    assigned_of,
    batch_of,
    check_colors,
    check_face_objects,
    check_fits,
    check_normal_faces,
    check_opacities,
    check_vertices,
    fields_given,
    size_in_words,
)
from taichisoft.geometry.material import Material
from taichisoft.geometry.records import moved, replace_unchecked


@eager_class
@tree()
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
    face_objects : Tensor, (F,), int64, optional
        Which object of a scene each face is of, from 0 on: what `join` gives. A render tells how much of each
        is seen, ``renderer(mesh, camera, objects=True).objects``.
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
    face_objects: torch.Tensor | None = None
    vertex_data: Mapping[str, torch.Tensor] | None = None

    def __post_init__(self) -> None:
        check_vertices(self.vertices)
        check_tensor(self.faces, "faces", ("F", 3), dtypes=(torch.int64,))
        check_same_device(self.faces, "faces", self.vertices, "vertices")
        check_indices(self.faces, "faces", self.num_vertices, "vertices")
        assigned_of(self).check(self.vertices, self.num_faces)
        check_normal_faces(self)
        check_face_objects(self)
        self._check_data()
        self._check_look()

    def __repr__(self) -> str:
        size = size_in_words(self.num_vertices, self.num_faces)
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
        return max(batch_of(self.vertices), *self._look_batches().values(), 1)

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
        check_vertices(vertices)
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

    def transformed(self, rotation: torch.Tensor, translation: torch.Tensor) -> Mesh:
        """Return the mesh elsewhere: a point x of it is at ``rotation @ x + translation``. Differentiable.

        Parameters
        ----------
        rotation : Tensor, (3, 3) or (B, 3, 3)
            Dtype and device of the mesh. Not checked to be a rotation: any matrix is applied, so that a
            multiple of a rotation scales as well. A reflection turns faces inside out.
        translation : Tensor, (3,) or (B, 3)
            In scene units.

        Raises
        ------
        TypeError, ValueError
            A wrong type, shape, dtype, device or batch size.
        """
        check_tensor(rotation, "rotation", (3, 3), ("B", 3, 3))
        check_tensor(translation, "translation", (3,), ("B", 3))
        for name, value in (("rotation", rotation), ("translation", translation)):
            check_like(value, name, self.vertices, "vertices")
        sizes = {
            "vertices": batch_of(self.vertices),
            "rotation": batch_of(rotation),
            "translation": batch_of(translation[..., None, :]),
        }
        check_batch(sizes)
        return self.with_vertices(self._turned(rotation) + translation[..., None, :])

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

    @full_precision
    def _turned(self, rotation: torch.Tensor) -> torch.Tensor:
        return self.vertices @ rotation.mT

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
        colors, opacities = fields_given(self, (*COLORS, "uv")), fields_given(self, OPACITIES)
        sizes = {name: batch_of(value) for name, value in colors.items()}
        return sizes | {name: batch_of(value[..., None]) for name, value in opacities.items()}

    def _check_look(self) -> None:
        vertices, faces = (self.num_vertices, "C"), (self.num_faces, "C")
        check_colors(self, (vertices, ("B", *vertices)), (faces, ("B", *faces)))
        check_opacities(
            self,
            ((self.num_vertices,), ("B", self.num_vertices)),
            ((self.num_faces,), ("B", self.num_faces)),
        )
        check_fits(self)
        check_batch({"vertices": batch_of(self.vertices), **self._look_batches()})
