"""Maps over fragments as torch functions that can be differentiated twice.

First derivatives come from Taichi's reverse mode over the map, second derivatives from Taichi's reverse mode
over the hand-written adjoint of the map. Fragments pass through the fields of the map in chunks.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.engine.adjoints import table_gradient
from taichisoft.engine.bridge import Gradients, Kept, Needed, Operation, flat
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.fragment_fields import (
    CAPACITY,
    COORDINATES,
    COVERAGE,
    FIRST,
    SECOND,
    SHARES,
    VALUES,
)
from taichisoft.engine.kernels.fragment_maps import fragment_maps
from taichisoft.engine.kernels.fragment_transfer import FRAME, fragment_transfers
from taichisoft.engine.kernels.launch import launch_for
from taichisoft.softness.curves import Curve


class Inputs(NamedTuple):
    """What a fragment map depends on.

    Parameters
    ----------
    points : Tensor, (P, 4)
    widths : Tensor, (2,)
        Of the coverage curve, and gamma.
    cells, slope_cells, keep_cells : Tensor, (K, 4)
        Of the coverage curve, of its slopes and of the occlusion curve.
    front : Tensor, (F,)
        Front depth at the pixel of each fragment.
    """

    points: Tensor
    widths: Tensor
    cells: Tensor
    slope_cells: Tensor
    keep_cells: Tensor
    front: Tensor


class FragmentMap(Operation):
    """One map over the fragments of one render.

    Parameters
    ----------
    kind : int
        `COVERAGE`, `SHARES` or `COORDINATES`.
    job, fragments
        The render and its fragments.
    curve, occlusion : Curve
        Coverage (or its generator) and occlusion.
    differentiated : bool
        False for a map of which only the second derivative is wanted: its values are not computed.
    """

    def __init__(
        self,
        kind: int,
        job: RasterJob,
        fragments: Fragments,
        curve: Curve,
        occlusion: Curve,
        *,
        differentiated: bool = True,
    ):
        self.kind, self.job, self.fragments = kind, job, fragments
        self.differentiated = differentiated
        self.size = len(fragments.face)
        straight = kind != COORDINATES and curve.slopes is not None
        self.kernels = fragment_maps(job.kernel_type, kind, straight)
        self.transfers = fragment_transfers(job.kernel_type, kind, straight)
        self.outputs = 1 if kind == COVERAGE else 3
        points = job.points
        self.modes = (curve.pieces, curve.slope_pieces, occlusion.pieces)
        self.numbers = tuple(
            x.contiguous()
            for x in (curve.numbers(points), curve.slope_numbers(points), occlusion.numbers(points))
        )

    def values(self, *inputs: Tensor) -> tuple[Tensor, Kept]:
        """Return (F, 1 or 3), given the fields of `Inputs`."""
        out = self.job.zeros(self.size, self.outputs)
        if self.differentiated:
            for first, n in self._chunks():
                self._load(VALUES, Inputs(*inputs), first, n)
                self.kernels.forward(False, n)
                self.transfers.store_outputs(n, self._part(out, first, n))
        return self._rows(out), ()

    def adjoint(self, upstream: Tensor, kept: Kept, inputs: Kept, needed: Needed) -> Gradients:
        """Return the gradients of the inputs, by Taichi's reverse mode over the map."""
        gradients = _Sums(FIRST, self, Inputs(*inputs), any(needed[2:5]))
        if self.differentiated:
            for first, n in self._chunks():
                self._load(FIRST, Inputs(*inputs), first, n, upstream)
                self.kernels.forward.grad(True, n)
                gradients.add(first, n, self.job.zeros(1))
        return gradients.result()

    def second_order(
        self, upstream: Tensor, kept: Kept, inputs: Kept, cotangents: Gradients, needed: Needed
    ) -> Gradients:
        """Differentiate the first-order gradients, by Taichi's reverse mode over the adjoint."""
        gradients = _Sums(SECOND, self, Inputs(*inputs), any(needed[3:6]))
        seeds = Inputs(*(c for c in cotangents if c is not None))  # each input has a gradient
        by_upstream = self.job.zeros(self.size, self.outputs)
        for first, n in self._chunks():
            self._load(SECOND, Inputs(*inputs), first, n, upstream, seeds)
            self.kernels.adjoint.grad(n)
            gradients.add(first, n, self._part(by_upstream, first, n))
        return self._rows(by_upstream), *gradients.result()

    @cached_property
    def _frames(self) -> Tensor:
        job = self.job
        frames = job.unwritten(job.num_faces, FRAME)
        self.transfers.set_up(job.points, job.faces, job.num_faces, frames)
        return frames

    def _chunks(self) -> list[tuple[int, int]]:
        return [
            (first, min(CAPACITY, self.size - first)) for first in range(0, self.size, CAPACITY)
        ]

    def _rows(self, outputs: Tensor) -> Tensor:
        width = self.outputs
        return outputs[: self.size * width].reshape(self.size, width)

    def _part(self, outputs: Tensor, first: int, n: int) -> Tensor:
        width = self.outputs
        return outputs[first * width : (first + n) * width]

    def _load(
        self,
        stage: int,
        inputs: Inputs,
        first: int,
        n: int,
        upstream: Tensor | None = None,
        cotangents: Inputs | None = None,
    ) -> None:
        numbers, slope_numbers, keep_numbers = self.numbers
        seeds = cotangents or inputs
        self.transfers.load(
            stage,
            *self.modes,
            self.job.points,
            self.job.faces,
            self._frames,
            self.fragments.face,
            self.fragments.pixel,
            numbers,
            flat(inputs.cells),
            slope_numbers,
            flat(inputs.slope_cells),
            keep_numbers,
            flat(inputs.keep_cells),
            flat(inputs.front),
            self.job.points if upstream is None else flat(upstream),
            flat(seeds.points),
            flat(seeds.widths),
            flat(seeds.cells),
            flat(seeds.keep_cells),
            flat(seeds.front),
            first,
            n,
            self.job.height,
            self.job.width,
        )


class _Sums:
    """Sums of the gradients of the inputs over chunks of fragments."""

    def __init__(self, stage: int, over: FragmentMap, inputs: Inputs, into_cells: bool):
        self.stage, self.map, self.inputs, self.into_cells = stage, over, inputs, into_cells
        job = over.job
        self.launch = launch_for(job.num_faces, job.on_cpu, 512)
        self.corners = job.zeros(job.num_faces, 3, 4)
        self.widths = job.zeros(self.launch.workers, 2)
        tables = self.launch.workers if into_cells else 0
        self.tables = tuple(
            job.zeros(tables, cells.numel())
            for cells in (inputs.cells, inputs.slope_cells, inputs.keep_cells)
        )
        self.front = job.zeros(over.size)

    def add(self, first: int, n: int, by_upstream: Tensor) -> None:
        """Add what is in the fields; store the gradient of the upstream gradient, if there is one."""
        fragments = self.map.fragments
        begin, last = fragments.face[[first, first + n - 1]].tolist()
        shares = self.map.kind == SHARES
        self.map.transfers.sum_inputs(
            self.stage,
            self.into_cells,
            fragments.starts,
            begin,
            last - begin + 1,
            first,
            n,
            self.launch.slots,
            self.launch.stride,
            by_upstream,
            self.front[first : first + n] if shares else self.front[:1],
            self.corners,
            self.widths,
            *self.tables,
        )

    def result(self) -> Inputs:
        """Return the sums in the shapes of the inputs."""
        job, inputs = self.map.job, self.inputs
        cells, slope_cells, keep_cells = (
            table_gradient(table, self.launch, like) if self.into_cells else torch.zeros_like(like)
            for table, like in zip(
                self.tables, (inputs.cells, inputs.slope_cells, inputs.keep_cells), strict=True
            )
        )
        points = torch.zeros_like(inputs.points)
        if job.num_faces:
            points = job.gather_faces(self.corners, job.scene.faces, *points.shape)
        widths = self.widths.reshape(-1, 2).sum(0)
        front = self.front[: self.map.size]
        return Inputs(points, widths, cells, slope_cells, keep_cells, front)
