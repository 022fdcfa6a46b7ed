"""Second derivatives of coverage in two sweeps over the faces, on the CPU. Private.

Nothing is kept of a fragment, a face at a pixel: memory is that of a few images. What the kernels compute
is in `taichisoft.engine.kernels.vector_second`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

from torch import Tensor

from taichisoft.engine.adjoints import points_gradient, table_gradient, width_gradient
from taichisoft.engine.block_job import BlockJob
from taichisoft.engine.bridge import Gradients, Needed, flat
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_bundles import Faces, VectorTable
from taichisoft.engine.kernels.vector_second import (
    SECOND_KEPT,
    TANGENT_KEPT,
    MovingCoverage,
    SecondArrays,
    SecondGradients,
    Tangents,
    vector_second_kernels,
)
from taichisoft.softness.curves import Curve


@dataclass(frozen=True, eq=False)
class Motion:
    """Coverage whose inputs move.

    Parameters
    ----------
    blocks : BlockJob
        The render, of one face at least.
    faces : Faces
        As they are set up.
    curve : Curve
        The generator of coverage.
    takes_max : bool
        Whether faces compete.
    winner : Tensor, (blocks, lanes), int32
        The face of the maximum, -1 for none; one vector of anything unless faces compete.
    inputs : CoverageInputs
        What moves.
    tangents : tuple of Tensor or None
        Rates of the inputs, in the shapes of those; None for one that stays. That of the slopes' cells is not
        read: totals do not depend on them.
    """

    blocks: BlockJob
    faces: Faces
    curve: Curve
    takes_max: bool
    winner: Tensor
    inputs: CoverageInputs
    tangents: Gradients

    @property
    def _kernels(self) -> SimpleNamespace:
        return vector_second_kernels(self.blocks.job.kernel_type)

    @cached_property
    def _arrays(self) -> MovingCoverage:
        points, cells, _, width = self.tangents
        inputs, curve, blocks = self.inputs, self.curve, self.blocks
        numbers = curve.numbers(inputs.points)
        rate = 0.0 if width is None else float(width / inputs.width)
        return MovingCoverage(
            self.takes_max,
            cells is not None,
            self.faces,
            blocks.job.corners.faces,
            blocks.tiles,
            VectorTable(curve.pieces, numbers, _rows(inputs.cells)),
            VectorTable(
                curve.slope_pieces,
                curve.slope_numbers(inputs.points) if curve.slopes else numbers,
                _rows(inputs.slope_cells),
            ),
            Tangents(
                blocks.job.zeros(*inputs.points.shape) if points is None else flat(points),
                inputs.cells.new_zeros(1, 4) if cells is None else _rows(cells),
                rate,
            ),
            self.winner,
        )

    def totals(self) -> Tensor:
        """Return (B, H, W): at which rates the totals move."""
        blocks, job = self.blocks, self.blocks.job
        launch = blocks.forward_launch()
        rates = job.points.new_empty(job.pixels)
        self._kernels.tangent(
            self._arrays,
            blocks.band,
            launch,
            blocks.found(TANGENT_KEPT, launch),
            blocks.scratch("totals", blocks.blocks),
            rates,
        )
        return rates.reshape(job.images, job.height, job.width)

    def gradients(
        self,
        upstream: Tensor,
        *,
        into_cells: bool = False,
        into_slopes: bool = False,
        keeps_first: bool = False,
        other: Tensor | None = None,
    ) -> tuple[Gradients, Tensor | None]:
        """Return the gradients of ``<upstream, totals>``, and a first one of the same sweep.

        Parameters
        ----------
        upstream : Tensor, (B, H, W)
            Gradient of `totals`.
        into_cells, into_slopes : bool
            Whether the gradients of the cells, and of those of the slopes, are asked for.
        keeps_first : bool
            Whether the gradient of ``<upstream, totals of coverage>`` by the points is asked for too: the
            second derivative of what the points are made of wants it.
        other : Tensor, (B, H, W), optional
            The gradients of ``<other, totals of coverage>`` are added: what the second derivative of what
            the totals are made into wants.

        Returns
        -------
        gradients : tuple of Tensor or None
            By each input; None for cells not asked for.
        first : Tensor, (P, 4), or None
            None unless asked for.
        """
        blocks, job, inputs = self.blocks, self.blocks.job, self.inputs
        launch = job.backward_launch(into_cells or into_slopes)
        corners = job.points.new_empty(2, job.items * 6)
        found = SecondGradients(
            corners[0],
            corners[1],
            job.points.new_empty(launch.workers),
            _tables(inputs.cells, launch, into_cells),
            _tables(inputs.slope_cells, launch, into_slopes),
        )
        others = SecondArrays(
            keeps_first,
            other is not None,
            into_cells,
            into_slopes,
            flat(upstream),
            job.zeros(1) if other is None else flat(other),
            blocks.scratch("upstream", blocks.blocks),
            blocks.scratch("other", 1 if other is None else blocks.blocks),
        )
        sizes = (inputs.cells.shape[0], inputs.slope_cells.shape[0])
        room = blocks.found(SECOND_KEPT, launch)
        self._kernels.second(self._arrays, others, *sizes, launch, room, found)
        gradients = (
            points_gradient(job, found.corners, columns=2),
            _summed(found.cells, launch, inputs.cells) if into_cells else None,
            _summed(found.slopes, launch, inputs.slope_cells) if into_slopes else None,
            width_gradient(found.log_width.sum(), self._arrays.curve.numbers),
        )
        first = points_gradient(job, found.first_corners, columns=2) if keeps_first else None
        return gradients, first


def second_order(motion: Motion, upstream: Tensor, needed: Needed) -> Gradients:
    """Return the gradients of ``<upstream, totals of the motion>`` by upstream gradient and inputs.

    `needed` says of the upstream gradient and of each input whether that gradient is asked for.
    """
    by_upstream, *by_inputs = needed
    found: Gradients = (None,) * len(by_inputs)
    if any(by_inputs):
        into_slopes = by_inputs[2] and motion.curve.slopes is not None
        found, _ = motion.gradients(upstream, into_cells=by_inputs[1], into_slopes=into_slopes)
    return motion.totals() if by_upstream else None, *found


def _rows(cells: Tensor) -> Tensor:
    return cells.detach().contiguous()


def _tables(cells: Tensor, launch: Launch, needed: bool) -> Tensor:
    """Return a table of zeros for each worker; one row unless needed."""
    return cells.new_zeros(launch.workers * cells.shape[0] if needed else 1, 4)


def _summed(tables: Tensor, launch: Launch, cells: Tensor) -> Tensor:
    return table_gradient(tables.reshape(-1), launch, cells)
