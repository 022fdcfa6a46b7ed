"""Renders as torch graphs of fragment maps that Taichi differentiates: exact to the second order.

A fragment is a face at a pixel within its reach. A map takes each fragment to its contribution, and torch
sums those into the pixels. Memory grows with the number of fragments. Second derivatives are made so, but for
those of silhouettes on the CPU (`taichisoft.engine.vector_second`), of which this is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from taichisoft.engine.fragment_map import FragmentMap
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.inputs import BlendInputs, CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.fragment_fields import COORDINATES, COVERAGE, SHARES
from taichisoft.softness.curves import Curve

Shader = Callable[[Tensor, Tensor], Tensor]

# The depth in front of nothing, as in the kernels.
FAR = 1e30


def total_of_fragments(
    job: RasterJob,
    curve: Curve,
    winner: Tensor | None,
    inputs: CoverageInputs,
    *,
    differentiated: bool = True,
) -> Tensor:
    """Return (B, H, W): the curve summed over fragments, or of the winning face of each pixel.

    Parameters
    ----------
    job : RasterJob
        The render.
    curve : Curve
        The generator of coverage.
    winner : Tensor, (B * H * W), int32, or None
        The face of the maximum, -1 for none; None to sum.
    inputs : CoverageInputs
        What the result is differentiable in.
    differentiated : bool
        False if only the second derivative is wanted; then the result is zero.
    """
    points, cells, slope_cells, width = inputs
    fragments = Fragments.within_reach(job, curve.numbers(points))
    if winner is not None:
        fragments = fragments.kept(winner[fragments.pixels_as_index] == fragments.face)
    over = FragmentMap(COVERAGE, job, fragments, curve, curve, differentiated=differentiated)
    widths = torch.stack([width, torch.ones_like(width)]).to(points)
    none = points.new_zeros(1, 4)
    values = over(points, widths, cells, slope_cells, none, points.new_zeros(max(over.size, 1)))
    total = points.new_zeros(job.pixels).index_add(0, fragments.pixels_as_index, values[:, 0])
    return total.reshape(job.images, job.height, job.width)


def sums_of_fragments(
    job: RasterJob,
    curve: Curve,
    occlusion: Curve,
    front_face: Tensor,
    inputs: BlendInputs,
) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depths and weighted attributes, summed.

    Parameters
    ----------
    job : RasterJob
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    front_face : Tensor, (B * H * W), int32
        The face that is nearest at each pixel, -1 for none.
    inputs : BlendInputs
        What the result is differentiable in.
    """
    scene = job.scene
    fragments, share = _shares(job, curve, occlusion, front_face, inputs)
    corner_depth = gathered(inputs.points, scene.faces[fragments.faces_as_index])[..., 2]
    corner_rows = scene.attribute_index[fragments.faces_as_index]
    corner_attributes = gathered(inputs.attributes, corner_rows)
    parts = [
        share.sum(-1, keepdim=True),
        (share * corner_depth).sum(-1, keepdim=True),
        (share.unsqueeze(-1) * corner_attributes).sum(1),
    ]
    return _summed(job, fragments, torch.cat(parts, -1))


def shaded_sums_of_fragments(
    job: RasterJob, curve: Curve, occlusion: Curve, front_face: Tensor, shader: Shader
) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depths and the colours that a shader gives, summed.

    Parameters
    ----------
    job : RasterJob
        The render, with the attributes that the shader wants.
    curve, occlusion : Curve
        Coverage and occlusion.
    front_face : Tensor, (B * H * W), int32
        The face that is nearest at each pixel, -1 for none.
    shader : callable
        Takes attributes at the fragments, (N, A), and the image of each, (N,), to colours, (N, C).
    """
    scene, points = job.scene, job.scene.points
    inputs = BlendInputs.of(job, curve, occlusion)
    fragments, share = _shares(job, curve, occlusion, front_face, inputs)
    # Most fragments are hidden; where the weight is zero, so are its derivatives.
    seen = share.detach().sum(-1) != 0
    fragments, share = fragments.kept(seen), share[seen]
    # Not share / weight, which loses digits of a small weight and its derivative.
    at = _coordinates(job, fragments, curve, occlusion, inputs)
    corners = scene.attribute_index[fragments.faces_as_index]
    attributes = (at.unsqueeze(-1) * gathered(scene.channels, corners)).sum(1)
    image = fragments.pixels_as_index // (job.height * job.width)
    weight = share.sum(-1, keepdim=True)
    depths = gathered(points, scene.faces[fragments.faces_as_index])[..., 2]
    depth = (share * depths).sum(-1, keepdim=True)
    parts = [weight, depth, weight * shader(attributes, image)]
    return _summed(job, fragments, torch.cat(parts, -1))


def gathered(rows: Tensor, index: Tensor) -> Tensor:
    """Return ``rows[index]``: its gradient by index_add, quicker than that of indexing and in order."""
    # Not -1 for the columns: there may be no fragments.
    return rows.index_select(0, index.reshape(-1)).reshape(*index.shape, rows.shape[1])


def _shares(
    job: RasterJob,
    curve: Curve,
    occlusion: Curve,
    front_face: Tensor,
    inputs: BlendInputs,
) -> tuple[Fragments, Tensor]:
    """Return the fragments of a render, and (N, 3): their weights times perspective coordinates."""
    points = inputs.points
    nearest = Fragments.of_faces(front_face, job.num_faces)
    at = _coordinates(job, nearest, curve, occlusion, inputs)
    corner_depth = gathered(points, job.scene.faces[nearest.faces_as_index])[..., 2]
    depth = (at * corner_depth).sum(-1)
    front = points.new_full((job.pixels,), FAR).index_put((nearest.pixels_as_index,), depth)

    fragments = Fragments.within_reach(job, curve.numbers(points))
    over = FragmentMap(SHARES, job, fragments, curve, occlusion)
    return fragments, over(*_softness(inputs), front[fragments.pixels_as_index])


def _coordinates(
    job: RasterJob,
    fragments: Fragments,
    curve: Curve,
    occlusion: Curve,
    inputs: BlendInputs,
) -> Tensor:
    """Return (N, 3): perspective-correct barycentric coordinates of fragments."""
    over = FragmentMap(COORDINATES, job, fragments, curve, occlusion)
    return over(*_softness(inputs), inputs.points.new_zeros(max(over.size, 1)))


def _softness(inputs: BlendInputs) -> tuple[Tensor, ...]:
    """Return what a fragment map depends on but for the front depth."""
    widths = torch.stack([inputs.width, inputs.gamma]).to(inputs.points)
    return inputs.points, widths, inputs.cells, inputs.slope_cells, inputs.keep_cells


def _summed(job: RasterJob, fragments: Fragments, values: Tensor) -> Tensor:
    """Return (B, H, W, C): values of fragments, (N, C), summed into their pixels."""
    sums = values.new_zeros(job.pixels, values.shape[1])
    sums = sums.index_add(0, fragments.pixels_as_index, values)
    return sums.reshape(job.images, job.height, job.width, -1)
