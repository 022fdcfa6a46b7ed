"""Cameras that look at the origin from a distance, an elevation and an azimuth, each bounded smoothly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from taichisoft import Camera, Mesh
from tasks.arguments import Unknowns

# Bounds that no step crosses: the camera stays outside of the sphere around the mesh, by this factor, and
# half the field of view between these.
CLEARANCE = 1.05
HALF_FOV_BOUNDS = (1.0, 80.0)
# How abruptly the bounds set in, per unit of distance and per degree: at the extreme starts the bounded
# value differs from the raw one by less than 2e-4 degrees, and 4e-5 units for a mesh of radius 1.15.
DISTANCE_SHARPNESS = 10.0
FOV_SHARPNESS = 1.0


def place(
    mesh: Mesh,
    turn: Tensor,
    values: Unknowns,
    *,
    image_size: tuple[int, int],
    radius: float | None = None,
) -> tuple[Mesh, Camera]:
    """Return the mesh, and a camera for each view of it.

    Parameters
    ----------
    mesh : Mesh
        The mesh, without batch axes.
    turn : Tensor, (P, 3, 3)
        Rotation of the mesh in front of the target's camera.
    values : dict of Tensor
        "distance", "elevation", "azimuth" and "fov", each (P,), bounded here. Differentiable.
    image_size : (int, int)
        Height and width in pixels.
    radius : float, optional
        That of the mesh, if it is known.
    """
    rotation = orbit(values["elevation"], values["azimuth"]) @ turn
    radius = radius_of(mesh) if radius is None else radius
    distance = bounded_distance(values["distance"], radius)
    fov = 2 * bounded_half_fov(values["fov"])
    return mesh, camera_in_front(distance, fov, image_size, rotation)


def camera_in_front(
    distance: Tensor, fov: Tensor, image_size: tuple[int, int], turn: Tensor | None = None
) -> Camera:
    """Return cameras on the z axis that look at the origin, from distances and fields of view (P,).

    What `Camera.look_at` gives there, to the last bit, in a few operations.

    Parameters
    ----------
    distance, fov : Tensor, (P,)
        In scene units, positive, and in degrees between 0 and 180.
    image_size : (int, int)
        Height and width in pixels.
    turn : Tensor, (P, 3, 3), optional
        A rotation of the world in front of the cameras, which is made theirs: they see its points as they are
        after the turn. To multiply all points by it would take longer, and give the same numbers.
    """
    height, width = image_size
    zero = torch.zeros_like(distance)
    focal = (height / 2) / torch.tan(torch.deg2rad(fov) / 2)
    # x to the right, y down, z forwards.
    axes = distance.new_tensor([1.0, -1.0, -1.0])
    rotation = axes.diag().expand(len(distance), 3, 3) if turn is None else axes[:, None] * turn
    middle = focal.new_tensor([[0, 0, width / 2], [0, 0, height / 2], [0, 0, 1]])
    scaled = focal[:, None, None] * focal.new_tensor([1, 1, 0]).diag()
    translation = torch.stack([zero, zero, distance], -1)
    return Camera(rotation, translation, middle + scaled, image_size)


def orbit(elevation: Tensor, azimuth: Tensor) -> Tensor:
    """Return rotations (P, 3, 3) from the world to the axes of a camera in orbit around the origin.

    Their rows are the camera's right, up and backward directions; at 0 and 0 these are x, y and z.
    Elevation and azimuth, (P,), are in degrees.
    """
    e, a = torch.deg2rad(elevation), torch.deg2rad(azimuth)
    rows = [
        (a.cos(), torch.zeros_like(a), -a.sin()),
        (-e.sin() * a.sin(), e.cos(), -e.sin() * a.cos()),
        (e.cos() * a.sin(), e.sin(), e.cos() * a.cos()),
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def bounded_distance(distance: Tensor, radius: float) -> Tensor:
    """Return a distance that is never less than 1.05 radii; beyond, it soon is the one given."""
    nearest = CLEARANCE * radius
    return nearest + softplus(distance - nearest, beta=DISTANCE_SHARPNESS)


def bounded_half_fov(fov: Tensor) -> Tensor:
    """Return half a field of view between 1 and 80 degrees; well between, it is the one given."""
    low, high = HALF_FOV_BOUNDS
    raised = low + softplus(fov - low, beta=FOV_SHARPNESS)
    return high - softplus(high - raised, beta=FOV_SHARPNESS)


def radius_of(mesh: Mesh) -> float:
    """Return the distance of the farthest vertex from the origin."""
    return float(mesh.vertices.detach().norm(dim=-1).max())
