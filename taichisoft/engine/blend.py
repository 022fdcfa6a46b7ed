"""The pass of occlusion: depths and colours. The bridge between torch autograd and its kernels. Private.

As `taichisoft.engine.coverage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.engine.adjoints import (
    differentiate_adjoint,
    flat,
    points_gradient,
    table_gradient,
    width_gradient,
)
from taichisoft.engine.autodiff import FAR, sums_of_fragments
from taichisoft.engine.fragment_map import refuse_third_order
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.blend import (
    ADD_UP,
    FIND_FRONT,
    FRONT_ADJOINT,
    blend_kernels,
)
from taichisoft.engine.kernels.blend_adjoint import blend_adjoint_kernel
from taichisoft.softness.curves import Curve


@dataclass(frozen=True, eq=False)
class BlendPass:
    """Sums of weights, depths and attributes over faces, and the first derivative.

    Parameters
    ----------
    buffers : RasterJob
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    """

    buffers: RasterJob
    curve: Curve
    occlusion: Curve

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.buffers.points)

    @cached_property
    def _depth_numbers(self) -> Tensor:
        return self.occlusion.numbers(self.buffers.points)

    @cached_property
    def _slope_numbers(self) -> Tensor:
        return self.curve.slope_numbers(self.buffers.points) if self.curve.slopes else self._numbers

    @cached_property
    def _rows(self) -> Tensor:
        return self.buffers.rows(self._numbers)

    def values(
        self, attributes: Tensor, cells: Tensor, keep_cells: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums, (2 + C, B * H * W), front depths and front faces, (B * H * W)."""
        buffers = self.buffers
        inputs = self._inputs(attributes, cells, keep_cells)
        front, front_face = self._front(inputs)
        sums = buffers.zeros(2 + attributes.shape[1], buffers.pixels)
        self._step(ADD_UP, inputs, front, front_face, sums, buffers.zeros(1))
        return sums, front, front_face

    def front_face(self, cells: Tensor, keep_cells: Tensor) -> Tensor:
        """Return the nearest face in reach of each pixel, (B * H * W) int32, -1 for none."""
        return self._front(self._inputs(self.buffers.points.new_zeros(1, 0), cells, keep_cells))[1]

    def _front(self, inputs: tuple) -> tuple[Tensor, Tensor]:
        """Return the least depth in reach of each pixel, and its face."""
        buffers = self.buffers
        none = buffers.zeros(1)
        front = buffers.points.new_full((buffers.pixels,), FAR)
        if buffers.on_cpu:
            front_face = buffers.indices(buffers.pixels, -1)
            self._step(FIND_FRONT, inputs, front, front_face, none, none)
            return front, front_face
        # Which face has the least depth can be told only when it is known.
        front_face = buffers.unnamed(buffers.pixels)
        for naming in (False, True):
            self._step(FIND_FRONT, inputs, front, front_face, none, none, naming=naming)
        return front, buffers.named(front_face)

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
        grad_sums = flat(grad_sums.movedim(-1, 0))
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
            blend_adjoint_kernel(buffers.kernel_type, buffers.lanes)(
                into_cells,
                self.curve.pieces,
                self.occlusion.pieces,
                self.curve.slope_pieces,
                buffers.points,
                buffers.faces,
                buffers.face_image,
                *inputs,
                self._slope_numbers,
                flat(slope_cells),
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
            points_gradient(buffers, grad_corners),
            self._attributes_gradient(grad_attributes, attributes),
            table_gradient(grad_cells, launch, cells) if into_cells else None,
            width_gradient(grad_width, self._numbers),
            table_gradient(grad_keep, launch, keep_cells) if into_cells else None,
            width_gradient(grad_gamma, self._depth_numbers),
        )

    def _inputs(self, attributes: Tensor, cells: Tensor, keep_cells: Tensor) -> tuple:
        buffers = self.buffers
        channels = attributes.shape[1]
        return (
            self._rows,
            flat(attributes) if channels else buffers.zeros(1),
            buffers.scene.attribute_index.to(torch.int32).contiguous().reshape(-1),
            channels,
            self._numbers,
            flat(cells),
            self._depth_numbers,
            flat(keep_cells),
        )

    def _step(
        self, step, inputs, front, front_face, sums, grad_front, *, naming: bool = False
    ) -> None:
        buffers = self.buffers
        if not buffers.num_faces:
            return
        kernels = blend_kernels(buffers.kernel_type, buffers.lanes)
        least = self.curve.faint if step == FIND_FRONT else 0.0
        of_curves = (step, self.curve.pieces, self.occlusion.pieces)
        scene = (buffers.points, buffers.faces)
        image = (least, buffers.height, buffers.width)
        out = (front, front_face, sums, grad_front)
        if buffers.on_cpu:
            launch = buffers.forward_launch()
            bands = (buffers.band, launch.slots, launch.stride)
            kernels.blend(*of_curves, *scene, buffers.face_start, *inputs, *image, *bands, *out)
        else:
            items = (buffers.slices, buffers.items)
            if step != FIND_FRONT:
                # Already turned into indices, and not looked at.
                out = (front, buffers.zeros(1), sums, grad_front)
            kernels.scatter(
                *of_curves, int(naming), *scene, buffers.face_image, *inputs, *image, *items, *out
            )

    def _attributes_gradient(self, grad_attributes: Tensor, attributes: Tensor) -> Tensor:
        if not attributes.shape[1] or not self.buffers.num_faces:
            return torch.zeros_like(attributes)
        return self.buffers.gather_corners(
            grad_attributes, self.buffers.scene.attribute_index, *attributes.shape
        )


class _Blend(Function):
    """sums (B, H, W, 2 + C) = sum over faces of w, w z and w c."""

    @staticmethod
    def forward(ctx, job, points, attributes, cells, slope_cells, width, keep_cells, gamma):
        sums, front, front_face = job.values(attributes, cells, keep_cells)
        ctx.job = job
        ctx.save_for_backward(
            front, front_face, points, attributes, cells, slope_cells, width, keep_cells, gamma
        )
        buffers = job.buffers
        planes = sums.reshape(-1, buffers.images, buffers.height, buffers.width)
        return planes.movedim(0, -1)

    @staticmethod
    def backward(ctx, grad_sums):
        into_cells = ctx.needs_input_grad[3] or ctx.needs_input_grad[6]
        points, attributes, cells, width, keep_cells, gamma = _BlendAdjoint.apply(
            ctx.job, into_cells, grad_sums, *ctx.saved_tensors
        )
        return None, points, attributes, cells, None, width, keep_cells, gamma


class _BlendAdjoint(Function):
    """The first derivative of `_Blend`."""

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

        by_sums, *found = differentiate_adjoint(
            render,
            grad_sums,
            inputs,
            (*cotangents[:3], None, *cotangents[3:]),
            (ctx.needs_input_grad[2], *ctx.needs_input_grad[5:]),
        )
        return None, None, by_sums, None, None, *found


def blend(buffers: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
    points = buffers.scene.points
    return _Blend.apply(
        BlendPass(buffers, coverage, occlusion),
        points,
        buffers.scene.channels,
        coverage.cells(points),
        coverage.slope_cells(points),
        coverage.width,
        occlusion.cells(points),
        occlusion.width,
    )
