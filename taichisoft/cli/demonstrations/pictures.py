"""Pictures of the demonstrations: masks laid over each other, and meshes shaded by their faces."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.normals import face_normals
from taichisoft.render.face_ids import nearest_faces
from taichisoft.render.image import magnified, mean_of_blocks

# Colours in [0, 1]: where both masks are, what lacks, what is too much, and where nothing is.
BOTH, MISSING, EXCESS = (0.91, 0.91, 0.894), (0.227, 0.525, 0.824), (0.902, 0.494, 0.133)
EMPTY = (0.149, 0.157, 0.18)
# Pixels along an axis for one of a shaded picture, and the light of a face that is seen from its edge.
FINE, DIMMEST = 3, 0.25


def compared(alpha: Tensor, target: Tensor) -> Tensor:
    """Return masks (H, W) laid over each other, (H, W, 3): what lacks blue, what is too much orange."""
    got, wanted = alpha[..., None], target[..., None]
    both, missing, excess = got * wanted, (1 - got) * wanted, got * (1 - wanted)
    empty = 1 - both - missing - excess
    parts = zip((both, missing, excess, empty), (BOTH, MISSING, EXCESS, EMPTY), strict=True)
    return torch.stack([share * share.new_tensor(color) for share, color in parts]).sum(0)


def shaded(mesh: Mesh, camera: Camera) -> Tensor:
    """Return a picture of a mesh, (H, W, 3): faces are the lighter the more they face the camera."""
    fine = magnified(camera, FINE)
    faces = nearest_faces(mesh, fine)
    forward = camera.rotation[0, 2]
    facing = (face_normals(mesh) @ forward).abs()
    light = DIMMEST + (1 - DIMMEST) * facing
    # One more, for the pixels of no face.
    colors = torch.cat([light[:, None] * light.new_tensor(BOTH), light.new_tensor([EMPTY])])
    return torch.stack(
        [mean_of_blocks(channel, FINE)[0] for channel in colors[faces].unbind(-1)], -1
    )


def enlarged(picture: Tensor, factor: int) -> Tensor:
    """Return a picture (H, W, 3) with each pixel a square of so many."""
    return picture.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
