"""Coverage on the CPU by kernels that work in whole vectors. Private."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import torch
from torch import Tensor

from taichisoft.engine.adjoints import points_gradient, table_gradient, width_gradient
from taichisoft.engine.autodiff import total_of_fragments
from taichisoft.engine.block_job import BlockJob
from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.vector_bundles import VectorTable
from taichisoft.engine.kernels.vector_coverage import (
    KEPT,
    VectorAdjointArrays,
    VectorGradients,
    vector_coverage_kernels,
)
from taichisoft.engine.vector_second import Motion, second_order
from taichisoft.softness.curves import Curve


@dataclass(frozen=True, eq=False)
class VectorCoveragePass(Rendered):
    """What `taichisoft.engine.coverage.CoveragePass` is, of a job that has faces.

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
        return vector_coverage_kernels(self.job.kernel_type)

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curve.numbers(self.job.points)

    @cached_property
    def _blocks(self) -> BlockJob:
        return BlockJob(self.job, self._numbers)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return totals, (B, H, W); the faces as they are set up, and the winners of the blocks, if any."""
        job, blocks = self.job, self._blocks
        total = job.points.new_empty(job.pixels)
        winner = self._winners()
        launch = blocks.forward_launch()
        faces = blocks.faces()
        self._kernels.accumulate(
            self.takes_max,
            faces,
            blocks.tiles,
            self._table(inputs[1]),
            blocks.band,
            launch,
            blocks.found(1, launch),
            blocks.scratch("totals", blocks.blocks),
            winner,
            total,
        )
        kept = (faces.frames, faces.rows, winner)
        return total.reshape(job.images, job.height, job.width), kept

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of points, cells (None unless asked for), slope cells (None) and width."""
        job, blocks = self.job, self._blocks
        _, cells, slope_cells, _ = inputs
        frames, rows, winner = kept
        into_cells = needed[1]
        launch = job.backward_launch(into_cells)
        gradients = VectorGradients(
            job.unwritten(job.num_faces, job.slices, 3, 2),
            job.unwritten(launch.workers),
            job.zeros(launch.workers if into_cells else 1, len(cells), 4).reshape(-1, 4),
        )
        arrays = VectorAdjointArrays(
            self.takes_max,
            into_cells,
            blocks.faces_of(frames, rows),
            blocks.tiles,
            self._table(cells),
            self._slopes(slope_cells),
            winner,
            blocks.scratch("upstream", blocks.blocks),
        )
        self._kernels.accumulate_adjoint(
            arrays, flat(upstream), len(cells), launch, blocks.found(KEPT, launch), gradients
        )
        return (
            points_gradient(job, gradients.corners, columns=2),
            table_gradient(gradients.cells, launch, cells) if into_cells else None,
            None,
            width_gradient(gradients.log_width.sum(), self._numbers),
        )

    def second_order(
        self,
        upstream: Tensor,
        kept: Tensors,
        inputs: Tensors,
        cotangents: Gradients,
        needed: Needed,
    ) -> Gradients:
        """Return the gradients of ``<adjoint, cotangents>`` in the upstream gradient and in the inputs."""
        return second_order(self.motion(kept, inputs, cotangents), upstream, needed)

    def motion(self, kept: Tensors, inputs: Tensors, tangents: Gradients) -> Motion:
        """Return this coverage with inputs that move."""
        frames, rows, winner = kept
        return Motion(
            self._blocks,
            self._blocks.faces_of(frames, rows),
            self.curve,
            self.takes_max,
            winner,
            CoverageInputs(*inputs),
            tangents,
        )

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return the totals as a graph of torch, of the winning faces; zeros but for their gradients."""
        winner = self._blocks.flattened(kept[2]) if self.takes_max else None
        return total_of_fragments(
            self.job, self.curve, winner, CoverageInputs(*inputs), differentiated=False
        )

    def _winners(self) -> Tensor:
        if self.takes_max:
            return self._blocks.tiled_indices()
        return torch.empty(1, self._blocks.lanes, dtype=torch.int32)

    def _table(self, cells: Tensor) -> VectorTable:
        return VectorTable(self.curve.pieces, self._numbers, cells.detach().contiguous())

    def _slopes(self, cells: Tensor) -> VectorTable:
        # Without slopes of its own they are not read.
        numbers = self.curve.slope_numbers(self._numbers) if self.curve.slopes else self._numbers
        return VectorTable(self.curve.slope_pieces, numbers, cells.detach().contiguous())
