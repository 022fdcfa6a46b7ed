"""The pass of coverage: the bridge between torch autograd and its kernels. Private.

Kernels get detached, contiguous, flat tensors whose sizes are made here, since Taichi checks neither. A
first derivative is one launch of a hand-written adjoint. When it is itself to be differentiated
(``create_graph=True``) its derivative is taken by Taichi, over the fragments (`taichisoft.engine.autodiff`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

from torch import Tensor
from torch.autograd import Function

from taichisoft.engine.adjoints import (
    differentiate_adjoint,
    flat,
    points_gradient,
    table_gradient,
    width_gradient,
)
from taichisoft.engine.autodiff import total_of_fragments
from taichisoft.engine.fragment_map import refuse_third_order
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.coverage import coverage_kernels
from taichisoft.softness.curves import Curve


@dataclass(frozen=True, eq=False)
class CoveragePass:
    """Sum of a curve over faces, or its maximum, and the first derivative.

    Parameters
    ----------
    buffers : RasterJob
        The render.
    curve : Curve
        The generator of coverage.
    takes_max : bool
        Whether faces compete.
    """

    buffers: RasterJob
    curve: Curve
    takes_max: bool

    @property
    def _kernels(self) -> SimpleNamespace:
        return coverage_kernels(self.buffers.kernel_type, self.buffers.lanes)

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.buffers.points)

    @cached_property
    def _slope_numbers(self) -> Tensor:
        return self.curve.slope_numbers(self.buffers.points) if self.curve.slopes else self._numbers

    @cached_property
    def _rows(self) -> Tensor:
        return self.buffers.rows(self._numbers)

    def values(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return totals, (B * H * W), and the winning faces, of one element unless faces compete."""
        return self._of_rows(cells) if self.buffers.on_cpu else self._of_faces(cells)

    def _of_rows(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `values` with workers that own rows of pixels."""
        buffers = self.buffers
        total = buffers.unwritten(buffers.pixels)
        winner = buffers.indices(buffers.pixels if self.takes_max else 1, -1)
        launch = buffers.forward_launch()
        if buffers.num_faces:
            self._kernels.accumulate(
                self.takes_max,
                self.curve.pieces,
                buffers.points,
                buffers.faces,
                buffers.face_start,
                self._rows,
                self._numbers,
                flat(cells),
                buffers.height,
                buffers.width,
                buffers.band,
                launch.slots,
                launch.stride,
                total,
                winner,
            )
        return total, winner

    def _of_faces(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `values` with workers that own faces and share pixels."""
        buffers = self.buffers
        total = buffers.zeros(buffers.pixels)
        winner = buffers.unnamed(buffers.pixels if self.takes_max else 1)
        # Which face has the maximum can be told only when it is known.
        for naming in (False, True) if self.takes_max else (False,):
            if not buffers.num_faces:
                break
            self._kernels.scatter(
                self.takes_max,
                self.curve.pieces,
                int(naming),
                buffers.points,
                buffers.faces,
                buffers.face_image,
                self._rows,
                self._numbers,
                flat(cells),
                buffers.height,
                buffers.width,
                buffers.slices,
                buffers.items,
                total,
                winner,
            )
        return total, buffers.named(winner)

    def adjoint(
        self,
        grad_total: Tensor,
        cells: Tensor,
        slope_cells: Tensor,
        winner: Tensor,
        into_cells: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return the gradients of the points, of the cells (None unless asked for) and of the width."""
        buffers = self.buffers
        launch = buffers.backward_launch(into_cells)
        grad_corners = buffers.unwritten(buffers.num_faces, buffers.slices, 3, 4)
        grad_width = buffers.unwritten(launch.workers)
        grad_cells = buffers.zeros(launch.workers if into_cells else 0, cells.numel())
        if buffers.num_faces:
            self._kernels.accumulate_adjoint(
                self.takes_max,
                into_cells,
                self.curve.pieces,
                self.curve.slope_pieces,
                buffers.points,
                buffers.faces,
                buffers.face_image,
                self._rows,
                self._numbers,
                flat(cells),
                self._slope_numbers,
                flat(slope_cells),
                winner,
                flat(grad_total),
                buffers.height,
                buffers.width,
                buffers.slices,
                launch.slots,
                launch.stride,
                grad_corners,
                grad_width,
                grad_cells,
            )
        return (
            points_gradient(buffers, grad_corners),
            table_gradient(grad_cells, launch, cells) if into_cells else None,
            width_gradient(grad_width.sum(), self._numbers),
        )


class _Accumulate(Function):
    """total (B, H, W) = sum or maximum over faces of the tabulated generator of coverage."""

    @staticmethod
    def forward(ctx, job, points, cells, slope_cells, width):
        total, winner = job.values(cells)
        ctx.job = job
        ctx.save_for_backward(winner, points, cells, slope_cells, width)
        return total.reshape(job.buffers.images, job.buffers.height, job.buffers.width)

    @staticmethod
    def backward(ctx, grad_total):
        into_cells = ctx.needs_input_grad[2]
        by_points, by_cells, by_width = _AccumulateAdjoint.apply(
            ctx.job, into_cells, grad_total, *ctx.saved_tensors
        )
        return None, by_points, by_cells, None, by_width


class _AccumulateAdjoint(Function):
    """The first derivative of `_Accumulate`."""

    @staticmethod
    def forward(ctx, job, into_cells, grad_total, winner, points, cells, slope_cells, width):
        ctx.job = job
        ctx.save_for_backward(grad_total, winner, points, cells, slope_cells, width)
        return job.adjoint(grad_total, cells, slope_cells, winner, into_cells)

    @staticmethod
    def backward(ctx, *cotangents):
        refuse_third_order()
        job = ctx.job
        grad_total, winner, *inputs = ctx.saved_tensors

        def render(*inputs: Tensor) -> Tensor:
            return total_of_fragments(
                job.buffers,
                job.curve,
                winner if job.takes_max else None,
                *inputs,
                differentiated=False,
            )

        # The cells of the slopes (third) have no first derivative.
        by_total, *found = differentiate_adjoint(
            render,
            grad_total,
            inputs,
            (*cotangents[:2], None, cotangents[2]),
            (ctx.needs_input_grad[2], *ctx.needs_input_grad[4:]),
        )
        return None, None, by_total, None, *found


def accumulate(buffers: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
    """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
    points = buffers.scene.points
    return _Accumulate.apply(
        CoveragePass(buffers, generator, takes_max),
        points,
        generator.cells(points),
        generator.slope_cells(points),
        generator.width,
    )
