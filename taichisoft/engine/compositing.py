"""Compositing front to back as a graph of torch: over all pairs of faces at a pixel. Private.

The oracle of the kernels, and what second derivatives are made of. Memory grows with the number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from taichisoft.base.memory import check_fits
from taichisoft.engine.autodiff import gathered
from taichisoft.engine.fragment_map import FragmentMap
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.blend_functions import TIES
from taichisoft.engine.kernels.fragment_fields import COORDINATES, COVERAGE
from taichisoft.softness.curves import CompositeCurves, Curve

Shader = Callable[[Tensor, Tensor], Tensor]

# Pairs that are looked at together.
PAIRS = 2**22
# Numbers that a pair takes if its gradient is kept.
PAIR_NUMBERS = 40


@dataclass(frozen=True, eq=False)
class Layers:
    """Fragments, sorted by pixel.

    Parameters
    ----------
    pixel : Tensor, (N,), int64
        Ascending.
    face : Tensor, (N,), int64
        Ascending within a pixel.
    coverage, generator, depth : Tensor, (N,)
        With opacity; depth in scene units.
    tolerance : Tensor, (N,)
        Depths that differ by less are equal.
    gamma : Tensor, (N,)
        The width of the order in the image of the pixel.
    """

    pixel: Tensor
    face: Tensor
    coverage: Tensor
    generator: Tensor
    depth: Tensor
    tolerance: Tensor
    gamma: Tensor


def composite_fragments(
    job: RasterJob,
    curves: CompositeCurves,
    inputs: CompositeInputs,
    *,
    opacity: bool = False,
    shader: Shader | None = None,
) -> Tensor:
    """Return (B, H, W, 3 + C): total of the generator, and sums of w, w z and w times the colours.

    Parameters
    ----------
    job : RasterJob
        The render.
    curves : CompositeCurves
    inputs : CompositeInputs
        What the result is differentiable in.
    opacity : bool
        Whether the last column of the attributes, or of what the shader returns, is an opacity.
    shader : callable, optional
        Takes attributes at the fragments, (N, A), and the image of each, (N,), to colours, (N, C).
    """
    layers, colors = layers_of(job, curves, inputs, opacity=opacity, shader=shader)
    weight = weights_of(layers, curves, inputs).unsqueeze(-1)
    values = torch.cat(
        [layers.generator[:, None], weight, weight * layers.depth[:, None], weight * colors], -1
    )
    return _summed(job, layers.pixel, values, curves.takes_max)


def layers_of(
    job: RasterJob,
    curves: CompositeCurves,
    inputs: CompositeInputs,
    *,
    opacity: bool = False,
    shader: Shader | None = None,
    fragments: Fragments | None = None,
) -> tuple[Layers, Tensor]:
    """Return the fragments of a render, sorted by pixel, and their colours, (N, C).

    Arguments as of `composite_fragments`; `fragments` are all, unless some of them are given.
    """
    points = inputs.points
    if fragments is None:
        fragments = Fragments.within_reach(job, curves.coverage.numbers(points))
    depth, coverage, generator, tolerance, rows = fragment_values(job, curves, inputs, fragments)
    faces, pixels = fragments.faces_as_index, fragments.pixels_as_index
    image = pixels // (job.height * job.width)
    colors = rows if shader is None else shader(rows, image)
    if opacity:
        colors, opaque = colors[:, :-1], colors[:, -1]
        coverage = coverage * opaque
        generator = _part(curves, inputs)(coverage - 1)
    order = torch.argsort(pixels, stable=True)
    layers = Layers(
        pixels[order],
        faces[order],
        coverage[order],
        generator[order],
        depth[order],
        tolerance[order],
        inputs.gammas[image[order]],
    )
    return layers, colors[order]


def fragment_values(
    job: RasterJob, curves: CompositeCurves, inputs: CompositeInputs, fragments: Fragments
) -> tuple[Tensor, ...]:
    """Return depth, coverage, its generator, and tolerance of fragments, (N,), and attributes, (N, A)."""
    scene, points = job.scene, inputs.points
    widths = torch.stack([inputs.width, torch.ones_like(inputs.width)]).to(points)
    none, unused = points.new_zeros(1, 4), points.new_zeros(max(len(fragments.face), 1))

    def mapped(kind: int, curve: Curve, cells: Tensor, slopes: Tensor) -> Tensor:
        over = FragmentMap(kind, job, fragments, curve, curve)
        return over(points, widths, cells, slopes, none, unused)

    generator = mapped(COVERAGE, curves.generator, inputs.generator_cells, inputs.generator_slopes)
    coverage = mapped(COVERAGE, curves.coverage, inputs.cells, inputs.slope_cells)
    at = mapped(COORDINATES, curves.coverage, inputs.cells, inputs.slope_cells)
    faces = fragments.faces_as_index
    corner_depth = gathered(points, scene.faces[faces])[..., 2]
    # Of a level face to the last bit, as kernels have it.
    first = corner_depth[:, 0]
    depth = first + (at[:, 1:] * (corner_depth[:, 1:] - first[:, None])).sum(-1)
    rows = (at.unsqueeze(-1) * gathered(inputs.attributes, scene.attribute_index[faces])).sum(1)
    tie = 0.0 if curves.by_index else TIES[torch.finfo(points.dtype).bits]
    tolerance = tie * corner_depth.detach().abs().amax(-1)
    return depth, coverage[:, 0], generator[:, 0], tolerance, rows


def weights_of(layers: Layers, curves: CompositeCurves, inputs: CompositeInputs) -> Tensor:
    """Return (N,): what each fragment adds to alpha behind those in front of it."""
    in_front = torch.zeros_like(layers.coverage)
    whole = torch.zeros_like(layers.coverage)
    for behind, front in _pairs(layers):
        amount, wholly = _in_front(layers, curves, inputs, behind, front)
        whole = whole.index_add(0, behind, torch.where(wholly, amount, 0).detach())
        if curves.takes_max:
            winner = first_of_largest(behind, amount.detach(), len(in_front))
            kept = torch.zeros_like(amount, dtype=torch.bool)
            kept[winner] = True
            amount = torch.where(kept, amount, 0)
        in_front = in_front.index_add(0, behind, amount)
    if curves.takes_max:
        return torch.relu(layers.generator - in_front)
    inverse = replace(curves.inverse, cells=inputs.inverse_cells)
    return inverse.added(in_front, whole, layers.generator)


def _in_front(
    layers: Layers,
    curves: CompositeCurves,
    inputs: CompositeInputs,
    behind: Tensor,
    front: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return for pairs of fragments ``g(h D)`` of the one in front of the other, and if it is wholly."""
    order = replace(curves.order, cells=inputs.order_cells)
    difference = layers.depth[behind] - layers.depth[front]
    tolerance = torch.maximum(layers.tolerance[behind], layers.tolerance[front])
    tie = difference.detach().abs() <= tolerance
    difference = torch.where(tie, difference - difference.detach(), difference)
    u = difference / layers.gamma[behind]
    value, slope, bend = inputs.at_tie.to(u)
    if curves.by_index:
        at_tie = (layers.face[front] < layers.face[behind]).to(u)
    else:
        # There u is 0, and only moves.
        moves = torch.where(tie, u, 0)
        at_tie = value + (slope + bend / 2 * moves) * moves
    share = torch.where(tie, at_tie, order(u))
    wholly = (u.detach() >= curves.order.domain.high) & ~tie
    part = _part(curves, inputs)(share * layers.coverage[front] - 1)
    return torch.where(wholly, layers.generator[front], part), wholly


def _part(curves: CompositeCurves, inputs: CompositeInputs) -> Callable[[Tensor], Tensor]:
    """Return the generator of a coverage minus 1."""
    if curves.takes_max:
        return lambda s: s + 1
    return replace(curves.part, cells=inputs.part_cells)


def _pairs(layers: Layers) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all pairs of different fragments of a pixel, as indices, in chunks of whole pixels."""
    _, counts = torch.unique_consecutive(layers.pixel, return_counts=True)
    if not len(counts):
        return
    squares = (counts * counts).cumsum(0)
    total = int(squares[-1])
    check_fits(
        total * PAIR_NUMBERS * layers.depth.element_size(),
        layers.depth.device,
        f"compositing {total} pairs of faces at a pixel",
    )
    starts = counts.cumsum(0) - counts
    chunk = (squares - 1) // PAIRS
    for number in range(int(chunk[-1]) + 1):
        chosen = chunk == number
        count, start = counts[chosen], starts[chosen]
        if not len(count):
            continue
        size = count.repeat_interleave(count)  # of the pixel of each fragment
        first = start.repeat_interleave(count)
        fragment = first + _places(count)
        behind = fragment.repeat_interleave(size)
        front = first.repeat_interleave(size) + _places(size)
        different = behind != front
        yield behind[different], front[different]


def _places(counts: Tensor) -> Tensor:
    """Return 0, 1, ... for each of groups of sizes."""
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    return torch.arange(total, device=counts.device) - (ends - counts).repeat_interleave(counts)


def first_of_largest(group: Tensor, amount: Tensor, groups: int) -> Tensor:
    """Return the index of the first of the largest numbers of each group; none for groups of nothing."""
    most = amount.new_full((groups,), -1).scatter_reduce(0, group, amount, "amax")
    candidate = torch.nonzero(amount == most[group])[:, 0]
    first = torch.full((groups,), len(amount), device=group.device)
    first = first.scatter_reduce(0, group[candidate], candidate, "amin")
    return first[first < len(amount)]


def _summed(job: RasterJob, pixel: Tensor, values: Tensor, takes_max: bool) -> Tensor:
    """Return (B, H, W, C): values of fragments, (N, C), summed by pixel; the first may be a maximum."""
    if takes_max:
        winner = first_of_largest(pixel, values[:, 0].detach(), job.pixels)
        kept = torch.zeros(len(values), 1, dtype=torch.bool, device=values.device)
        kept[winner] = True
        total = torch.where(kept, values[:, :1], 0)
        values = torch.cat([total, values[:, 1:]], -1)
    sums = values.new_zeros(job.pixels, values.shape[1]).index_add(0, pixel, values)
    return sums.reshape(job.images, job.height, job.width, -1)
