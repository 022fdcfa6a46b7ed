"""The pass of occlusion: sums of weights, depths and colours over faces. Private.

Differentiated as `taichisoft.engine.coverage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from taichisoft.engine.adjoints import points_gradient, table_gradient, width_gradient
from taichisoft.engine.autodiff import FAR, sums_of_fragments
from taichisoft.engine.bridge import Gradients, Kept, Needed, Rendered, flat
from taichisoft.engine.inputs import BlendInputs
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
class BlendPass(Rendered):
    """Sums of weights, depths and attributes over faces.

    Parameters
    ----------
    job : RasterJob
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    """

    job: RasterJob
    curve: Curve
    occlusion: Curve

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.job.points)

    @cached_property
    def _depth_numbers(self) -> Tensor:
        return self.occlusion.numbers(self.job.points)

    @cached_property
    def _slope_numbers(self) -> Tensor:
        return self.curve.slope_numbers(self.job.points) if self.curve.slopes else self._numbers

    @cached_property
    def _rows(self) -> Tensor:
        return self.job.rows(self._numbers)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Kept]:
        """Return sums, (B, H, W, 2 + C), and front depths and front faces, (B * H * W)."""
        job = self.job
        _, attributes, cells, _, _, keep_cells, _ = inputs
        arrays = self._inputs(attributes, cells, keep_cells)
        front, front_face = self._front(arrays)
        sums = job.zeros(2 + attributes.shape[1], job.pixels)
        self._step(ADD_UP, arrays, front, front_face, sums, job.zeros(1))
        planes = sums.reshape(-1, job.images, job.height, job.width)
        return planes.movedim(0, -1), (front, front_face)

    def front_face(self) -> Tensor:
        """Return the nearest face in reach of each pixel, (B * H * W) int32, -1 for none."""
        inputs = BlendInputs.of(self.job, self.curve, self.occlusion)
        none = inputs.points.new_zeros(1, 0)
        return self._front(self._inputs(none, inputs.cells, inputs.keep_cells))[1]

    def _front(self, inputs: tuple) -> tuple[Tensor, Tensor]:
        """Return the least depth in reach of each pixel, and its face."""
        job = self.job
        none = job.zeros(1)
        front = job.points.new_full((job.pixels,), FAR)
        if job.on_cpu:
            front_face = job.indices(job.pixels, -1)
            self._step(FIND_FRONT, inputs, front, front_face, none, none)
            return front, front_face
        # Which face has the least depth can be told only when it is known.
        front_face = job.unnamed(job.pixels)
        for naming in (False, True):
            self._step(FIND_FRONT, inputs, front, front_face, none, none, naming=naming)
        return front, job.named(front_face)

    def adjoint(self, upstream: Tensor, kept: Kept, inputs: Kept, needed: Needed) -> Gradients:
        """Return the gradients of the fields of `BlendInputs`; None for cells that are not asked for."""
        job = self.job
        _, attributes, cells, slope_cells, _, keep_cells, _ = inputs
        channels = attributes.shape[1]
        into_cells = needed[2] or needed[5]
        arrays = self._inputs(attributes, cells, keep_cells)
        front, front_face = kept
        grad_sums = flat(upstream.movedim(-1, 0))
        grad_front = job.zeros(job.pixels)
        self._step(FRONT_ADJOINT, arrays, front, front_face, grad_sums, grad_front)
        launch = job.backward_launch(into_cells)
        grad_corners = job.unwritten(job.num_faces, job.slices, 3, 4)
        grad_attributes = job.zeros(job.num_faces, job.slices, 3, channels)
        grad_widths = job.unwritten(launch.workers, 2)
        tables = launch.workers if into_cells else 0
        grad_cells = job.zeros(tables, cells.numel())
        grad_keep = job.zeros(tables, keep_cells.numel())
        if job.num_faces:
            blend_adjoint_kernel(job.kernel_type, job.lanes)(
                into_cells,
                self.curve.pieces,
                self.occlusion.pieces,
                self.curve.slope_pieces,
                job.points,
                job.faces,
                job.face_image,
                *arrays,
                self._slope_numbers,
                flat(slope_cells),
                front,
                front_face,
                grad_front,
                grad_sums,
                job.height,
                job.width,
                job.slices,
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
            points_gradient(job, grad_corners),
            self._attributes_gradient(grad_attributes, attributes),
            table_gradient(grad_cells, launch, cells) if into_cells else None,
            None,
            width_gradient(grad_width, self._numbers),
            table_gradient(grad_keep, launch, keep_cells) if into_cells else None,
            width_gradient(grad_gamma, self._depth_numbers),
        )

    def render(self, kept: Kept, *inputs: Tensor) -> Tensor:
        """Return the sums as a graph of torch, with the faces that were nearest."""
        return sums_of_fragments(
            self.job, self.curve, self.occlusion, kept[1], BlendInputs(*inputs)
        )

    def _inputs(self, attributes: Tensor, cells: Tensor, keep_cells: Tensor) -> tuple:
        job = self.job
        channels = attributes.shape[1]
        return (
            self._rows,
            flat(attributes) if channels else job.zeros(1),
            job.scene.attribute_index.to(torch.int32).contiguous().reshape(-1),
            channels,
            self._numbers,
            flat(cells),
            self._depth_numbers,
            flat(keep_cells),
        )

    def _step(
        self, step, inputs, front, front_face, sums, grad_front, *, naming: bool = False
    ) -> None:
        job = self.job
        if not job.num_faces:
            return
        kernels = blend_kernels(job.kernel_type, job.lanes)
        least = self.curve.faint if step == FIND_FRONT else 0.0
        of_curves = (step, self.curve.pieces, self.occlusion.pieces)
        scene = (job.points, job.faces)
        image = (least, job.height, job.width)
        out = (front, front_face, sums, grad_front)
        if job.on_cpu:
            launch = job.forward_launch()
            bands = (job.band, launch.slots, launch.stride)
            kernels.blend(*of_curves, *scene, job.face_start, *inputs, *image, *bands, *out)
        else:
            items = (job.slices, job.items)
            if step != FIND_FRONT:
                # Already turned into indices, and not looked at.
                out = (front, job.zeros(1), sums, grad_front)
            kernels.scatter(
                *of_curves, int(naming), *scene, job.face_image, *inputs, *image, *items, *out
            )

    def _attributes_gradient(self, grad_attributes: Tensor, attributes: Tensor) -> Tensor:
        if not attributes.shape[1] or not self.job.num_faces:
            return torch.zeros_like(attributes)
        return self.job.gather_corners(
            grad_attributes, self.job.scene.attribute_index, *attributes.shape
        )


def blend(job: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
    return BlendPass(job, coverage, occlusion)(*BlendInputs.of(job, coverage, occlusion))
