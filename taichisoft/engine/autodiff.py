"""Renders as torch graphs of fragment maps that Taichi differentiates: exact to the second order.

A fragment is a face at a pixel within its reach. A map takes each fragment to its contribution, and torch
sums those into the pixels. Memory grows with the number of fragments.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from taichisoft.engine.fragment_map import FragmentMap
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.fragment_fields import COORDINATES, COVERAGE, SHARES
from taichisoft.softness.curves import Curve

Shader = Callable[[Tensor, Tensor], Tensor]

# The depth in front of nothing, as in the kernels.
FAR = 1e30


def total_of_fragments(
    buffers: RasterJob,
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
    buffers : RasterJob
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
    buffers: RasterJob,
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
    buffers : RasterJob
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    front_face : Tensor, (B * H * W), int32
        The face that is nearest at each pixel, -1 for none.
    points, attributes, cells, slope_cells, width, keep_cells, gamma : Tensor
        What the result is differentiable in.
    """
    scene = buffers.scene
    softness = (width, gamma, cells, slope_cells, keep_cells)
    fragments, share = _shares(buffers, curve, occlusion, front_face, points, *softness)
    corner_depth = points[scene.faces[fragments.faces_as_index], 2]
    corner_attributes = attributes[scene.attribute_index[fragments.faces_as_index]]
    parts = [
        share.sum(-1, keepdim=True),
        (share * corner_depth).sum(-1, keepdim=True),
        (share.unsqueeze(-1) * corner_attributes).sum(1),
    ]
    return _summed(buffers, fragments, torch.cat(parts, -1))


def shaded_sums_of_fragments(
    buffers: RasterJob, curve: Curve, occlusion: Curve, front_face: Tensor, shader: Shader
) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depths and the colours that a shader gives, summed.

    Parameters
    ----------
    buffers : RasterJob
        The render, with the attributes that the shader wants.
    curve, occlusion : Curve
        Coverage and occlusion.
    front_face : Tensor, (B * H * W), int32
        The face that is nearest at each pixel, -1 for none.
    shader : callable
        Takes attributes at the fragments, (N, A), and the image of each, (N,), to colours, (N, C).
    """
    scene, points = buffers.scene, buffers.scene.points
    softness = (
        curve.width,
        occlusion.width,
        curve.cells(points),
        curve.slope_cells(points),
        occlusion.cells(points),
    )
    fragments, share = _shares(buffers, curve, occlusion, front_face, points, *softness)
    # Most fragments are hidden; where the weight is zero, so are its derivatives.
    seen = share.detach().sum(-1) != 0
    fragments, share = fragments.kept(seen), share[seen]
    # Not share / weight, which loses digits of a small weight and its derivative.
    at = _coordinates(buffers, fragments, curve, occlusion, points, *softness)
    corners = scene.attribute_index[fragments.faces_as_index]
    attributes = (at.unsqueeze(-1) * gathered(scene.channels, corners)).sum(1)
    image = fragments.pixels_as_index // (buffers.height * buffers.width)
    weight = share.sum(-1, keepdim=True)
    depths = gathered(points, scene.faces[fragments.faces_as_index])[..., 2]
    depth = (share * depths).sum(-1, keepdim=True)
    parts = [weight, depth, weight * shader(attributes, image)]
    return _summed(buffers, fragments, torch.cat(parts, -1))


def gathered(rows: Tensor, index: Tensor) -> Tensor:
    """Return ``rows[index]``: its gradient by index_add, which is quicker than that of indexing."""
    return rows.index_select(0, index.reshape(-1)).reshape(*index.shape, -1)


def _shares(
    buffers: RasterJob,
    curve: Curve,
    occlusion: Curve,
    front_face: Tensor,
    points: Tensor,
    width: Tensor,
    gamma: Tensor,
    *cells: Tensor,
) -> tuple[Fragments, Tensor]:
    """Return the fragments of a render, and (N, 3): their weights times perspective coordinates."""
    nearest = Fragments.of_faces(front_face, buffers.num_faces)
    at = _coordinates(buffers, nearest, curve, occlusion, points, width, gamma, *cells)
    depth = (at * points[buffers.scene.faces[nearest.faces_as_index], 2]).sum(-1)
    front = points.new_full((buffers.pixels,), FAR).index_put((nearest.pixels_as_index,), depth)

    fragments = Fragments.within_reach(buffers, curve.numbers(points))
    over = FragmentMap(SHARES, buffers, fragments, curve, occlusion)
    widths = torch.stack([width, gamma]).to(points)
    return fragments, over(points, widths, *cells, front[fragments.pixels_as_index])


def _coordinates(
    buffers: RasterJob,
    fragments: Fragments,
    curve: Curve,
    occlusion: Curve,
    points: Tensor,
    width: Tensor,
    gamma: Tensor,
    *cells: Tensor,
) -> Tensor:
    """Return (N, 3): perspective-correct barycentric coordinates of fragments."""
    over = FragmentMap(COORDINATES, buffers, fragments, curve, occlusion)
    widths = torch.stack([width, gamma]).to(points)
    return over(points, widths, *cells, points.new_zeros(max(over.size, 1)))


def _summed(buffers: RasterJob, fragments: Fragments, values: Tensor) -> Tensor:
    """Return (B, H, W, C): values of fragments, (N, C), summed into their pixels."""
    sums = values.new_zeros(buffers.pixels, values.shape[1])
    sums = sums.index_add(0, fragments.pixels_as_index, values)
    return sums.reshape(buffers.images, buffers.height, buffers.width, -1)
