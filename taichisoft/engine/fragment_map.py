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
from taichisoft.engine.bridge import Gradients, Needed, Operation, Tensors, flat
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.bundles import Table
from taichisoft.engine.kernels.fragment_bundles import (
    Chunk,
    FragmentArrays,
    FragmentSums,
    Seeds,
    SoftnessTables,
)
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
        self._curves = (curve, occlusion)
        points = job.points
        self._numbers = tuple(
            x.contiguous()
            for x in (curve.numbers(points), curve.slope_numbers(points), occlusion.numbers(points))
        )

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return (F, 1 or 3), given the fields of `Inputs`."""
        out = self.job.zeros(self.size, self.outputs)
        if self.differentiated:
            for chunk in self._chunks():
                self._load(VALUES, Inputs(*inputs), chunk)
                self.kernels.forward(False, chunk.count)
                self.transfers.store_outputs(chunk.count, self._part(out, chunk))
        return self._rows(out), ()

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of the inputs, by Taichi's reverse mode over the map."""
        gradients = _Sums(FIRST, self, Inputs(*inputs), any(needed[2:5]))
        if self.differentiated:
            for chunk in self._chunks():
                self._load(FIRST, Inputs(*inputs), chunk, upstream)
                self.kernels.forward.grad(True, chunk.count)
                gradients.add(chunk, self.job.zeros(1))
        return gradients.result()

    def second_order(
        self,
        upstream: Tensor,
        kept: Tensors,
        inputs: Tensors,
        cotangents: Gradients,
        needed: Needed,
    ) -> Gradients:
        """Differentiate the first-order gradients, by Taichi's reverse mode over the adjoint."""
        gradients = _Sums(SECOND, self, Inputs(*inputs), any(needed[3:6]))
        seeds = Inputs(*(c for c in cotangents if c is not None))  # each input has a gradient
        by_upstream = self.job.zeros(self.size, self.outputs)
        for chunk in self._chunks():
            self._load(SECOND, Inputs(*inputs), chunk, upstream, seeds)
            self.kernels.adjoint.grad(chunk.count)
            gradients.add(chunk, self._part(by_upstream, chunk))
        return self._rows(by_upstream), *gradients.result()

    @cached_property
    def _arrays(self) -> FragmentArrays:
        job = self.job
        frames = job.unwritten(job.num_faces, FRAME)
        self.transfers.set_up(job.corners, job.num_faces, frames)
        return FragmentArrays(frames, self.fragments.face, self.fragments.pixel)

    def _chunks(self) -> list[Chunk]:
        size = (self.job.height, self.job.width)
        return [
            Chunk(first, min(CAPACITY, self.size - first), *size)
            for first in range(0, self.size, CAPACITY)
        ]

    @cached_property
    def end_faces(self) -> list[list[int]]:
        """The faces of the first and of the last fragment of each chunk; the device is waited for once."""
        ends = [(chunk.first, chunk.first + chunk.count - 1) for chunk in self._chunks()]
        return self.fragments.face[torch.tensor(ends, device=self.fragments.face.device)].tolist()

    def _rows(self, outputs: Tensor) -> Tensor:
        width = self.outputs
        return outputs[: self.size * width].reshape(self.size, width)

    def _part(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        width = self.outputs
        return outputs[chunk.first * width : (chunk.first + chunk.count) * width]

    def _load(
        self,
        stage: int,
        inputs: Inputs,
        chunk: Chunk,
        upstream: Tensor | None = None,
        cotangents: Inputs | None = None,
    ) -> None:
        seeds = cotangents or inputs
        self.transfers.load(
            stage,
            self.job.corners,
            self._arrays,
            chunk,
            self._tables(inputs),
            flat(inputs.front),
            self.job.points if upstream is None else flat(upstream),
            Seeds(
                flat(seeds.points),
                flat(seeds.widths),
                flat(seeds.cells),
                flat(seeds.keep_cells),
                flat(seeds.front),
            ),
        )

    def _tables(self, inputs: Inputs) -> SoftnessTables:
        (curve, occlusion), (numbers, slope_numbers, keep_numbers) = self._curves, self._numbers
        return SoftnessTables(
            Table(curve.pieces, numbers, flat(inputs.cells)),
            Table(curve.slope_pieces, slope_numbers, flat(inputs.slope_cells)),
            Table(occlusion.pieces, keep_numbers, flat(inputs.keep_cells)),
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

    def add(self, chunk: Chunk, by_upstream: Tensor) -> None:
        """Add what is in the fields; store the gradient of the upstream gradient, if there is one."""
        fragments, last = self.map.fragments, chunk.first + chunk.count
        first_face, last_face = self.map.end_faces[chunk.first // CAPACITY]
        front = self.front[chunk.first : last] if self.map.kind == SHARES else self.front[:1]
        self.map.transfers.sum_inputs(
            self.stage,
            self.into_cells,
            fragments.starts,
            first_face,
            last_face - first_face + 1,
            chunk,
            self.launch,
            FragmentSums(by_upstream, front, self.corners, self.widths, *self.tables),
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
