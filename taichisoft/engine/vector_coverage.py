"""Coverage on the CPU by kernels that work in whole vectors. Private."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

from torch import Tensor

from taichisoft.engine.adjoints import points_gradient, table_gradient, width_gradient
from taichisoft.engine.autodiff import total_of_fragments
from taichisoft.engine.block_job import BlockJob
from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_accumulate import Accumulation
from taichisoft.engine.kernels.vector_adjoint import KEPT, AdjointArrays, FoundGradients
from taichisoft.engine.kernels.vector_bundles import Faces, VectorTable
from taichisoft.engine.kernels.vector_coverage import vector_coverage_kernels
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
    def numbers(self) -> Tensor:
        """The numbers of the curve, for kernels."""
        return self.curve.numbers(self.job.points)

    @cached_property
    def blocks(self) -> BlockJob:
        """The blocks of the render."""
        return BlockJob(self.job)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return totals, (B, H, W); the faces as they are set up, and the winners of the blocks, if any."""
        job, blocks = self.job, self.blocks
        arrays = self.accumulation(
            blocks.unwritten_faces(), inputs[1], blocks.scratch("totals", blocks.blocks)
        )
        set_up, launch = blocks.set_up_launch(), blocks.forward_launch()
        self._kernels.accumulate(job.corners, job.scene.near, set_up, launch, arrays)
        total = arrays.image_out.reshape(job.images, job.height, job.width)
        return total, (arrays.faces.frames, arrays.faces.rows, arrays.winner_out)

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of points, cells (None unless asked for), slope cells (None) and width."""
        job, blocks = self.job, self.blocks
        _, cells, slope_cells, _ = inputs
        frames, rows, winner = kept
        launch = job.backward_launch(needed[1])
        found = self.found_gradients(launch, cells, needed[1])
        arrays = self.adjoint_arrays(
            launch, blocks.faces_of(frames, rows), cells, slope_cells, winner, upstream, needed[1]
        )
        self._kernels.accumulate_adjoint(blocks.tiling_launch(), launch, arrays, found)
        return (
            points_gradient(job, found.corners, columns=2),
            table_gradient(found.cells, launch, cells) if needed[1] else None,
            None,
            width_gradient(found.log_width.sum(), self.numbers),
        )

    def accumulation(
        self, faces: Faces, cells: Tensor, tiled: Tensor, *, exponential: bool = False
    ) -> Accumulation:
        """Return what the kernel of the forward pass is given; the image is yet to be written."""
        blocks = self.blocks
        return Accumulation(
            self.takes_max,
            exponential,
            faces,
            blocks.tiles,
            self._table(cells),
            blocks.band,
            blocks.found(1, blocks.forward_launch()),
            tiled,
            blocks.tiled_indices(blocks.blocks if self.takes_max else 1),
            self.job.points.new_empty(self.job.pixels),
        )

    def adjoint_arrays(
        self,
        launch: Launch,
        faces: Faces,
        cells: Tensor,
        slope_cells: Tensor,
        winner: Tensor,
        upstream: Tensor,
        into_cells: bool,
        passed: Tensor | None = None,
    ) -> AdjointArrays:
        """Return what the kernel of the adjoint is given; with `passed` that of ``1 - exp(-total)``."""
        blocks = self.blocks
        return AdjointArrays(
            self.takes_max,
            passed is not None,
            into_cells,
            faces,
            blocks.tiles,
            self._table(cells),
            self._slopes(slope_cells),
            len(cells),
            winner,
            blocks.scratch("none", 1) if passed is None else passed,
            flat(upstream),
            blocks.found(KEPT, launch),
            blocks.scratch("upstream", blocks.blocks),
        )

    def found_gradients(self, launch: Launch, cells: Tensor, into_cells: bool) -> FoundGradients:
        """Return memory for what the kernel of the adjoint finds."""
        job = self.job
        tables = (launch.workers, len(cells)) if into_cells else (1, 1)
        return FoundGradients(
            job.points.new_empty(job.items * 6),
            job.points.new_empty(launch.workers),
            job.points.new_zeros(*tables, 4).flatten(0, 1),
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
            self.blocks,
            self.blocks.faces_of(frames, rows),
            self.curve,
            self.takes_max,
            winner,
            CoverageInputs(*inputs),
            tangents,
        )

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return the totals as a graph of torch, of the winning faces; zeros but for their gradients."""
        winner = self.blocks.flattened(kept[2]) if self.takes_max else None
        return total_of_fragments(
            self.job, self.curve, winner, CoverageInputs(*inputs), differentiated=False
        )

    def _table(self, cells: Tensor) -> VectorTable:
        return VectorTable(self.curve.pieces, self.numbers, cells.detach().contiguous())

    def _slopes(self, cells: Tensor) -> VectorTable:
        # Without slopes of its own they are not read.
        numbers = self.curve.slope_numbers(self.numbers) if self.curve.slopes else self.numbers
        return VectorTable(self.curve.slope_pieces, numbers, cells.detach().contiguous())
