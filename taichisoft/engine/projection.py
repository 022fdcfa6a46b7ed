"""Projection of meshes by cameras, packed into a scene."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from taichisoft.appearance.sides import Culling, seen_sides
from taichisoft.base.checks import check_batch, check_finite, check_like, check_type
from taichisoft.cameras.camera import Camera
from taichisoft.engine.clipping import clip_at_near_plane
from taichisoft.engine.scene import Scene
from taichisoft.engine.topology import CornerRows, Topology, packed, repeated, repeated_rows
from taichisoft.geometry.attributes import Attributes, colors_of
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch

# Scene units of depth, and pixels, up to which the second derivatives of a render are finite: those of depth
# and colour divide by squares.
FARTHEST = {torch.float32: 1e16, torch.float64: 1e29}


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
    attributes: Attributes | None,
    *,
    source: Tensor | None = None,
    culling: Culling = Culling.NONE,
) -> Scene:
    """Project meshes with cameras and pack them; cut faces that cross the near plane.

    Faces are left out of which a corner, after the cut, has no image in a lens with a distortion.

    Parameters
    ----------
    mesh : Mesh, MeshBatch or list of Mesh
        What to draw. A batch of one is drawn in every image.
    camera : Camera
        One camera for all images, or one for each.
    attributes : Attributes or None
        What to interpolate; by default the colours of the mesh, if it has any.
    source : Tensor, (F,), int64, optional
        What the faces of each mesh are called; by default their numbers.
    culling : Culling
        Which faces are left out, in each image for itself.

    Raises
    ------
    TypeError, ValueError
        Wrong types, shapes, dtypes, devices or batch sizes; a vertex before the near plane that is farther
        away, or projected farther from the image, than `FARTHEST` says.
    """
    mesh = as_drawable(mesh)
    check_type(camera, "camera", Camera)
    attributes = colors_of(mesh) if attributes is None else attributes
    sizes = {"mesh": mesh.batch_size, "camera": camera.batch_size}
    if attributes is not None and not isinstance(mesh, MeshBatch):
        sizes["colors"] = attributes.batch_size
    images = check_batch(sizes)
    check_like(mesh.vertices, "vertices", camera.rotation, "camera")
    # Whether they are finite is seen in what becomes of them.
    points = camera.project_unchecked(mesh.vertices)
    if isinstance(mesh, MeshBatch):
        scene = _pack_different(mesh, points, camera, attributes, source)
    else:
        scene = _pack_shared(mesh, points, images, camera, attributes, source)
    if camera.distortion is None and _is_plain(scene):
        return _culled(scene, mesh, camera, culling)
    check_finite(mesh.vertices, "vertices")
    scene = _culled(scene, mesh, camera, culling)
    scene = clip_at_near_plane(scene, mesh.vertices, camera)
    if camera.distortion is not None:
        scene = _shown(scene)
    _check_range(scene)
    return scene


def unprojected_scene(
    mesh: Mesh | MeshBatch | list[Mesh],
    camera: Camera,
    *,
    source: Tensor | None = None,
    culling: Culling = Culling.NONE,
) -> Scene:
    """Return a scene without attributes whose points are yet to be written; arguments as in `build_scene`."""
    mesh = as_drawable(mesh)
    check_type(camera, "camera", Camera)
    images = check_batch({"mesh": mesh.batch_size, "camera": camera.batch_size})
    check_like(mesh.vertices, "vertices", camera.rotation, "camera")
    points = mesh.vertices.detach().new_empty(images, mesh.vertices.shape[-2], 4)
    if isinstance(mesh, MeshBatch):
        scene = _pack_different(mesh, points, camera, None, source)
    else:
        scene = _pack_shared(mesh, points, images, camera, None, source)
    return _culled(scene, mesh, camera, culling)


def _near(camera: Camera) -> float:
    """Return the near depth, finite: kernels are compiled as if there were no infinity."""
    return max(camera.near, torch.finfo(camera.dtype).min)


def _pack_shared(
    mesh: Mesh,
    points: Tensor,
    images: int,
    camera: Camera,
    attributes: Attributes | None,
    source: Tensor | None,
) -> Scene:
    """Pack one topology for all images."""
    if points.shape[0] != images:
        points = points.expand(images, -1, -1)
    topology = repeated(mesh.faces, images, mesh.num_vertices, source)
    rows = topology.corners
    if attributes is not None:
        step = attributes.values.shape[-2] if attributes.values.ndim == 3 else 0
        if attributes.index is not mesh.faces or step != mesh.num_vertices:
            rows = repeated_rows(attributes.index, images, step)
    return Scene(
        points=points.reshape(-1, 4),
        topology=topology,
        attributes=None if attributes is None else attributes.values.flatten(0, -2),
        attribute_rows=rows,
        image_size=camera.image_size,
        near=_near(camera),
    )


def _pack_different(
    mesh: MeshBatch,
    points: Tensor,
    camera: Camera,
    attributes: Attributes | None,
    source: Tensor | None,
) -> Scene:
    """Pack a topology for each image."""
    topology = packed(mesh.faces, mesh.face_counts, source)
    rows = topology.corners
    if attributes is not None and attributes.index is not mesh.faces:
        rows = CornerRows(attributes.index)
    return Scene(
        points=points.reshape(-1, 4),
        topology=topology,
        attributes=None if attributes is None else attributes.values,
        attribute_rows=rows,
        image_size=camera.image_size,
        near=_near(camera),
    )


def _culled(scene: Scene, mesh: Mesh | MeshBatch, camera: Camera, culling: Culling) -> Scene:
    """Return a scene without the faces that are left out. It is not yet cut: a face goes as a whole."""
    if culling is Culling.NONE:
        return scene
    sides = seen_sides(mesh, camera)
    if isinstance(mesh, Mesh):
        sides = sides.expand(scene.batch_size, -1).reshape(-1)
    return _with_faces(scene, sides >= 0 if culling is Culling.BACK else sides <= 0)


def _shown(scene: Scene) -> Scene:
    """Return a scene without the faces of which a corner has no image, an inverse w of 0.

    Those that are wholly behind the near plane stay, to be left out for that.
    """
    corners = scene.points.detach()[scene.faces]
    shown = (corners[..., 3] > 0).all(1) | (corners[..., 2] < scene.near).any(1)
    return scene if bool(shown.all()) else _with_faces(scene, shown)


def _with_faces(scene: Scene, chosen: Tensor) -> Scene:
    """Return a scene with some of its faces, (N,), bool."""
    kept = chosen.nonzero()[:, 0]
    counts = torch.bincount(scene.face_images[kept], minlength=scene.batch_size)
    topology = Topology(
        CornerRows(scene.faces[kept]), tuple(counts.tolist()), scene.source_face[kept]
    )
    return replace(scene, topology=topology, attribute_rows=CornerRows(scene.attribute_index[kept]))


def _is_plain(scene: Scene) -> bool:
    """Return whether all points are for certain finite, within range and before the near plane.

    The device is waited for once. A point that is not finite, or a vertex that was not, is neither above nor
    below any limit; the fourth number of points far beyond a tiny near plane may be too large.
    """
    points, limit = scene.points.detach(), FARTHEST[scene.points.dtype]
    if not points.numel():
        return True
    least, most, nearest = torch.stack((*torch.aminmax(points), points[:, 2].min())).tolist()
    return -limit <= least and most <= limit and nearest >= scene.near


def _check_range(scene: Scene) -> None:
    """Raise if a number of a face that is drawn is beyond `FARTHEST`."""
    points, limit = scene.points.detach(), FARTHEST[scene.points.dtype]
    if not points.numel() or bool(points[:, :3].abs().amax() <= limit):
        return
    drawn = points[scene.faces]
    drawn = drawn[drawn[..., 2].amin(1) >= scene.near][..., :3].flatten(0, 1)
    beyond = drawn[(drawn.abs() > limit).any(1)]
    if len(beyond):
        x, y, depth = beyond[0].tolist()
        raise ValueError(
            f"vertices must be less than {limit:g} pixels from the image and {limit:g} scene units from the "
            f"camera in {scene.points.dtype}, got one at pixel ({x:g}, {y:g}) in a depth of {depth:g}"
        )
