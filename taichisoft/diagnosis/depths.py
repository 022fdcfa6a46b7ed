"""The measurements of an explanation that are about depth: hidden faces that show, edges without gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from taichisoft.diagnosis.explanation import Depths
from taichisoft.diagnosis.surfaces import Surfaces
from taichisoft.engine.compositing import layers_of, weights_of
from taichisoft.engine.depth_extent import LEAST_WIDTH, gammas_of
from taichisoft.engine.fragment_map import FragmentMap
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.fragment_fields import COORDINATES, COVERAGE
from taichisoft.softness.curves import CompositeCurves, Curve
from taichisoft.softness.occlusion import FrontToBack

if TYPE_CHECKING:
    from taichisoft.render.rasterizer import SoftRasterizer

# Pairs of faces at a pixel that are looked at; of more, those at a sample of the pixels.
MOST_PAIRS = 2**20
# Multiples of it, modulo 2^32, lie evenly and without a pattern: 2^32 over the golden ratio.
SCATTER = 2654435761


@dataclass(frozen=True, eq=False)
class _Seen:
    """Fragments with their weights: the pixel, weight, coverage and depth of each, (N,)."""

    pixel: Tensor
    weight: Tensor
    coverage: Tensor
    depth: Tensor


def depths_of(renderer: SoftRasterizer, job: RasterJob, surfaces: Surfaces) -> Depths:
    """Return what the occlusion of a renderer does with a scene of the size of its images."""
    occlusion = renderer.occlusion
    through_seams = flat = None
    if isinstance(occlusion, FrontToBack):
        curves = renderer.composite_curves(job.height)
        curves = replace(
            curves,
            generator=_as_in_the_image(curves.generator, renderer.ssaa),
            coverage=_as_in_the_image(curves.coverage, renderer.ssaa),
        )
        seen, through_seams, flat = _composited(renderer, job, curves, surfaces)
        coverage, hidden_from = curves.coverage, None
        gamma = float(gammas_of(job.scene, occlusion).mean())
    else:
        _, coverage, keep = renderer.curves(job.height)
        coverage = _as_in_the_image(coverage, renderer.ssaa)
        seen = _blended(job, coverage, keep)
        gamma = float(keep.width)
        hidden_from = -keep.table.domain.low * gamma
    slack = surfaces.slack(float(coverage.numbers(job.points)[1]))
    return Depths(
        gamma=gamma,
        extent=surfaces.extent,
        suggested_gamma=surfaces.gamma,
        hidden_share=_hidden_share(seen, surfaces, slack),
        seam_share=None if through_seams is None else _hidden_share(through_seams, surfaces, slack),
        stuck_edges=_stuck_edges(seen, surfaces, slack, coverage.faint, hidden_from),
        flat_alpha=flat,
        front_to_back=isinstance(occlusion, FrontToBack),
    )


def _as_in_the_image(curve: Curve, ssaa: int) -> Curve:
    """Return a curve in pixels of the image; what is rendered has more of them."""
    return replace(curve, width=curve.width / ssaa)


def _composited(
    renderer: SoftRasterizer, job: RasterJob, curves: CompositeCurves, surfaces: Surfaces
) -> tuple[_Seen, _Seen, float | None]:
    """Return fragments with their weights, with those of a hard order, and where alpha has no gradient."""
    inputs = CompositeInputs.of(job, curves)
    fragments = Fragments.within_reach(job, curves.coverage.numbers(job.points))
    pixels = fragments.pixels_as_index
    counts = torch.bincount(pixels, minlength=job.pixels)
    pairs = int((counts * counts).sum())
    if pairs > MOST_PAIRS:
        fragments = fragments.kept(_drawn(pixels, MOST_PAIRS / pairs))
    layers, _ = layers_of(job, curves, inputs, fragments=fragments)
    hard = replace(layers, gamma=torch.full_like(layers.gamma, LEAST_WIDTH * (surfaces.size or 1)))
    seen, through_seams = (
        _Seen(of.pixel, weights_of(of, curves, inputs), of.coverage, of.depth)
        for of in (layers, hard)
    )
    how = "amax" if curves.takes_max else "sum"
    total = torch.zeros(job.pixels, dtype=torch.float64, device=layers.depth.device)
    total = total.scatter_reduce(0, layers.pixel, layers.generator.double(), how)
    with torch.enable_grad():
        total = total.requires_grad_()
        (slope,) = torch.autograd.grad(renderer.aggregation.inverse(total).sum(), total)
    around = (total.detach() > 0) & ~surfaces.covered
    flat = float((slope == 0)[around].double().mean()) if bool(around.any()) else None
    return seen, through_seams, flat


def _drawn(pixels: Tensor, share: float) -> Tensor:
    """Return which pixels belong to a sample of all, always the same one and without a pattern."""
    return pixels * SCATTER % 2**32 < share * 2**32


def _blended(job: RasterJob, coverage: Curve, keep: Curve) -> _Seen:
    """Return fragments with their weights by a reference depth."""
    points = job.scene.points
    fragments = Fragments.within_reach(job, coverage.numbers(points))
    widths = torch.stack([coverage.width, torch.ones_like(coverage.width)]).to(points)
    cells, slopes = coverage.cells(points), coverage.slope_cells(points)
    none, unused = points.new_zeros(1, 4), points.new_zeros(max(len(fragments.face), 1))
    cover, at = (
        FragmentMap(kind, job, fragments, coverage, coverage)(
            points, widths, cells, slopes, none, unused
        )
        for kind in (COVERAGE, COORDINATES)
    )
    pixel, cover = fragments.pixels_as_index, cover[:, 0]
    depth = (at * points[job.scene.faces[fragments.faces_as_index]][..., 2]).sum(-1)
    front = _nearest(job.pixels, pixel, torch.where(cover > coverage.faint, depth, torch.inf))
    behind = torch.where(front[pixel].isfinite(), front[pixel] - depth, 0).clamp(max=0)
    weight = cover * keep.table(behind.double() / float(keep.width)).to(cover)
    return _Seen(pixel, weight, cover, depth)


def _nearest(pixels: int, pixel: Tensor, depth: Tensor) -> Tensor:
    return depth.new_full((pixels,), torch.inf).scatter_reduce(0, pixel, depth, "amin")


def _hidden_share(seen: _Seen, surfaces: Surfaces, slack: Tensor) -> float | None:
    """Return the share of hidden faces in what is seen, the mean of the covered pixels."""
    hidden = seen.depth > (surfaces.depth + slack)[seen.pixel]
    zero = torch.zeros(len(surfaces.depth), dtype=torch.float64, device=seen.depth.device)
    total = zero.index_add(0, seen.pixel, seen.weight.double())
    below = zero.index_add(0, seen.pixel[hidden], seen.weight[hidden].double())
    counted = surfaces.covered & (total > 0)
    return float((below[counted] / total[counted]).mean()) if bool(counted.any()) else None


def _stuck_edges(
    seen: _Seen,
    surfaces: Surfaces,
    slack: Tensor,
    faint: float,
    hidden_from: float | None,
) -> float | None:
    """Return the share of pixels at edges in which the nearer surface hides all of what it covers partly."""
    reaches = seen.coverage > faint
    front = _nearest(len(surfaces.depth), seen.pixel[reaches], seen.depth[reaches])
    edge = surfaces.covered & (front < surfaces.depth - slack)
    if not bool(edge.any()):
        return None
    if hidden_from is None:
        return 0.0
    return float((front < surfaces.depth - hidden_from)[edge].double().mean())
