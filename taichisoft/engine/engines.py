"""The two ways to differentiate a render: a hand-written adjoint, or Taichi's own reverse mode."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from taichisoft.engine.autodiff import sums_of_fragments, total_of_fragments
from taichisoft.engine.blend import BlendPass, blend
from taichisoft.engine.coverage import CoveragePass, accumulate
from taichisoft.engine.job import RasterJob
from taichisoft.softness.curves import Curve


class Engine(ABC):
    """Sums a tabulated softness over the faces at each pixel, differentiably."""

    @abstractmethod
    def total(self, buffers: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
        """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""

    @abstractmethod
    def sums(self, buffers: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
        """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""


class FusedEngine(Engine):
    """One launch per pass, its adjoint written by hand. The fast one."""

    def total(self, buffers: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
        """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
        return accumulate(buffers, generator, takes_max)

    def sums(self, buffers: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
        """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
        return blend(buffers, coverage, occlusion)


class AutodiffEngine(Engine):
    """Straight-line maps over the fragments, differentiated by Taichi. The oracle of the other one."""

    def total(self, buffers: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
        """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
        if not buffers.num_faces:
            return accumulate(buffers, generator, takes_max)
        points = buffers.scene.points
        winner = None
        if takes_max:
            winner = CoveragePass(buffers, generator, takes_max).values(generator.cells(points))[1]
        return total_of_fragments(
            buffers,
            generator,
            winner,
            points,
            generator.cells(points),
            generator.slope_cells(points),
            generator.width,
        )

    def sums(self, buffers: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
        """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
        if not buffers.num_faces:
            return blend(buffers, coverage, occlusion)
        points, attributes = buffers.scene.points, buffers.scene.channels
        cells, keep_cells = coverage.cells(points), occlusion.cells(points)
        front_face = BlendPass(buffers, coverage, occlusion).front_face(cells, keep_cells)
        return sums_of_fragments(
            buffers,
            coverage,
            occlusion,
            front_face,
            points,
            attributes,
            cells,
            coverage.slope_cells(points),
            coverage.width,
            keep_cells,
            occlusion.width,
        )
