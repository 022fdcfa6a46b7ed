"""Alignment: translations that bring the box around a turned mesh to that of its masks."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.poses.evidence import HALF, Evidence

# The mesh, of radius 1, stays in front of the camera.
NEAREST = 1.1
# Of the fixed-point iteration: it converges by the ratio of the depth of the mesh to its distance.
ITERATIONS = 5
# Points that are projected at a time.
POINTS_AT_A_TIME = 2**22
# Where several views are put together: what the distance that one tells counts, next to its directions.
DISTANCE_WEIGHT = 0.01


def aligned(evidence: Evidence, rotation: Tensor, generator: torch.Generator) -> Tensor:
    """Return translations (P, 3) that bring the box around each turned mesh to those of the masks.

    Where a mask is cut off by the border of its image, the box of the object goes on for an unknown length.
    It is drawn at random for each pose, up to the length that is seen.

    Parameters
    ----------
    evidence : Evidence
        Masks, of which one at least has an object.
    rotation : Tensor, (P, 3, 3)
        Of the mesh, in the frame of the first camera.
    generator : torch.Generator
        Of the lengths.
    """
    count, dtype = len(rotation), rotation.dtype
    matrices, vectors = rotation.new_zeros(count, 3, 3), rotation.new_zeros(count, 3)
    for mask, camera in zip(evidence.mask, evidence.camera, strict=True):
        box = _box_of(mask)
        if box is None:
            continue
        unseen = torch.rand(count, 4, generator=generator, dtype=dtype).to(rotation.device)
        middles = _middles(evidence.mesh.vertices, camera, rotation, _beyond(box, mask, unseen))
        # The least squares of what the views say of the place of the mesh in the frame of the first one.
        ray = middles / middles.norm(dim=-1, keepdim=True)
        weight = torch.eye(3).to(ray) - (1 - DISTANCE_WEIGHT) * ray[..., None] * ray[:, None]
        weighted = camera.rotation.mT @ weight
        matrices = matrices + weighted @ camera.rotation
        vectors = vectors + (weighted @ (middles - camera.translation)[..., None])[..., 0]
    return torch.linalg.solve(matrices, vectors)


def _box_of(mask: Tensor) -> Tensor | None:
    """Return left, top, right and bottom of an object, (4,), or None if there is none."""
    rows, columns = torch.nonzero(mask >= HALF * mask.max(), as_tuple=True)
    if mask.max() == 0:
        return None
    ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return torch.stack(ends).to(mask)


def _beyond(box: Tensor, mask: Tensor, unseen: Tensor) -> Tensor:
    """Return boxes (P, 4) that go on beyond the border by shares (P, 4) of their sides."""
    height, width = mask.shape
    cut = box == box.new_tensor([0, 0, width, height])
    size = (box[2:] - box[:2]).repeat(2)
    outwards = box.new_tensor([-1, -1, 1, 1])
    return box + outwards * cut * size * unseen


def _middles(vertices: Tensor, camera: Camera, rotation: Tensor, boxes: Tensor) -> Tensor:
    """Return translations (P, 3), mesh to camera, from the boxes (P, 4) in one view."""
    turned = camera.rotation @ rotation
    chunk = max(1, POINTS_AT_A_TIME // max(len(vertices), 1))
    parts = zip(turned.split(chunk), boxes.split(chunk), strict=True)
    return torch.cat([_fixed_point(vertices @ turn.mT, camera, box) for turn, box in parts])


def _fixed_point(points: Tensor, camera: Camera, boxes: Tensor) -> Tensor:
    """Shift the middle, and divide the depth by the ratio of sizes, a few times."""
    intrinsics = camera.intrinsics[0]
    focal, principal = intrinsics[[0, 1], [0, 1]], intrinsics[:2, 2]
    low, high = boxes[:, :2], boxes[:, 2:]
    middle, size = (low + high) / 2, high - low
    depth = (2 * (focal / size).mean(-1)).clamp(min=NEAREST)
    across = (middle - principal) / focal
    for _ in range(ITERATIONS):
        placed = points + _on_ray(across, depth)[:, None]
        pixels = placed[..., :2] / placed[..., 2:].clamp(min=0.05) * focal + principal
        least, most = pixels.amin(1), pixels.amax(1)
        across = across + (middle - (least + most) / 2) / focal
        ratio = ((most - least) / size).clamp(0.5, 2).log().mean(-1).exp()
        depth = (depth * ratio).clamp(min=NEAREST)
    return _on_ray(across, depth)


def _on_ray(across: Tensor, depth: Tensor) -> Tensor:
    return torch.cat([across * depth[:, None], depth[:, None]], -1)
