"""Inputs of the passes: the tensors that their results are differentiable in."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from taichisoft.engine.depth_extent import gammas_of
from taichisoft.engine.job import RasterJob
from taichisoft.softness.curves import CompositeCurves, Curve


class CoverageInputs(NamedTuple):
    """What coverage depends on.

    Parameters
    ----------
    points : Tensor, (P, 4)
        Of the scene.
    cells, slope_cells : Tensor, (K, 4)
        Of the generator of coverage, and of its slopes.
    width : Tensor, scalar
        Of the generator.
    """

    points: Tensor
    cells: Tensor
    slope_cells: Tensor
    width: Tensor

    @classmethod
    def of(cls, job: RasterJob, generator: Curve) -> CoverageInputs:
        """Return those of a render."""
        points = job.scene.points
        return cls(points, generator.cells(points), generator.slope_cells(points), generator.width)


class BlendInputs(NamedTuple):
    """What the sums over faces depend on.

    Parameters
    ----------
    points : Tensor, (P, 4)
        Of the scene.
    attributes : Tensor, (A, C)
        Of the scene.
    cells, slope_cells : Tensor, (K, 4)
        Of coverage, and of its slopes.
    width : Tensor, scalar
        Of coverage.
    keep_cells : Tensor, (K, 4)
        Of occlusion.
    gamma : Tensor, scalar
        The width of occlusion.
    """

    points: Tensor
    attributes: Tensor
    cells: Tensor
    slope_cells: Tensor
    width: Tensor
    keep_cells: Tensor
    gamma: Tensor

    @classmethod
    def of(cls, job: RasterJob, coverage: Curve, occlusion: Curve) -> BlendInputs:
        """Return those of a render."""
        points = job.scene.points
        return cls(
            points,
            job.scene.channels,
            coverage.cells(points),
            coverage.slope_cells(points),
            coverage.width,
            occlusion.cells(points),
            occlusion.width,
        )


class CompositeInputs(NamedTuple):
    """What compositing front to back depends on.

    Parameters
    ----------
    points : Tensor, (P, 4)
        Of the scene.
    attributes : Tensor, (A, C)
        Of the scene.
    generator_cells, generator_slopes : Tensor, (K, 4)
        Of the generator of coverage, and of its slopes.
    cells, slope_cells : Tensor, (K, 4)
        Of coverage, and of its slopes.
    width : Tensor, scalar
        Of coverage and its generator.
    order_cells : Tensor, (K, 4)
        Of the order.
    at_tie : Tensor, (3,)
        The order of equal depths, its slope and its second derivative there.
    gammas : Tensor, (B,)
        The width of the order in each image.
    part_cells, inverse_cells : Tensor, (K, 4)
        Of the generator, by a coverage minus 1, and of its inverse.
    """

    points: Tensor
    attributes: Tensor
    generator_cells: Tensor
    generator_slopes: Tensor
    cells: Tensor
    slope_cells: Tensor
    width: Tensor
    order_cells: Tensor
    at_tie: Tensor
    gammas: Tensor
    part_cells: Tensor
    inverse_cells: Tensor

    @classmethod
    def of(cls, job: RasterJob, curves: CompositeCurves) -> CompositeInputs:
        """Return those of a render."""
        points = job.scene.points
        return cls(
            points,
            job.scene.channels,
            curves.generator.cells(points),
            curves.generator.slope_cells(points),
            curves.coverage.cells(points),
            curves.coverage.slope_cells(points),
            curves.coverage.width,
            curves.order.cells_like(points),
            curves.at_tie.to(points),
            gammas_of(job.scene, curves.occlusion).to(points),
            curves.part.cells_like(points),
            curves.inverse.cells_like(points),
        )
