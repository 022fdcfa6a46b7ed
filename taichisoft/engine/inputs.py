"""Inputs of the two passes: the tensors that their results are differentiable in."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from taichisoft.engine.job import RasterJob
from taichisoft.softness.curves import Curve


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
