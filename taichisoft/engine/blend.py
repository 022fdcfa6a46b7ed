"""Blending by depth: sums of weights, depths and colours over faces. Private.

Differentiated as `taichisoft.engine.coverage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from taichisoft.engine.adjoints import (
    points_gradient,
    slopes_table,
    table_gradient,
    width_gradient,
)
from taichisoft.engine.autodiff import FAR, sums_of_fragments
from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.inputs import BlendInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.blend import (
    ADD_UP,
    FIND_FRONT,
    FRONT_ADJOINT,
    Attributes,
    BlendArrays,
    Planes,
    blend_kernels,
)
from taichisoft.engine.kernels.blend_adjoint import (
    BlendAdjointArrays,
    BlendGradients,
    blend_adjoint_kernel,
)
from taichisoft.engine.kernels.bundles import Raster, Table
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
    def _raster(self) -> Raster:
        return self.job.raster(self._numbers)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return sums, (B, H, W, 2 + C), and front depths and front faces, (B * H * W)."""
        job = self.job
        of = BlendInputs(*inputs)
        arrays = self._arrays(of, job.zeros(1))
        front, front_face = self._front(arrays)
        sums = job.zeros(2 + of.attributes.shape[1], job.pixels)
        self._step(ADD_UP, arrays, Planes(front, front_face, sums, job.zeros(1)))
        planes = sums.reshape(-1, job.images, job.height, job.width)
        return planes.movedim(0, -1), (front, front_face)

    def front_face(self) -> Tensor:
        """Return the nearest face in reach of each pixel, (B * H * W) int32, -1 for none."""
        inputs = BlendInputs.of(self.job, self.curve, self.occlusion)
        inputs = inputs._replace(attributes=inputs.points.new_zeros(1, 0))
        return self._front(self._arrays(inputs, self.job.zeros(1)))[1]

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of the fields of `BlendInputs`; None for cells that are not asked for."""
        job = self.job
        of, (front, front_face) = BlendInputs(*inputs), kept
        into_cells = needed[2] or needed[5]  # those of coverage or of occlusion
        arrays = self._arrays(of, flat(upstream.movedim(-1, 0)))
        by_front, none = job.zeros(job.pixels), job.zeros(1)
        self._step(FRONT_ADJOINT, arrays, Planes(front, front_face, none, by_front))
        launch = job.backward_launch(into_cells)
        tables = launch.workers if into_cells else 0
        gradients = BlendGradients(
            job.unwritten(job.num_faces, job.slices, 3, 4),
            job.zeros(job.num_faces, job.slices, 3, of.attributes.shape[1]),
            job.unwritten(launch.workers, 2),
            job.zeros(tables, of.cells.numel()),
            job.zeros(tables, of.keep_cells.numel()),
        )
        if job.num_faces:
            slopes = slopes_table(self.curve, self._numbers, of.slope_cells)
            blend_adjoint_kernel(job.kernel_type, job.lanes)(
                BlendAdjointArrays(into_cells, arrays, slopes, front, front_face, by_front),
                launch,
                gradients,
            )
        by_width, by_gamma = gradients.log_widths[: 2 * launch.workers].reshape(-1, 2).sum(0)
        return (
            points_gradient(job, gradients.corners),
            self._attributes_gradient(gradients.attributes, of.attributes),
            table_gradient(gradients.coverage_cells, launch, of.cells) if into_cells else None,
            None,
            width_gradient(by_width, self._numbers),
            table_gradient(gradients.occlusion_cells, launch, of.keep_cells)
            if into_cells
            else None,
            width_gradient(by_gamma, self._depth_numbers),
        )

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return the sums as a graph of torch, with the faces that were nearest."""
        return sums_of_fragments(
            self.job, self.curve, self.occlusion, kept[1], BlendInputs(*inputs)
        )

    def _arrays(self, inputs: BlendInputs, upstream: Tensor) -> BlendArrays:
        channels = inputs.attributes.shape[1]
        values = flat(inputs.attributes) if channels else self.job.zeros(1)
        return BlendArrays(
            self._raster,
            Attributes(values, self.job.attribute_index, channels),
            Table(self.curve.pieces, self._numbers, flat(inputs.cells)),
            Table(self.occlusion.pieces, self._depth_numbers, flat(inputs.keep_cells)),
            self.curve.faint,
            upstream,
        )

    def _front(self, arrays: BlendArrays) -> tuple[Tensor, Tensor]:
        """Return the least depth in reach of each pixel, and its face."""
        job = self.job
        none = job.zeros(1)
        front = job.points.new_full((job.pixels,), FAR)
        if job.on_cpu:
            front_face = job.indices(job.pixels, -1)
            self._step(FIND_FRONT, arrays, Planes(front, front_face, none, none))
            return front, front_face
        # Which face has the least depth can be told only when it is known.
        front_face = job.no_faces(job.pixels)
        for naming in (False, True):
            self._step(FIND_FRONT, arrays, Planes(front, front_face, none, none), naming)
        return front, job.face_indices(front_face)

    def _step(self, step: int, arrays: BlendArrays, planes: Planes, naming: bool = False) -> None:
        job = self.job
        if not job.num_faces:
            return
        kernels = blend_kernels(job.kernel_type, job.lanes)
        if job.on_cpu:
            kernels.blend(step, arrays, job.band, job.forward_launch(), planes)
            return
        if step != FIND_FRONT:
            # Already turned into indices, and not looked at.
            planes = planes._replace(front_face=job.zeros(1))
        kernels.scatter(step, int(naming), arrays, job.items, *planes)

    def _attributes_gradient(self, corners: Tensor, attributes: Tensor) -> Tensor:
        if not attributes.shape[1] or not self.job.num_faces:
            return torch.zeros_like(attributes)
        return self.job.gather_corners(corners, self.job.scene.attribute_index, *attributes.shape)


def blend(job: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
    return BlendPass(job, coverage, occlusion)(*BlendInputs.of(job, coverage, occlusion))
