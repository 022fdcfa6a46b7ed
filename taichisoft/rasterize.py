"""The fused engine: the bridge between torch autograd and the kernels. Private.

Kernels get detached, contiguous, flat tensors whose sizes are made here, since Taichi checks neither. A
first derivative is one launch of a hand-written adjoint. When it is itself to be differentiated
(``create_graph=True``) its derivative is taken by Taichi, over the fragments (`taichisoft.autodiff`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.autodiff import refuse_third_order, sums_of_fragments, total_of_fragments
from taichisoft.buffers import Buffers
from taichisoft.curve import Curve
from taichisoft.kernels.coverage import coverage_kernels
from taichisoft.kernels.launch import Launch
from taichisoft.kernels.shading import ADD_UP, FIND_FRONT, FRONT_ADJOINT, shading_kernels


@dataclass(frozen=True, eq=False)
class CoveragePass:
    """Sum of a curve over faces, or its maximum, and the first derivative.

    Parameters
    ----------
    buffers : Buffers
        The render.
    curve : Curve
        The generator of coverage.
    takes_max : bool
        Whether faces compete.
    """

    buffers: Buffers
    curve: Curve
    takes_max: bool

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.buffers.points)

    @cached_property
    def _rows(self) -> Tensor:
        return self.buffers.rows(self._numbers)

    def values(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return totals, (B * H * W), and the winning faces, of one element unless faces compete."""
        buffers = self.buffers
        total = buffers.unwritten(buffers.pixels)
        winner = buffers.minus_ones(buffers.pixels if self.takes_max else 1)
        launch = buffers.forward_launch()
        if buffers.num_faces:
            coverage_kernels(buffers.kernel_type).accumulate(
                self.takes_max,
                self.curve.pieces,
                buffers.points,
                buffers.faces,
                buffers.face_start,
                self._rows,
                self._numbers,
                _flat(cells),
                buffers.height,
                buffers.width,
                buffers.band,
                launch.slots,
                launch.stride,
                total,
                winner,
            )
        return total, winner

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
            coverage_kernels(buffers.kernel_type).accumulate_adjoint(
                self.takes_max,
                into_cells,
                self.curve.pieces,
                self.curve.slope_pieces,
                buffers.points,
                buffers.faces,
                buffers.face_image,
                self._rows,
                self._numbers,
                _flat(cells),
                self.curve.slope_numbers(buffers.points),
                _flat(slope_cells),
                winner,
                _flat(grad_total),
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
            _points_gradient(buffers, grad_corners),
            _table_gradient(grad_cells, launch, cells) if into_cells else None,
            _width_gradient(grad_width.sum(), self._numbers),
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
        by_total, *found = _differentiate_adjoint(
            render,
            grad_total,
            inputs,
            (*cotangents[:2], None, cotangents[2]),
            (ctx.needs_input_grad[2], *ctx.needs_input_grad[4:]),
        )
        return None, None, by_total, None, *found


@dataclass(frozen=True, eq=False)
class ShadingPass:
    """Sums of weights, depths and attributes over faces, and the first derivative.

    Parameters
    ----------
    buffers : Buffers
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    """

    buffers: Buffers
    curve: Curve
    occlusion: Curve

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.buffers.points)

    @cached_property
    def _depth_numbers(self) -> Tensor:
        return self.occlusion.numbers(self.buffers.points)

    @cached_property
    def _rows(self) -> Tensor:
        return self.buffers.rows(self._numbers)

    def values(
        self, attributes: Tensor, cells: Tensor, keep_cells: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums, (B * H * W, 2 + C), front depths and front faces, (B * H * W)."""
        buffers = self.buffers
        front = buffers.unwritten(buffers.pixels)
        front_face = buffers.minus_ones(buffers.pixels)
        sums = buffers.zeros(buffers.pixels, 2 + attributes.shape[1])
        inputs = self._inputs(attributes, cells, keep_cells)
        for step in (FIND_FRONT, ADD_UP):
            self._step(step, inputs, front, front_face, sums, buffers.zeros(1))
        return sums, front, front_face

    def front_face(self, cells: Tensor, keep_cells: Tensor) -> Tensor:
        """Return the nearest face in reach of each pixel, (B * H * W) int32, -1 for none."""
        buffers = self.buffers
        front = buffers.unwritten(buffers.pixels)
        front_face = buffers.minus_ones(buffers.pixels)
        inputs = self._inputs(buffers.points.new_zeros(1, 0), cells, keep_cells)
        self._step(FIND_FRONT, inputs, front, front_face, buffers.zeros(1), buffers.zeros(1))
        return front_face

    def adjoint(
        self,
        grad_sums: Tensor,
        front: Tensor,
        front_face: Tensor,
        attributes: Tensor,
        cells: Tensor,
        slope_cells: Tensor,
        keep_cells: Tensor,
        into_cells: bool,
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of points, attributes, cells, width, occlusion cells and gamma."""
        buffers = self.buffers
        channels = attributes.shape[1]
        inputs = self._inputs(attributes, cells, keep_cells)
        grad_sums = _flat(grad_sums)
        grad_front = buffers.zeros(buffers.pixels)
        self._step(FRONT_ADJOINT, inputs, front, front_face, grad_sums, grad_front)
        launch = buffers.backward_launch(into_cells)
        grad_corners = buffers.unwritten(buffers.num_faces, buffers.slices, 3, 4)
        grad_attributes = buffers.zeros(buffers.num_faces, buffers.slices, 3, channels)
        grad_widths = buffers.unwritten(launch.workers, 2)
        tables = launch.workers if into_cells else 0
        grad_cells = buffers.zeros(tables, cells.numel())
        grad_keep = buffers.zeros(tables, keep_cells.numel())
        if buffers.num_faces:
            shading_kernels(buffers.kernel_type).shade_adjoint(
                into_cells,
                self.curve.pieces,
                self.occlusion.pieces,
                self.curve.slope_pieces,
                buffers.points,
                buffers.faces,
                buffers.face_image,
                *inputs,
                self.curve.slope_numbers(buffers.points),
                _flat(slope_cells),
                front,
                front_face,
                grad_front,
                grad_sums,
                buffers.height,
                buffers.width,
                buffers.slices,
                launch.slots,
                launch.stride,
                grad_corners,
                grad_attributes,
                grad_widths,
                grad_cells,
                grad_keep,
            )
        grad_width, grad_gamma = grad_widths[: 2 * launch.workers].reshape(-1, 2).sum(0)
        return (
            _points_gradient(buffers, grad_corners),
            self._attributes_gradient(grad_attributes, attributes),
            _table_gradient(grad_cells, launch, cells) if into_cells else None,
            _width_gradient(grad_width, self._numbers),
            _table_gradient(grad_keep, launch, keep_cells) if into_cells else None,
            _width_gradient(grad_gamma, self._depth_numbers),
        )

    def _inputs(self, attributes: Tensor, cells: Tensor, keep_cells: Tensor) -> tuple:
        buffers = self.buffers
        channels = attributes.shape[1]
        return (
            self._rows,
            _flat(attributes) if channels else buffers.zeros(1),
            buffers.scene.attribute_index.to(torch.int32).contiguous().reshape(-1),
            channels,
            self._numbers,
            _flat(cells),
            self._depth_numbers,
            _flat(keep_cells),
        )

    def _step(self, step, inputs, front, front_face, sums, grad_front) -> None:
        buffers = self.buffers
        if not buffers.num_faces:
            return
        launch = buffers.forward_launch()
        shading_kernels(buffers.kernel_type).shade(
            step,
            self.curve.pieces,
            self.occlusion.pieces,
            buffers.points,
            buffers.faces,
            buffers.face_start,
            *inputs,
            self.curve.faint if step == FIND_FRONT else 0.0,
            buffers.height,
            buffers.width,
            buffers.band,
            launch.slots,
            launch.stride,
            front,
            front_face,
            sums,
            grad_front,
        )

    def _attributes_gradient(self, grad_attributes: Tensor, attributes: Tensor) -> Tensor:
        if not attributes.shape[1] or not self.buffers.num_faces:
            return torch.zeros_like(attributes)
        return self.buffers.gather_corners(
            grad_attributes, self.buffers.scene.attribute_index, *attributes.shape
        )


class _Shade(Function):
    """sums (B, H, W, 2 + C) = sum over faces of w, w z and w c."""

    @staticmethod
    def forward(ctx, job, points, attributes, cells, slope_cells, width, keep_cells, gamma):
        sums, front, front_face = job.values(attributes, cells, keep_cells)
        ctx.job = job
        ctx.save_for_backward(
            front, front_face, points, attributes, cells, slope_cells, width, keep_cells, gamma
        )
        buffers = job.buffers
        return sums.reshape(buffers.images, buffers.height, buffers.width, -1)

    @staticmethod
    def backward(ctx, grad_sums):
        into_cells = ctx.needs_input_grad[3] or ctx.needs_input_grad[6]
        points, attributes, cells, width, keep_cells, gamma = _ShadeAdjoint.apply(
            ctx.job, into_cells, grad_sums, *ctx.saved_tensors
        )
        return None, points, attributes, cells, None, width, keep_cells, gamma


class _ShadeAdjoint(Function):
    """The first derivative of `_Shade`."""

    @staticmethod
    def forward(
        ctx,
        job,
        into_cells,
        grad_sums,
        front,
        front_face,
        points,
        attributes,
        cells,
        slope_cells,
        width,
        keep_cells,
        gamma,
    ):
        ctx.job = job
        ctx.save_for_backward(
            grad_sums, front_face, points, attributes, cells, slope_cells, width, keep_cells, gamma
        )
        return job.adjoint(
            grad_sums, front, front_face, attributes, cells, slope_cells, keep_cells, into_cells
        )

    @staticmethod
    def backward(ctx, *cotangents):
        refuse_third_order()
        job = ctx.job
        grad_sums, front_face, *inputs = ctx.saved_tensors

        def render(*inputs: Tensor) -> Tensor:
            return sums_of_fragments(job.buffers, job.curve, job.occlusion, front_face, *inputs)

        by_sums, *found = _differentiate_adjoint(
            render,
            grad_sums,
            inputs,
            (*cotangents[:3], None, *cotangents[3:]),
            (ctx.needs_input_grad[2], *ctx.needs_input_grad[5:]),
        )
        return None, None, by_sums, None, None, *found


def _differentiate_adjoint(
    render: Callable[..., Tensor],
    upstream: Tensor,
    inputs: list[Tensor],
    cotangents: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
) -> list[Tensor | None]:
    """Return the gradients of ``<d render / d inputs, cotangents>`` in `upstream` and the inputs.

    `cotangents` has one entry for each input, `needed` (whether that gradient is) one for the upstream first.
    """
    with torch.enable_grad():
        # An input whose gradient is only to be differentiated, not differentiated in, requires one too.
        required = [n or c is not None for n, c in zip(needed[1:], cotangents, strict=True)]
        upstream = upstream.detach().requires_grad_()
        inputs = [x.detach().requires_grad_(r) for x, r in zip(inputs, required, strict=True)]
        chosen = [(x, c) for x, c in zip(inputs, cotangents, strict=True) if c is not None]
        first = torch.autograd.grad(
            render(*inputs),
            [x for x, _ in chosen],
            upstream,
            create_graph=True,
            allow_unused=True,
        )
    pairs = [
        (g, c) for g, (_, c) in zip(first, chosen, strict=True) if g is not None and g.requires_grad
    ]
    wanted = [x for x, n in zip((upstream, *inputs), needed, strict=True) if n]
    found = iter([None] * len(wanted))
    if pairs and wanted:
        gradients, seeds = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(gradients, wanted, list(seeds), allow_unused=True))
    return [next(found) if n else None for n in needed]


def _points_gradient(buffers: Buffers, grad_corners: Tensor) -> Tensor:
    rows = buffers.scene.points.shape[0]
    if not buffers.num_faces:
        return grad_corners.new_zeros(rows, 4)
    return buffers.gather_corners(grad_corners, buffers.scene.faces, rows, 4)


def _table_gradient(grad_cells: Tensor, launch: Launch, cells: Tensor) -> Tensor:
    return grad_cells[: launch.workers * cells.numel()].reshape(launch.workers, -1, 4).sum(0)


def _width_gradient(grad_log_width: Tensor, numbers: Tensor) -> Tensor:
    return (grad_log_width * numbers[0]).to(torch.float64).reshape(())


def _flat(x: Tensor) -> Tensor:
    return x.detach().contiguous().reshape(-1)


def accumulate(buffers: Buffers, generator: Curve, takes_max: bool) -> Tensor:
    """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
    points = buffers.scene.points
    return _Accumulate.apply(
        CoveragePass(buffers, generator, takes_max),
        points,
        generator.cells(points),
        generator.slope_cells(points),
        generator.width,
    )


def shade(buffers: Buffers, coverage: Curve, occlusion: Curve) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
    points = buffers.scene.points
    return _Shade.apply(
        ShadingPass(buffers, coverage, occlusion),
        points,
        buffers.scene.channels,
        coverage.cells(points),
        coverage.slope_cells(points),
        coverage.width,
        occlusion.cells(points),
        occlusion.width,
    )
