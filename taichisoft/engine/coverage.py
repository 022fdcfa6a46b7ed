"""Coverage: sums or maxima of a tabulated curve over faces. Private.

A first derivative is one launch of a hand-written adjoint. When it is itself to be differentiated
(``create_graph=True``) its derivative is written by hand too (`taichisoft.engine.vector_second`). On a GPU,
and where Taichi cannot keep vectors whole, it is taken by Taichi, over the fragments
(`taichisoft.engine.autodiff`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

from torch import Tensor

from taichisoft.engine.adjoints import (
    points_gradient,
    slopes_table,
    table_gradient,
    width_gradient,
)
from taichisoft.engine.autodiff import total_of_fragments
from taichisoft.engine.block_job import works_in_blocks
from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.bundles import Raster, Table
from taichisoft.engine.kernels.coverage import AdjointArrays, CoverageGradients, coverage_kernels
from taichisoft.engine.vector_coverage import VectorCoveragePass
from taichisoft.softness.curves import Curve


@dataclass(frozen=True, eq=False)
class CoveragePass(Rendered):
    """Sum of a curve over faces, or its maximum.

    Parameters
    ----------
    job : RasterJob
        The render.
    curve : Curve
        The generator of coverage.
    takes_max : bool
        Whether faces compete.
    """

    job: RasterJob
    curve: Curve
    takes_max: bool

    @property
    def _kernels(self) -> SimpleNamespace:
        return coverage_kernels(self.job.kernel_type, self.job.lanes)

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.job.points)

    @cached_property
    def _raster(self) -> Raster:
        return self.job.raster(self._numbers)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return totals, (B, H, W), and the winning faces, of one element unless faces compete."""
        curve = Table(self.curve.pieces, self._numbers, flat(inputs[1]))
        total, winner = self._of_rows(curve) if self.job.on_cpu else self._of_faces(curve)
        return total.reshape(self.job.images, self.job.height, self.job.width), (winner,)

    def _of_rows(self, curve: Table) -> tuple[Tensor, Tensor]:
        """Compute `values` with workers that own rows of pixels."""
        job = self.job
        total = job.unwritten(job.pixels)
        winner = job.indices(job.pixels if self.takes_max else 1, -1)
        launch = job.forward_launch()
        if job.num_faces:
            self._kernels.accumulate(
                self.takes_max, self._raster, curve, job.band, launch, total, winner
            )
        return total, winner

    def _of_faces(self, curve: Table) -> tuple[Tensor, Tensor]:
        """Compute `values` with workers that own faces and share pixels."""
        job = self.job
        total = job.zeros(job.pixels)
        winner = job.no_faces(job.pixels if self.takes_max else 1)
        # Which face has the maximum can be told only when it is known.
        for naming in (False, True) if self.takes_max else (False,):
            if not job.num_faces:
                break
            self._kernels.scatter(
                self.takes_max, int(naming), self._raster, curve, job.items, total, winner
            )
        return total, job.face_indices(winner)

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of points, cells (None unless asked for), slope cells (None) and width."""
        job = self.job
        _, cells, slope_cells, _ = inputs
        into_cells = needed[1]
        launch = job.backward_launch(into_cells)
        gradients = CoverageGradients(
            job.unwritten(job.num_faces, job.slices, 3, 4),
            job.unwritten(launch.workers),
            job.zeros(launch.workers if into_cells else 0, cells.numel()),
        )
        if job.num_faces:
            arrays = AdjointArrays(
                self.takes_max,
                into_cells,
                self._raster,
                Table(self.curve.pieces, self._numbers, flat(cells)),
                slopes_table(self.curve, self._numbers, slope_cells),
                kept[0],
                flat(upstream),
            )
            self._kernels.accumulate_adjoint(arrays, launch, gradients)
        return (
            points_gradient(job, gradients.corners),
            table_gradient(gradients.cells, launch, cells) if into_cells else None,
            None,
            width_gradient(gradients.log_width.sum(), self._numbers),
        )

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return the totals as a graph of torch, of the winning faces; zeros but for their gradients."""
        winner = kept[0] if self.takes_max else None
        return total_of_fragments(
            self.job, self.curve, winner, CoverageInputs(*inputs), differentiated=False
        )


def accumulate(job: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
    """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
    in_blocks = job.num_faces > 0 and works_in_blocks(job)
    kind = VectorCoveragePass if in_blocks else CoveragePass
    return kind(job, generator, takes_max)(*CoverageInputs.of(job, generator))
