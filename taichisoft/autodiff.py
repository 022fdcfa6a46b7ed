"""Renders as torch graphs of fragment maps that Taichi differentiates: exact to the second order.

A fragment is a face at a pixel within its reach. A map takes each fragment to its contribution, and torch
sums those into the pixels. Memory grows with the number of fragments.
"""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.buffers import Buffers
from taichisoft.curve import Curve
from taichisoft.fragment_map import FragmentMap
from taichisoft.fragments import Fragments
from taichisoft.kernels.fragment_fields import COORDINATES, COVERAGE, SHARES

# The depth in front of nothing, as in the kernels.
FAR = 1e30


def total_of_fragments(
    buffers: Buffers,
    curve: Curve,
    winner: Tensor | None,
    points: Tensor,
    cells: Tensor,
    slope_cells: Tensor,
    width: Tensor,
    *,
    differentiated: bool = True,
) -> Tensor:
    """Return (B, H, W): the curve summed over fragments, or of the winning face of each pixel.

    Parameters
    ----------
    buffers : Buffers
        The render.
    curve : Curve
        The generator of coverage.
    winner : Tensor, (B * H * W), int32, or None
        The face of the maximum, -1 for none; None to sum.
    points, cells, slope_cells, width : Tensor
        What the result is differentiable in.
    differentiated : bool
        False if only the second derivative is wanted; then the result is zero.
    """
    fragments = Fragments.within_reach(buffers, curve.numbers(points))
    if winner is not None:
        fragments = fragments.kept(winner[fragments.pixels_as_index] == fragments.face)
    over = FragmentMap(COVERAGE, buffers, fragments, curve, curve, differentiated=differentiated)
    widths = torch.stack([width, torch.ones_like(width)]).to(points)
    none = points.new_zeros(1, 4)
    values = over(points, widths, cells, slope_cells, none, points.new_zeros(max(over.size, 1)))
    total = points.new_zeros(buffers.pixels).index_add(0, fragments.pixels_as_index, values[:, 0])
    return total.reshape(buffers.images, buffers.height, buffers.width)


def sums_of_fragments(
    buffers: Buffers,
    curve: Curve,
    occlusion: Curve,
    front_face: Tensor,
    points: Tensor,
    attributes: Tensor,
    cells: Tensor,
    slope_cells: Tensor,
    width: Tensor,
    keep_cells: Tensor,
    gamma: Tensor,
) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depths and weighted attributes, summed.

    Parameters
    ----------
    buffers : Buffers
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    front_face : Tensor, (B * H * W), int32
        The face that is nearest at each pixel, -1 for none.
    points, attributes, cells, slope_cells, width, keep_cells, gamma : Tensor
        What the result is differentiable in.
    """
    widths = torch.stack([width, gamma]).to(points)
    scene = buffers.scene
    softness = (widths, cells, slope_cells, keep_cells)

    nearest = Fragments.of_faces(front_face, buffers.num_faces)
    over = FragmentMap(COORDINATES, buffers, nearest, curve, occlusion)
    at = over(points, *softness, points.new_zeros(max(over.size, 1)))
    depth = (at * points[scene.faces[nearest.faces_as_index], 2]).sum(-1)
    front = points.new_full((buffers.pixels,), FAR).index_put((nearest.pixels_as_index,), depth)

    fragments = Fragments.within_reach(buffers, curve.numbers(points))
    over = FragmentMap(SHARES, buffers, fragments, curve, occlusion)
    share = over(points, *softness, front[fragments.pixels_as_index])
    corner_depth = points[scene.faces[fragments.faces_as_index], 2]
    corner_attributes = attributes[scene.attribute_index[fragments.faces_as_index]]
    parts = [
        share.sum(-1, keepdim=True),
        (share * corner_depth).sum(-1, keepdim=True),
        (share.unsqueeze(-1) * corner_attributes).sum(1),
    ]
    sums = points.new_zeros(buffers.pixels, 2 + attributes.shape[1])
    sums = sums.index_add(0, fragments.pixels_as_index, torch.cat(parts, -1))
    return sums.reshape(buffers.images, buffers.height, buffers.width, -1)
