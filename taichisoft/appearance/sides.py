"""Sides of faces: from which one a camera sees them, and which faces are left out for that."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch

# Roundings that the cosine of a face seen edge-on may be.
NOISE = 8


class Culling(Enum):
    """Which faces are left out. Outside is where they are counter-clockwise.

    NONE
        No face: both sides are drawn.
    BACK
        Those that the camera sees from inside. Of a closed mesh that is the far side. It is hidden, but with
        soft edges it shows through the seams between faces, and adds to alpha at the rim of the silhouette.
    FRONT
        Those that the camera sees from outside. Of a closed mesh its far side remains, seen from inside.
    """

    NONE = "none"
    BACK = "back"
    FRONT = "front"


@torch.no_grad()
def seen_sides(mesh: Mesh | MeshBatch, camera: Camera) -> Tensor:
    """Return from which side cameras see faces: 1 from outside, -1 from inside, 0 edge-on or without area.

    Decided by the side of the plane of a face that the camera is on (orthographic: from where it looks), so
    that it also holds for faces that cross the near plane, and for cameras that mirror. Without a gradient.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        As `taichisoft.engine.projection.as_drawable` returns it.
    camera : Camera
        One for all images, or one for each.

    Returns
    -------
    Tensor, (B, F), or (1, F) if it is the same for all images; (sum of F) of a `MeshBatch`
        In the dtype of the mesh.

    Raises
    ------
    TypeError, ValueError
        As `Camera.project`.
    """
    given = mesh.vertices
    # Apple's devices have no float64.
    dtype = given.dtype if given.device.type == "mps" else torch.float64
    rotation = camera.rotation.to(dtype)
    view = camera.to(dtype=dtype).to_view(given.detach().to(dtype))
    flips = torch.linalg.det(rotation).sign().expand(len(view))[:, None, None]
    if isinstance(mesh, MeshBatch):
        flips = flips.expand(*view.shape[:2], 1).flatten(0, 1)
        view = view.flatten(0, 1)
    a, b, c = (view.index_select(-2, corners) for corners in mesh.faces.unbind(1))
    normals = torch.linalg.cross(b - a, c - a)
    sight = a if camera.perspective else a.new_tensor([0.0, 0.0, 1.0]).expand_as(a)
    if isinstance(mesh, MeshBatch):
        flips = flips.index_select(0, mesh.faces[:, 0])
    along = -(normals * sight).sum(-1) * flips[..., 0]
    lengths = torch.linalg.vector_norm(normals, dim=-1) * torch.linalg.vector_norm(sight, dim=-1)
    edge_on = along.abs() <= NOISE * torch.finfo(given.dtype).eps * lengths
    return torch.where(edge_on, 0, along.sign()).to(given.dtype)
