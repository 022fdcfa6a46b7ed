"""Framing: a mesh of any size at radius 1 about the origin, and the distance that shows all of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.geometry.mesh import Mesh

# Share of the image, along the tighter of its axes, that a framed mesh spans.
FILL = 0.9
# Distance that is left between a framed mesh and the camera.
CLEARANCE = 0.05


@dataclass(frozen=True, eq=False)
class Framed:
    """A mesh that was moved to the origin and scaled to a largest radius of 1, as `Mesh.normalized` does.

    Lengths of a softness (gamma) and the near plane of a camera then suit a mesh in any unit.

    Parameters
    ----------
    mesh : Mesh
        The moved one.
    center : Tensor, (3,)
        Where the origin was: the middle of the bounding box.
    radius : float
        What 1 was.
    """

    mesh: Mesh
    center: Tensor
    radius: float

    @classmethod
    def of(cls, mesh: Mesh) -> Framed:
        """Frame one mesh, without batch axes."""
        center = mesh.vertices.amin(0) / 2 + mesh.vertices.amax(0) / 2
        # in float64: squares of large float32 numbers overflow
        radius = float((mesh.vertices - center).double().norm(dim=-1).max()) or 1.0
        return cls(mesh.normalized(), center, radius)

    def in_mesh_units(self, rotation: Tensor, translation: Tensor) -> Tensor:
        """Return the translations (B, 3) of cameras for the mesh as it was, given those for this one."""
        return self.radius * translation - (rotation @ self.center)


def filling_distance(
    vertices: Tensor, azimuth: float, elevation: float, fov: float, image_size: tuple[int, int]
) -> float:
    """Return the distance from which the vertices (V, 3) just span `FILL` of the view.

    The least d with ``|x| f <= FILL W / 2 (d + z)`` for the camera coordinates (x, y, z) relative to the
    origin of every vertex, and the same for y and H.
    """
    camera = Camera.orbit(1.0, azimuth, elevation, fov=fov, image_size=image_size)
    points = vertices @ camera.rotation[0].mT
    half = FILL / 2 * torch.tensor([image_size[1], image_size[0]])
    needed = (points[:, :2].abs() * camera.intrinsics[0, 0, 0] / half).amax(-1) - points[:, 2]
    return float(torch.maximum(needed, CLEARANCE - points[:, 2]).max())
