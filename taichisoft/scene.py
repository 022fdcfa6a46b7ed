"""What the kernels see: projected points and packed faces, without knowledge of meshes or cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from taichisoft.base.checks import check_batch, check_type
from taichisoft.cameras.camera import Camera
from taichisoft.clipping import clip_at_near_plane
from taichisoft.geometry.attributes import Attributes, colors_of, with_colors
from taichisoft.geometry.mesh import Mesh, MeshBatch


@dataclass(frozen=True, eq=False)
class Scene:
    """Projected geometry of a batch of images.

    Parameters
    ----------
    points : Tensor, (P, 4)
        x and y in pixels, depth, inverse w of the vertices of all images.
    faces : Tensor, (N, 3), int64
        Rows of `points`; the faces of an image are consecutive.
    face_counts : tuple of int
        Number of faces of each image.
    attributes : Tensor, (A, C), or None
        Colours, and whatever else is to be interpolated.
    attribute_index : Tensor, (N, 3), int64
        Rows of `attributes` of the three corners of each face.
    image_size : tuple of int
        Height and width.
    near : float
        Faces with a vertex nearer than this are not drawn. `build_scene` has cut those that cross it.
    source_face : Tensor, (N,), int64
        Which face of its mesh each face is, or is a part of: faces of every mesh are counted from 0.
    """

    points: Tensor
    faces: Tensor
    face_counts: tuple[int, ...]
    attributes: Tensor | None
    attribute_index: Tensor
    image_size: tuple[int, int]
    near: float
    source_face: Tensor

    @property
    def batch_size(self) -> int:
        """Number of images."""
        return len(self.face_counts)

    @property
    def channels(self) -> Tensor:
        """The attributes, with no columns if there are none."""
        if self.attributes is None:
            return self.points.new_zeros(self.points.shape[0], 0)
        return self.attributes

    @property
    def face_images(self) -> Tensor:
        """The image of each face, (N,), int64."""
        counts = torch.tensor(self.face_counts, device=self.points.device)
        return torch.arange(self.batch_size, device=self.points.device).repeat_interleave(counts)

    def in_canonical_order(self) -> Scene:
        """Return this scene with the faces of each image in an order that follows from their corners.

        Sums over faces are then taken in the same order whatever the order of the faces was.
        """
        corners = self.points.detach()[self.faces].flatten(1)
        colors = self.channels.detach()[self.attribute_index].flatten(1)
        rows = torch.cat([self.face_images[:, None].to(corners), corners, colors], 1)
        rank = torch.unique(rows, dim=0, return_inverse=True)[1]
        order = torch.argsort(rank, stable=True)
        return replace(
            self,
            faces=self.faces[order],
            attribute_index=self.attribute_index[order],
            source_face=self.source_face[order],
        )


def as_drawable(mesh: Mesh | MeshBatch | list[Mesh]) -> Mesh | MeshBatch:
    """Return what can be drawn as a mesh, or as a batch of more than one topology."""
    if isinstance(mesh, (list, tuple)):
        mesh = MeshBatch.from_meshes(mesh)
    check_type(mesh, "mesh", (Mesh, MeshBatch))
    if isinstance(mesh, MeshBatch) and mesh.batch_size == 1:
        return mesh.split()[0]
    return mesh


def build_scene(
    mesh: Mesh | MeshBatch | list[Mesh],
    camera: Camera,
    colors: Tensor | Attributes | None,
    *,
    canonical: bool = False,
) -> Scene:
    """Project meshes with cameras and pack them; cut faces that cross the near plane.

    Parameters
    ----------
    mesh : Mesh, MeshBatch or list of Mesh
        What to draw. A batch of one is drawn in every image.
    camera : Camera
        One camera for all images, or one for each.
    colors : Tensor, Attributes or None
        Colours instead of the mesh's own, see `taichisoft.geometry.attributes.with_colors`, or anything
        else to interpolate.
    canonical : bool
        Whether the faces come in canonical order, and hence are cut in that order as well.

    Raises
    ------
    TypeError, ValueError
        Wrong types, shapes, dtypes, devices or batch sizes.
    """
    mesh = as_drawable(mesh)
    check_type(camera, "camera", Camera)
    if isinstance(colors, Attributes):
        attributes: Attributes | None = colors
    else:
        mesh = mesh if colors is None else with_colors(mesh, colors)
        attributes = colors_of(mesh)
    sizes = {"mesh": mesh.batch_size, "camera": camera.batch_size}
    if attributes is not None and not isinstance(mesh, MeshBatch):
        sizes["colors"] = attributes.batch_size
    images = check_batch(sizes)
    view = camera.to_view(mesh.vertices)
    points = camera.to_image(view)
    if isinstance(mesh, MeshBatch):
        scene = _pack_different(mesh, points, camera, attributes)
    else:
        scene = _pack_shared(mesh, points, images, camera, attributes)
    if canonical:
        scene = scene.in_canonical_order()
    return clip_at_near_plane(scene, view.expand(images, -1, -1).reshape(-1, 3), camera)


def _pack_shared(
    mesh: Mesh, points: Tensor, images: int, camera: Camera, attributes: Attributes | None
) -> Scene:
    """Pack one topology for all images."""
    offset = torch.arange(images, device=mesh.device)[:, None, None]
    if points.shape[0] != images:
        points = points.expand(images, -1, -1)
    faces = mesh.faces + offset * mesh.num_vertices
    index = faces
    if attributes is not None:
        own_rows = attributes.values.ndim == 3
        index = attributes.index + offset * (attributes.values.shape[-2] if own_rows else 0)
    source = torch.arange(mesh.num_faces, device=mesh.device)
    return Scene(
        points=points.reshape(-1, 4),
        faces=faces.reshape(-1, 3),
        face_counts=(mesh.num_faces,) * images,
        attributes=None if attributes is None else attributes.values.flatten(0, -2),
        attribute_index=index.reshape(-1, 3),
        image_size=camera.image_size,
        near=camera.near,
        source_face=source.repeat(images),
    )


def _pack_different(
    mesh: MeshBatch, points: Tensor, camera: Camera, attributes: Attributes | None
) -> Scene:
    """Pack a topology for each image."""
    return Scene(
        points=points.reshape(-1, 4),
        faces=mesh.faces,
        face_counts=mesh.face_counts,
        attributes=None if attributes is None else attributes.values,
        attribute_index=mesh.faces if attributes is None else attributes.index,
        image_size=camera.image_size,
        near=camera.near,
        source_face=torch.cat([torch.arange(n, device=mesh.device) for n in mesh.face_counts]),
    )
