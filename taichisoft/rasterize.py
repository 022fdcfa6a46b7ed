"""The bridge between torch autograd and the kernels. Private; `SoftRasterizer` is the public face.

Kernels get detached, contiguous, flat tensors whose sizes are made here, since Taichi checks neither. Their
adjoints are first order: a request to differentiate them again is refused, because a wrong second
derivative would be silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.buffers import Buffers
from taichisoft.kernels.coverage import coverage_kernels
from taichisoft.kernels.launch import Launch
from taichisoft.kernels.shading import ADD_UP, FIND_FRONT, FRONT_ADJOINT, shading_kernels
from taichisoft.table import Table


@dataclass(frozen=True)
class Curve:
    """A tabulated curve with its width: what the kernels need to evaluate it.

    Parameters
    ----------
    table : Table
        The tabulated curve.
    width : Tensor
        Scalar: pixels (or scene units for occlusion) per unit of the table's argument.
    """

    table: Table
    width: Tensor

    def parameters(self, like: Tensor) -> Tensor:
        """Return the array of six that `taichisoft.kernels.lookup` describes, and the reach in pixels."""
        width = self.width.detach().to(like.device, torch.float64).reshape(1)
        high, a, g, count = self.table.coordinates
        shape = width.new_tensor([high, a, g, count])
        reach = max(-self.table.domain.low, 0.0) * width
        return torch.cat([1 / width, shape, reach]).to(like.dtype)

    def cells(self, like: Tensor) -> Tensor:
        """Return the cells in the dtype and on the device of `like`, differentiable."""
        return self.table.cells.to(like.device, like.dtype)


def _refuse_second_order() -> None:
    # Inside backward, grad mode is on exactly when create_graph=True was asked for.
    if torch.is_grad_enabled():
        raise RuntimeError(
            "second derivatives of the rasterizer are not available: backward was called with "
            "create_graph=True; use taichisoft.reference for derivatives of any order, or a "
            "first-order or evolution-strategies meta-gradient"
        )


class _Accumulate(Function):
    """total (B, H, W) = sum or maximum over faces of the tabulated generator of coverage."""

    @staticmethod
    def forward(ctx, points, cells, width, buffers, table, takes_max):
        curve = Curve(table, width).parameters(points)
        flat_cells = cells.detach().contiguous().reshape(-1)
        rows = buffers.rows(curve)
        total = buffers.unwritten(buffers.pixels)
        winner = buffers.minus_ones(buffers.pixels if takes_max else 1)
        launch = buffers.forward_launch()
        if buffers.num_faces:
            coverage_kernels(buffers.kernel_type).accumulate(
                takes_max,
                buffers.points,
                buffers.faces,
                buffers.face_start,
                rows,
                curve,
                flat_cells,
                buffers.height,
                buffers.width,
                buffers.band,
                launch.slots,
                launch.stride,
                total,
                winner,
            )
        ctx.save_for_backward(flat_cells, curve, rows, winner)
        ctx.buffers, ctx.takes_max = buffers, takes_max
        return total.reshape(buffers.images, buffers.height, buffers.width)

    @staticmethod
    def backward(ctx, grad_total):
        _refuse_second_order()
        buffers = ctx.buffers
        flat_cells, curve, rows, winner = ctx.saved_tensors
        into_cells = ctx.needs_input_grad[1]
        launch = buffers.backward_launch(into_cells)
        grad_corners = buffers.unwritten(buffers.num_faces, buffers.slices, 3, 4)
        grad_width = buffers.unwritten(launch.workers)
        grad_cells = buffers.zeros(launch.workers if into_cells else 0, flat_cells.numel())
        if buffers.num_faces:
            coverage_kernels(buffers.kernel_type).accumulate_adjoint(
                ctx.takes_max,
                into_cells,
                buffers.points,
                buffers.faces,
                buffers.face_image,
                rows,
                curve,
                flat_cells,
                winner,
                grad_total.detach().contiguous().reshape(-1),
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
            _table_gradient(grad_cells, launch, flat_cells) if into_cells else None,
            _width_gradient(grad_width.sum(), curve),
            None,
            None,
            None,
        )


class _Shade(Function):
    """sums (B, H, W, 2 + C) = sum over faces of w, w z and w c."""

    @staticmethod
    def forward(
        ctx, points, attributes, cover, cover_width, keep, keep_width, buffers, tables, index
    ):
        cover_curve = Curve(tables[0], cover_width).parameters(points)
        keep_curve = Curve(tables[1], keep_width).parameters(points)
        cover = cover.detach().contiguous().reshape(-1)
        keep = keep.detach().contiguous().reshape(-1)
        channels = attributes.shape[1]
        flat_attributes = attributes.detach().contiguous().reshape(-1)
        flat_attributes = flat_attributes if channels else buffers.zeros(1)
        flat_index = index.to(torch.int32).contiguous().reshape(-1)
        rows = buffers.rows(cover_curve)
        front = buffers.unwritten(buffers.pixels)
        front_face = buffers.minus_ones(buffers.pixels)
        sums = buffers.zeros(buffers.pixels, 2 + channels)
        inputs = (rows, flat_attributes, flat_index, channels, cover_curve, cover, keep_curve, keep)
        for step in (FIND_FRONT, ADD_UP):
            _shade_step(step, buffers, inputs, front, front_face, sums, buffers.zeros(1))
        ctx.save_for_backward(
            rows,
            flat_attributes,
            flat_index,
            cover_curve,
            cover,
            keep_curve,
            keep,
            front,
            front_face,
        )
        ctx.buffers, ctx.attribute_shape = buffers, attributes.shape
        return sums.reshape(buffers.images, buffers.height, buffers.width, 2 + channels)

    @staticmethod
    def backward(ctx, grad_sums):
        _refuse_second_order()
        buffers = ctx.buffers
        rows, attributes, index, cover_curve, cover, keep_curve, keep, front, front_face = (
            ctx.saved_tensors
        )
        rows_of_attributes, channels = ctx.attribute_shape
        grad_sums = grad_sums.detach().contiguous().reshape(-1)
        inputs = (rows, attributes, index, channels, cover_curve, cover, keep_curve, keep)
        grad_front = buffers.zeros(buffers.pixels)
        _shade_step(FRONT_ADJOINT, buffers, inputs, front, front_face, grad_sums, grad_front)
        into_cells = ctx.needs_input_grad[2] or ctx.needs_input_grad[4]
        launch = buffers.backward_launch(into_cells)
        grad_corners = buffers.unwritten(buffers.num_faces, buffers.slices, 3, 4)
        grad_attributes = buffers.zeros(buffers.num_faces, buffers.slices, 3, channels)
        grad_widths = buffers.unwritten(launch.workers, 2)
        tables = launch.workers if into_cells else 0
        grad_cover = buffers.zeros(tables, cover.numel())
        grad_keep = buffers.zeros(tables, keep.numel())
        if buffers.num_faces:
            shading_kernels(buffers.kernel_type).shade_adjoint(
                into_cells,
                buffers.points,
                buffers.faces,
                buffers.face_image,
                *inputs,
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
                grad_cover,
                grad_keep,
            )
        grad_width, grad_gamma = grad_widths[: 2 * launch.workers].reshape(-1, 2).sum(0)
        by_attribute = None
        if ctx.needs_input_grad[1] and channels and buffers.num_faces:
            by_attribute = buffers.gather_corners(
                grad_attributes, index.long(), rows_of_attributes, channels
            )
        elif ctx.needs_input_grad[1]:
            by_attribute = attributes.new_zeros(rows_of_attributes, channels)
        return (
            _points_gradient(buffers, grad_corners),
            by_attribute,
            _table_gradient(grad_cover, launch, cover) if into_cells else None,
            _width_gradient(grad_width, cover_curve),
            _table_gradient(grad_keep, launch, keep) if into_cells else None,
            _width_gradient(grad_gamma, keep_curve),
            None,
            None,
            None,
        )


def _shade_step(step, buffers, inputs, front, front_face, sums, grad_front) -> None:
    if not buffers.num_faces:
        return
    launch = buffers.forward_launch()
    shading_kernels(buffers.kernel_type).shade(
        step,
        buffers.points,
        buffers.faces,
        buffers.face_start,
        *inputs,
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


def _points_gradient(buffers: Buffers, grad_corners: Tensor) -> Tensor:
    rows = buffers.scene.points.shape[0]
    if not buffers.num_faces:
        return grad_corners.new_zeros(rows, 4)
    return buffers.gather_corners(grad_corners, buffers.scene.faces, rows, 4)


def _table_gradient(grad_cells: Tensor, launch: Launch, cells: Tensor) -> Tensor:
    return grad_cells[: launch.workers * cells.numel()].reshape(launch.workers, -1, 4).sum(0)


def _width_gradient(grad_log_width: Tensor, curve: Tensor) -> Tensor:
    return (grad_log_width * curve[0]).to(torch.float64).reshape(())


def accumulate(buffers: Buffers, generator: Curve, takes_max: bool) -> Tensor:
    """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
    points = buffers.scene.points
    return _Accumulate.apply(
        points, generator.cells(points), generator.width, buffers, generator.table, takes_max
    )


def shade(buffers: Buffers, coverage: Curve, occlusion: Curve) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
    scene = buffers.scene
    attributes = scene.attributes
    if attributes is None:
        attributes = scene.points.new_zeros(scene.points.shape[0], 0)
    return _Shade.apply(
        scene.points,
        attributes,
        coverage.cells(scene.points),
        coverage.width,
        occlusion.cells(scene.points),
        occlusion.width,
        buffers,
        (coverage.table, occlusion.table),
        scene.attribute_index,
    )
