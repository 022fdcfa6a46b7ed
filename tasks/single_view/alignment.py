"""Alignment: the turns about the vertical axis by which shapes differ that were learned without poses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft import Camera, Mesh
from tasks.single_view.network import PoseNetwork
from tasks.single_view.photographs import Photographs

# Angles that are tried, and the error beyond which an image counts as lost.
ANGLES, LOST = 180, 45.0
CHUNK = 64


@torch.no_grad()
def believed_azimuths(poses: PoseNetwork, photographs: Photographs) -> Tensor:
    """Return the azimuth that is told with the best score for every image, (M,) in degrees."""
    rows = torch.arange(len(photographs))
    return torch.cat(
        [poses(photographs.pictures(some)).best().azimuth[:, 0] for some in rows.split(CHUNK)]
    )


def azimuths_of(camera: Camera) -> Tensor:
    """Return the azimuths of cameras, (B,) in degrees, as `Camera.orbit` has them."""
    x, _, z = camera.position.unbind(-1)
    return torch.rad2deg(torch.atan2(x, z))


def best_turn(told: Tensor, true: Tensor) -> float:
    """Return the turn in degrees by which azimuths that were told differ from the true ones.

    It has the least mean difference, where one beyond 45 degrees counts as that: images that are told wrongly
    say nothing of it.
    """
    angles = torch.arange(ANGLES) * (360 / ANGLES)
    errors = turned_by(told[:, None] - angles, true[:, None])
    return float(angles[errors.clamp(max=LOST).mean(0).argmin()])


def turns_of_categories(told: Tensor, photographs: Photographs) -> dict[str, float]:
    """Return the turn of each category in degrees, as `best_turn` has it.

    Each has its own: an image tells what kind of object it shows, and nothing is gained or lost where all
    chairs are learned turned by as much.

    Parameters
    ----------
    told : Tensor, (M,)
        Azimuths that were told for the images of the photographs, in degrees.
    photographs : Photographs
        Their cameras are the true ones.
    """
    true = azimuths_of(photographs.camera)
    rows = photographs.rows_by_category()
    return {category: best_turn(told[some], true[some]) for category, some in rows.items()}


def turned_by(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle between azimuths, in [0, 180] degrees."""
    return ((first - second + 180) % 360 - 180).abs()


def turned_back(mesh: Mesh, degrees: float) -> Mesh:
    """Return a mesh whose azimuths are less by so many degrees."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = mesh.vertices.new_tensor([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    return mesh.with_vertices(mesh.vertices @ turn.T)
