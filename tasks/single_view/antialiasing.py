"""Antialiased silhouette edges for hard images, whose gradient moves the edges.

After Laine et al., "Modular Primitives for High-Performance Differentiable Rendering" (2020), section 3.6:
where two neighbouring pixels show different faces, and a silhouette edge of the nearer one passes between
their centres, the pixel that it has partly left, or partly entered, gets a share of the other one's colour.
Between neighbours in a row these are the edges that are steeper than 45 degrees, in a column the others. An
edge is looked for among those of the face that is seen: where faces are narrower than pixels, some edges are
neither antialiased nor have a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.geometry.topology import half_edges


class Edges:
    """The edges of one closed topology.

    Parameters
    ----------
    faces : Tensor, (F, 3), int64
        An edge that is of one face alone is always on the silhouette.
    """

    def __init__(self, faces: Tensor):
        self.faces = faces
        edges = half_edges(faces).sort(1).values
        _, index = torch.unique(edges, dim=0, return_inverse=True)
        # (F, 3): the number of the edge from each corner to the next.
        self.of_face = index.reshape(3, -1).T
        self.count = int(index.max()) + 1

    def on_silhouette(self, points: Tensor) -> Tensor:
        """Return which edges are on the outline for projected vertices (B, V, 2), (B, F, 3) bool."""
        a, b, c = points[:, self.faces].unbind(2)
        u, v = b - a, c - a
        front = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0] < 0
        sides = points.new_zeros(len(points), self.count)
        shown = front.to(points).repeat_interleave(3, 1)
        sides.index_add_(1, self.of_face.flatten(), shown)
        return (sides == 1)[:, self.of_face]


def antialiased(
    image: Tensor, face_ids: Tensor, depth: Tensor, points: Tensor, edges: Edges
) -> Tensor:
    """Return images with antialiased silhouettes. Differentiable in images and points.

    Parameters
    ----------
    image : Tensor, (B, H, W, C)
        Hard, with whatever channels.
    face_ids : Tensor, (B, H, W)
        The face that is seen, -1 for none.
    depth : Tensor, (B, H, W)
        Of these.
    points : Tensor, (B, V, 2)
        Projected vertices in pixels.
    edges : Edges
        Of their topology.
    """
    outline = edges.on_silhouette(points.detach())
    far = torch.where(face_ids < 0, torch.inf, depth.detach())
    added = torch.zeros_like(image).flatten(0, 2)
    for axis in (1, 0):
        added = added + _along(axis, image, face_ids, far, points, edges, outline)
    return image + added.view_as(image)


def _along(
    axis: int,
    image: Tensor,
    face_ids: Tensor,
    far: Tensor,
    points: Tensor,
    edges: Edges,
    outline: Tensor,
) -> Tensor:
    """Return what neighbours along x (axis 1) or y (axis 0) add to each pixel, (B H W, C)."""
    size = face_ids.shape[1 + axis]
    first, second = (face_ids.narrow(1 + axis, start, size - 1) for start in (0, 1))
    where = (first != second).nonzero()
    step = where.new_tensor([0, int(axis == 0), int(axis == 1)])
    pixels = torch.stack([where, where + step])
    nearer = _at(far, pixels[1]) < _at(far, pixels[0])
    # (N, 3): the pixel of the nearer face, and the other one.
    inner = torch.where(nearer[:, None], pixels[1], pixels[0])
    outer = torch.where(nearer[:, None], pixels[0], pixels[1])
    pair, reach = _crossings(axis, inner, outer, face_ids, points, edges, outline)
    inner, outer = inner[pair], outer[pair]
    # How far the surface goes beyond the border of the two pixels; negative if it does not get there.
    beyond = (reach - 0.5)[:, None]
    difference = _at(image, inner) - _at(image, outer)
    target = torch.where(beyond > 0, outer, inner)
    height, width = face_ids.shape[1:]
    index = (target[:, 0] * height + target[:, 1]) * width + target[:, 2]
    return torch.zeros_like(image).flatten(0, 2).index_add(0, index, beyond * difference)


def _crossings(
    axis: int,
    inner: Tensor,
    outer: Tensor,
    face_ids: Tensor,
    points: Tensor,
    edges: Edges,
    outline: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the index of each pair of pixels that an edge passes between, and where.

    That is in (0, 1): from the centre of the inner pixel to that of the outer one.
    """
    batch, face = inner[:, 0], _at(face_ids, inner)
    corners = points[batch[:, None], edges.faces[face]]
    along, across = (0, 1) if axis == 1 else (1, 0)
    start, end = corners, corners.roll(-1, 1)
    # Coordinates are (x, y), pixels (image, row, column); centres are at one half.
    centre = inner[:, [2, 1]] + 0.5
    direction = (outer - inner)[:, [2, 1]].to(points)
    from_start = start[..., across] - centre[:, across, None]
    from_end = end[..., across] - centre[:, across, None]
    passes = (from_start.detach() < 0) != (from_end.detach() < 0)
    run, rise = ((end - start).detach()[..., i].abs() for i in (along, across))
    # Every edge counts once: edges of 45 degrees between neighbours in a row.
    steep = (rise >= run) if axis == 1 else (rise > run)
    slope = torch.where(passes, from_end - from_start, 1.0)
    place = start[..., along] - from_start / slope * (end - start)[..., along]
    reach = (place - centre[:, along, None]) * direction[:, along, None]
    between = (reach.detach() > 0) & (reach.detach() < 1)
    pair, edge = (passes & steep & between & outline[batch, face]).nonzero().unbind(1)
    return pair, reach[pair, edge]


def _at(values: Tensor, pixels: Tensor) -> Tensor:
    """Return the values (B, H, W, ...) at pixels (N, 3)."""
    image, row, column = pixels.unbind(1)
    return values[image, row, column]
