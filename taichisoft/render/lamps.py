"""Lamps that go with a camera, to show a mesh that has no colours."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.appearance.lights import AmbientLight, DirectionalLight, Lighting, Shading
from taichisoft.appearance.texture import Texture
from taichisoft.cameras.camera import Camera
from taichisoft.geometry.mesh import Mesh

# Towards the light, in the axes of the camera (x right, y down, z forward): over its left shoulder.
LIGHT = (-0.4, -0.6, -0.7)
AMBIENT = 0.25


def lamps_for(
    mesh: Mesh, camera: Camera, colors: Tensor | Texture | None = None
) -> Lighting | None:
    """Return None for a mesh that has colours, of whatever kind, and else light that shows its form."""
    kinds = (colors, mesh.vertex_colors, mesh.face_colors, mesh.materials)
    return over_the_shoulder(camera) if all(kind is None for kind in kinds) else None


def over_the_shoulder(camera: Camera) -> Lighting:
    """Return light that makes of a face ``0.25 + 0.75 |n l|``: both sides are lit alike.

    The light is that of the first camera of a batch.
    """
    light = torch.tensor(LIGHT, dtype=camera.dtype, device=camera.device)
    towards, strength = light @ camera.rotation[0], 1 - AMBIENT
    lamps = [DirectionalLight(direction, strength) for direction in (towards, -towards)]
    return Lighting([AmbientLight(AMBIENT), *lamps], Shading.FLAT)
