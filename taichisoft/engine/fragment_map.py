"""Maps over fragments as torch functions that can be differentiated twice.

First derivatives come from Taichi's reverse mode over the map, second derivatives from Taichi's reverse mode
over the hand-written adjoint of the map. Fragments pass through the fields of the map in chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.engine.adjoints import flat
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


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a fragment map depends on; a field is None where it does not, or where none is asked for.

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


class FragmentMap:
    """One map over the fragments of one render.

    Parameters
    ----------
    kind : int
        `COVERAGE`, `SHARES` or `COORDINATES`.
    buffers, fragments
        The render and its fragments.
    curve, occlusion : Curve
        Coverage (or its generator) and occlusion.
    differentiated : bool
        False for a map of which only the second derivative is wanted: its values are not computed.
    """

    def __init__(
        self,
        kind: int,
        buffers: RasterJob,
        fragments: Fragments,
        curve: Curve,
        occlusion: Curve,
        *,
        differentiated: bool = True,
    ):
        self.kind, self.buffers, self.fragments = kind, buffers, fragments
        self.differentiated = differentiated
        self.size = len(fragments.face)
        straight = kind != COORDINATES and curve.slopes is not None
        self.kernels = fragment_maps(buffers.kernel_type, kind, straight)
        self.transfers = fragment_transfers(buffers.kernel_type, kind, straight)
        self.outputs = 1 if kind == COVERAGE else 3
        points = buffers.points
        self.modes = (curve.pieces, curve.slope_pieces, occlusion.pieces)
        self.numbers = tuple(
            x.contiguous()
            for x in (curve.numbers(points), curve.slope_numbers(points), occlusion.numbers(points))
        )

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return (F, 1 or 3), given the fields of `Inputs`."""
        return _Map.apply(self, *inputs)

    def values(self, inputs: Inputs) -> Tensor:
        """Run the map."""
        out = inputs.points.new_zeros(max(self.size, 1) * self.outputs)
        if self.differentiated:
            for first, n in self._chunks():
                self._load(VALUES, inputs, first, n)
                self.kernels.forward(False, n)
                self.transfers.store_outputs(n, self._part(out, first, n))
        return self._rows(out)

    def first_order(self, upstream: Tensor, inputs: Inputs, into_cells: bool) -> Inputs:
        """Return the gradients of the inputs, by Taichi's reverse mode over the map."""
        gradients = _Gradients(FIRST, self, inputs, into_cells)
        if self.differentiated:
            for first, n in self._chunks():
                self._load(FIRST, inputs, first, n, upstream)
                self.kernels.forward.grad(True, n)
                gradients.add(first, n, self.buffers.zeros(1))
        return gradients.result()

    def second_order(
        self, upstream: Tensor, inputs: Inputs, cotangents: Inputs, into_cells: bool
    ) -> tuple[Tensor, Inputs]:
        """Differentiate the first-order gradients, by Taichi's reverse mode over the adjoint.

        Returns
        -------
        tuple of Tensor and Inputs
            Gradients with respect to `upstream` and the inputs of the inner product of the first-order
            gradients with the cotangents.
        """
        gradients = _Gradients(SECOND, self, inputs, into_cells)
        by_upstream = self.buffers.zeros(self.size, self.outputs)
        for first, n in self._chunks():
            self._load(SECOND, inputs, first, n, upstream, cotangents)
            self.kernels.adjoint.grad(n)
            gradients.add(first, n, self._part(by_upstream, first, n))
        return self._rows(by_upstream), gradients.result()

    @cached_property
    def _frames(self) -> Tensor:
        buffers = self.buffers
        frames = buffers.unwritten(buffers.num_faces, FRAME)
        self.transfers.set_up(buffers.points, buffers.faces, buffers.num_faces, frames)
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
            self.buffers.points,
            self.buffers.faces,
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
            self.buffers.points if upstream is None else flat(upstream),
            flat(seeds.points),
            flat(seeds.widths),
            flat(seeds.cells),
            flat(seeds.keep_cells),
            flat(seeds.front),
            first,
            n,
            self.buffers.height,
            self.buffers.width,
        )


class _Gradients:
    """Sums of the gradients of the inputs over chunks of fragments."""

    def __init__(self, stage: int, over: FragmentMap, inputs: Inputs, into_cells: bool):
        self.stage, self.map, self.inputs, self.into_cells = stage, over, inputs, into_cells
        buffers = over.buffers
        self.launch = launch_for(buffers.num_faces, buffers.on_cpu, 512)
        self.corners = buffers.zeros(buffers.num_faces, 3, 4)
        self.widths = buffers.zeros(self.launch.workers, 2)
        tables = self.launch.workers if into_cells else 0
        self.tables = tuple(
            buffers.zeros(tables, cells.numel())
            for cells in (inputs.cells, inputs.slope_cells, inputs.keep_cells)
        )
        self.front = buffers.zeros(over.size)

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
        buffers, inputs = self.map.buffers, self.inputs
        cells, slope_cells, keep_cells = (
            table[: self.launch.workers * like.numel()].reshape(self.launch.workers, -1, 4).sum(0)
            if self.into_cells
            else torch.zeros_like(like)
            for table, like in zip(
                self.tables, (inputs.cells, inputs.slope_cells, inputs.keep_cells), strict=True
            )
        )
        points = torch.zeros_like(inputs.points)
        if buffers.num_faces:
            points = buffers.gather_faces(self.corners, buffers.scene.faces, *points.shape)
        widths = self.widths.reshape(-1, 2).sum(0)
        front = self.front[: self.map.size]
        return Inputs(points, widths, cells, slope_cells, keep_cells, front)


class _Map(Function):
    """The values of a fragment map."""

    @staticmethod
    def forward(ctx, over, *inputs):
        ctx.over = over
        ctx.save_for_backward(*inputs)
        return over.values(Inputs(*inputs))

    @staticmethod
    def backward(ctx, upstream):
        into_cells = any(ctx.needs_input_grad[3:6])
        return None, *_MapAdjoint.apply(ctx.over, into_cells, upstream, *ctx.saved_tensors)


class _MapAdjoint(Function):
    """The gradients of the inputs of a fragment map."""

    @staticmethod
    def forward(ctx, over, into_cells, upstream, *inputs):
        ctx.over, ctx.into_cells = over, into_cells
        ctx.save_for_backward(upstream, *inputs)
        found = over.first_order(upstream, Inputs(*inputs), into_cells)
        return tuple(vars(found).values())

    @staticmethod
    def backward(ctx, *cotangents):
        refuse_third_order()
        upstream, *inputs = ctx.saved_tensors
        by_upstream, found = ctx.over.second_order(
            upstream, Inputs(*inputs), Inputs(*cotangents), ctx.into_cells
        )
        return None, None, by_upstream, *vars(found).values()


def refuse_third_order() -> None:
    """Raise if the derivative being computed is to be differentiated again."""
    # Inside backward, grad mode is on exactly when create_graph=True was asked for.
    if torch.is_grad_enabled():
        raise RuntimeError(
            "third derivatives of the rasterizer are not available: the backward of a derivative was "
            "called with create_graph=True; use taichisoft.reference for derivatives of any order, and "
            "torch.autograd.functional.vhp in place of hvp, which asks for a third one"
        )
