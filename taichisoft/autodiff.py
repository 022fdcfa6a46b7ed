"""Renders as torch graphs of fragment maps that Taichi differentiates: exact to the second order.

A fragment is a face at a pixel within its reach. `Fragments` lists them, a map (see
`taichisoft.kernels.autodiff`) takes each to its contribution, and torch sums those into the pixels. First
derivatives come from Taichi's reverse mode over the map, second derivatives from Taichi's reverse mode
over the hand-written adjoint of the map. Memory grows with the number of fragments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.buffers import Buffers
from taichisoft.curve import Curve
from taichisoft.kernels.autodiff import (
    CAPACITY,
    COORDINATES,
    COVERAGE,
    FIRST,
    SECOND,
    SHARES,
    VALUES,
    fragment_maps,
)
from taichisoft.kernels.fragments import fragment_kernels
from taichisoft.kernels.launch import launch_for

# The depth in front of nothing, as in the kernels.
FAR = 1e30


@dataclass(frozen=True, eq=False)
class Fragments:
    """Pairs of a face and a pixel, sorted by face.

    Parameters
    ----------
    face, pixel : Tensor, (F,), int32
        Face, and pixel among the pixels of all images.
    num_faces : int
        Number of faces of the render.
    """

    face: Tensor
    pixel: Tensor
    num_faces: int

    @cached_property
    def faces_as_index(self) -> Tensor:
        """(F,) int64 face, to index with."""
        return self.face.long()

    @cached_property
    def pixels_as_index(self) -> Tensor:
        """(F,) int64 pixel, to index with."""
        return self.pixel.long()

    @cached_property
    def starts(self) -> Tensor:
        """(N + 1) int32: first fragment of each face, and the end."""
        counts = torch.bincount(self.face, minlength=self.num_faces)
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(torch.int32)

    @classmethod
    def within_reach(cls, buffers: Buffers, numbers: Tensor) -> Fragments:
        """List the fragments of a render whose coverage curve has these numbers."""
        if not buffers.num_faces:
            none = torch.zeros(0, dtype=torch.int32, device=buffers.points.device)
            return cls(none, none, 0)
        rows = buffers.rows(numbers)
        kernels = fragment_kernels(buffers.kernel_type)
        counts = torch.zeros(buffers.num_faces, dtype=torch.int32, device=rows.device)
        scene = (buffers.points, buffers.faces)
        kernels.count_fragments(*scene, rows, numbers, buffers.num_faces, buffers.width, counts)
        ends = counts.cumsum(0)
        total = int(ends[-1])
        face, pixel = (counts.new_empty(max(total, 1)) for _ in range(2))
        if total:
            kernels.list_fragments(
                *scene,
                buffers.face_image,
                rows,
                numbers,
                (ends - counts).to(torch.int32),
                ends.to(torch.int32),
                buffers.num_faces,
                buffers.height,
                buffers.width,
                face,
                pixel,
            )
        return cls(face[:total], pixel[:total], buffers.num_faces)

    @classmethod
    def of_faces(cls, face: Tensor, num_faces: int) -> Fragments:
        """List the one fragment of each pixel, given its face (-1: none)."""
        pixel = torch.nonzero(face >= 0)[:, 0]
        order = torch.argsort(face[pixel], stable=True)
        pixel = pixel[order]
        return cls(face[pixel].contiguous(), pixel.to(torch.int32), num_faces)

    def kept(self, mask: Tensor) -> Fragments:
        """Return the fragments where the mask is true."""
        return Fragments(
            self.face[mask].contiguous(), self.pixel[mask].contiguous(), self.num_faces
        )


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
        buffers: Buffers,
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
        out = inputs.points.new_zeros(max(self.size, 1) * self.kernels.outputs)
        if self.differentiated:
            for first, n in self._chunks():
                self._load(VALUES, inputs, first, n)
                self.kernels.forward(False, n)
                self.kernels.store_outputs(n, self._part(out, first, n))
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
        by_upstream = self.buffers.zeros(self.size, self.kernels.outputs)
        for first, n in self._chunks():
            self._load(SECOND, inputs, first, n, upstream, cotangents)
            self.kernels.adjoint.grad(n)
            gradients.add(first, n, self._part(by_upstream, first, n))
        return self._rows(by_upstream), gradients.result()

    def _chunks(self) -> list[tuple[int, int]]:
        return [
            (first, min(CAPACITY, self.size - first)) for first in range(0, self.size, CAPACITY)
        ]

    def _rows(self, outputs: Tensor) -> Tensor:
        width = self.kernels.outputs
        return outputs[: self.size * width].reshape(self.size, width)

    def _part(self, outputs: Tensor, first: int, n: int) -> Tensor:
        width = self.kernels.outputs
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
        self.kernels.load(
            stage,
            *self.modes,
            self.buffers.points,
            self.buffers.faces,
            self.fragments.face,
            self.fragments.pixel,
            numbers,
            _flat(inputs.cells),
            slope_numbers,
            _flat(inputs.slope_cells),
            keep_numbers,
            _flat(inputs.keep_cells),
            _flat(inputs.front),
            self.buffers.points if upstream is None else _flat(upstream),
            _flat(seeds.points),
            _flat(seeds.widths),
            _flat(seeds.cells),
            _flat(seeds.keep_cells),
            _flat(seeds.front),
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
        fragments, kernels = self.map.fragments, self.map.kernels
        begin, last = fragments.face[[first, first + n - 1]].tolist()
        shares = self.map.kind == SHARES
        kernels.sum_inputs(
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
        cells = [
            table[: self.launch.workers * like.numel()].reshape(self.launch.workers, -1, 4).sum(0)
            if self.into_cells
            else torch.zeros_like(like)
            for table, like in zip(
                self.tables, (inputs.cells, inputs.slope_cells, inputs.keep_cells), strict=True
            )
        ]
        points = torch.zeros_like(inputs.points)
        if buffers.num_faces:
            points = buffers.gather_faces(self.corners, buffers.scene.faces, *points.shape)
        widths = self.widths.reshape(-1, 2).sum(0)
        return Inputs(points, widths, *cells, self.front[: self.map.size])


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


def total_of_fragments(
    buffers: Buffers,
    curve: Curve,
    winner: Tensor | None,
    points: Tensor,
    cells: Tensor,
    slope_cells: Tensor,
    width: Tensor,
    *,
    differentiated: bool = True,
) -> Tensor:
    """Return (B, H, W): the curve summed over fragments, or of the winning face of each pixel.

    Parameters
    ----------
    buffers : Buffers
        The render.
    curve : Curve
        The generator of coverage.
    winner : Tensor, (B * H * W), int32, or None
        The face of the maximum, -1 for none; None to sum.
    points, cells, slope_cells, width : Tensor
        What the result is differentiable in.
    differentiated : bool
        False if only the second derivative is wanted; then the result is zero.
    """
    fragments = Fragments.within_reach(buffers, curve.numbers(points))
    if winner is not None:
        fragments = fragments.kept(winner[fragments.pixels_as_index] == fragments.face)
    over = FragmentMap(COVERAGE, buffers, fragments, curve, curve, differentiated=differentiated)
    widths = torch.stack([width, torch.ones_like(width)]).to(points)
    none = points.new_zeros(1, 4)
    values = over(points, widths, cells, slope_cells, none, points.new_zeros(max(over.size, 1)))
    total = points.new_zeros(buffers.pixels).index_add(0, fragments.pixels_as_index, values[:, 0])
    return total.reshape(buffers.images, buffers.height, buffers.width)


def sums_of_fragments(
    buffers: Buffers,
    curve: Curve,
    occlusion: Curve,
    front_face: Tensor,
    points: Tensor,
    attributes: Tensor,
    cells: Tensor,
    slope_cells: Tensor,
    width: Tensor,
    keep_cells: Tensor,
    gamma: Tensor,
) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depths and weighted attributes, summed.

    Parameters
    ----------
    buffers : Buffers
        The render.
    curve, occlusion : Curve
        Coverage and occlusion.
    front_face : Tensor, (B * H * W), int32
        The face that is nearest at each pixel, -1 for none.
    points, attributes, cells, slope_cells, width, keep_cells, gamma : Tensor
        What the result is differentiable in.
    """
    widths = torch.stack([width, gamma]).to(points)
    scene = buffers.scene
    softness = (widths, cells, slope_cells, keep_cells)

    nearest = Fragments.of_faces(front_face, buffers.num_faces)
    over = FragmentMap(COORDINATES, buffers, nearest, curve, occlusion)
    at = over(points, *softness, points.new_zeros(max(over.size, 1)))
    depth = (at * points[scene.faces[nearest.faces_as_index], 2]).sum(-1)
    front = points.new_full((buffers.pixels,), FAR).index_put((nearest.pixels_as_index,), depth)

    fragments = Fragments.within_reach(buffers, curve.numbers(points))
    over = FragmentMap(SHARES, buffers, fragments, curve, occlusion)
    share = over(points, *softness, front[fragments.pixels_as_index])
    corner_depth = points[scene.faces[fragments.faces_as_index], 2]
    corner_attributes = attributes[scene.attribute_index[fragments.faces_as_index]]
    parts = [
        share.sum(-1, keepdim=True),
        (share * corner_depth).sum(-1, keepdim=True),
        (share.unsqueeze(-1) * corner_attributes).sum(1),
    ]
    sums = points.new_zeros(buffers.pixels, 2 + attributes.shape[1])
    sums = sums.index_add(0, fragments.pixels_as_index, torch.cat(parts, -1))
    return sums.reshape(buffers.images, buffers.height, buffers.width, -1)


def _flat(x: Tensor) -> Tensor:
    return x.detach().contiguous().reshape(-1)
