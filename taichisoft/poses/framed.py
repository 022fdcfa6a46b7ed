"""Framed: a mesh of any size, at radius 1 about the origin, and the way back to its own units."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from taichisoft.geometry.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Framed:
    """A mesh that was moved to the origin and scaled to a largest radius of 1, as `Mesh.normalized` does.

    Lengths of a softness (gamma) and the near plane of a camera then suit a mesh in any unit. A point X of
    the mesh is at ``(X - center) / radius``.

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
        """Return the translations (B, 3) of the mesh as it was, given those of this one, mesh to camera."""
        return self.radius * translation - (rotation @ self.center)

    def from_mesh_units(self, rotation: Tensor, translation: Tensor) -> Tensor:
        """Return the translations (B, 3) of this mesh, given those of the mesh as it was."""
        return (translation + rotation @ self.center) / self.radius
