"""Second derivatives of compositing front to back by a kernel that works in whole vectors. Private.

What the kernel computes is in `taichisoft.engine.kernels.vector_composite_second`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.engine.adjoints import width_gradient
from taichisoft.engine.block_job import BlockJob
from taichisoft.engine.bridge import Gradients, Needed, flat
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_composite_second import composite_second_kernel
from taichisoft.engine.kernels.vector_layer_bundles import LayerArrays
from taichisoft.engine.kernels.vector_rates import (
    Motion,
    Moving,
    OfBand,
    OfCells,
    PairRate,
    SecondArrays,
    SecondGradients,
)
from taichisoft.engine.vector_bands import Division, Parts

# Of the tables among the inputs.
TABLES = ("generator_cells", "cells", "order_cells", "part_cells", "inverse_cells")


class Rates(NamedTuple):
    """At which rates inputs move, in their shapes; None for one that stays.

    Those of `TABLES` are together; None if all stay.
    """

    points: Tensor | None
    attributes: Tensor | None
    width: Tensor | None
    at_tie: Tensor | None
    gammas: Tensor | None
    tables: tuple[Tensor | None, ...] | None


def rates_of(cotangents: Gradients) -> Rates:
    """Return the rates in the order of `CompositeInputs`."""
    of = CompositeInputs(*cotangents)  # type: ignore[arg-type]
    tables = tuple(getattr(of, name) for name in TABLES)
    # What does not depend on the cells has cotangents of zeros.
    moves = any(cells is not None and bool(cells.any()) for cells in tables)
    return Rates(
        of.points, of.attributes, of.width, of.at_tie, of.gammas, tables if moves else None
    )


@dataclass(frozen=True, eq=False)
class MovingLayers:
    """Layers whose inputs move.

    Parameters
    ----------
    blocks : BlockJob
        The render.
    arrays : LayerArrays
        With room for `Rate.SECOND` vectors of a place.
    division : Division
        Of the render into bands.
    parts : Parts
        Of the faces in the bands.
    launch : Launch
        Of the workers.
    inputs : CompositeInputs
        What moves.
    numbers : Tensor
        Of the curve of coverage.
    opacity : bool
        Whether the last of the attributes is an opacity.
    """

    blocks: BlockJob
    arrays: LayerArrays
    division: Division
    parts: Parts
    launch: Launch
    inputs: CompositeInputs
    numbers: Tensor
    opacity: bool

    def second_order(self, upstream: Tensor, rates: Rates, needed: Needed) -> Gradients:
        """Return the gradients of ``<adjoint, rates>`` in the upstream gradient and in the inputs.

        Parameters
        ----------
        upstream : Tensor, (B, H, W, 3 + C)
        rates : Rates
        needed : tuple of bool
            Of the upstream gradient and of each input, whether that gradient is asked for.
        """
        blocks, of, workers = self.blocks, self.inputs, self.launch.workers
        job = blocks.job
        channels = of.attributes.shape[1]
        planes = 3 + channels - self.opacity
        asked = CompositeInputs(*needed[1:])  # type: ignore[arg-type]
        of_cells = OfCells.INTO if any(getattr(asked, name) for name in TABLES) else OfCells.NONE
        if rates.tables is not None:
            of_cells = OfCells.MOVE
        sizes = [len(getattr(of, name)) for name in TABLES]
        # Totals, then those before each table but the first.
        _, *before, total = (0, *accumulate(sizes))
        found = SecondGradients(
            job.points.new_empty(planes * job.pixels),
            job.zeros(self.parts.count, 12),
            job.zeros(self.parts.count, 3, channels),
            job.zeros(self.division.count, OfBand.COUNT),
            job.points.new_zeros(workers * total if of_cells else 1, 4),
        )
        motion = self._motion(rates)
        composite_second_kernel(job.kernel_type)(
            self.arrays,
            SecondArrays(
                of_cells,
                torch.tensor([total, *before], dtype=torch.int32),
                flat(upstream.movedim(-1, 0)),
                blocks.scratch("upstream", workers * self.division.blocks * planes),
                blocks.scratch("sums", workers * self.division.blocks * planes),
                blocks.scratch("attributes", workers * 3 * max(channels, 1)),
                blocks.scratch("moving pairs", PairRate.COUNT * workers * self.division.places),
                self.parts.offset,
            ),
            motion,
            self.launch,
            found,
        )
        image = found.image.reshape(planes, job.images, job.height, job.width).movedim(0, -1)
        tables: dict[str, Tensor] = {}
        if of_cells:
            cells = found.cells.reshape(workers, total, 4).sum(0)
            tables = dict(zip(TABLES, cells.split(sizes), strict=True))
        gradients = {**tables, **self._numbers(found.numbers, motion.numbers)}
        gradients["points"] = self.parts.gathered(found.corners, job.scene.faces, len(of.points), 4)
        gradients["attributes"] = self.parts.gathered(
            found.attributes, job.scene.attribute_index, *of.attributes.shape
        )
        return image, *(gradients.get(name) for name in CompositeInputs._fields)

    def _motion(self, rates: Rates) -> Motion:
        job, of = self.blocks.job, self.inputs

        def given(rate: Tensor | None, like: Tensor) -> Tensor:
            rate = torch.zeros_like(like) if rate is None else rate
            return flat(rate) if rate.numel() else job.zeros(1)

        tie, width = given(rates.at_tie, of.at_tie), given(rates.width, of.width)
        numbers = [tie, width / of.width.detach(), given(rates.gammas, of.gammas) / of.gammas]
        return Motion(
            job.corners.faces,
            given(rates.points, of.points),
            given(rates.attributes, of.attributes),
            torch.cat([x.detach().to(job.points) for x in numbers]),
            job.points.new_zeros(1, 4) if rates.tables is None else self._cells(rates.tables),
        )

    def _cells(self, tables: tuple[Tensor | None, ...]) -> Tensor:
        """Return the rates of the cells of all tables."""
        inputs = [getattr(self.inputs, name) for name in TABLES]
        pairs = zip(tables, inputs, strict=True)
        return torch.cat([torch.zeros_like(x) if r is None else r for r, x in pairs]).detach()

    def _numbers(self, found: Tensor, rates: Tensor) -> dict[str, Tensor]:
        """Return the gradients of width, gammas and the order of equal depths."""
        found = found.reshape(-1, OfBand.COUNT)
        image = self.division.rows[::3].long()
        gammas = self.inputs.gammas.detach()
        # Found are gradients of logarithms; what they are divided by moves too.
        by_width = found[:, OfBand.WIDTH_DOT] - found[:, OfBand.WIDTH] * rates[Moving.WIDTH]
        by_gamma = (
            found[:, OfBand.GAMMA_DOT] - found[:, OfBand.GAMMA] * rates[Moving.GAMMAS :][image]
        )
        by_tie = found.new_zeros(3)
        by_tie[:2] = found[:, [OfBand.TIE_DOT, OfBand.TIE_SLOPE_DOT]].sum(0)
        by_gammas = torch.zeros_like(gammas).index_add(0, image, by_gamma)
        return {
            "width": width_gradient(by_width.sum(), self.numbers),
            "gammas": by_gammas / gammas,
            "at_tie": by_tie.to(self.inputs.at_tie),
        }
