"""Compositing front to back on the CPU by kernels that work in whole vectors. Private."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.engine.adjoints import tie_gradient, width_gradient
from taichisoft.engine.block_job import BlockJob
from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.compositing import composite_fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernel_shader import KernelShader
from taichisoft.engine.kernels.launch import CPU_WORKERS, launch_for
from taichisoft.engine.kernels.shading_bundles import Shading
from taichisoft.engine.kernels.vector_bundles import Faces
from taichisoft.engine.kernels.vector_composite import CompositeImage, composite_kernels
from taichisoft.engine.kernels.vector_composite_adjoint import (
    CompositeAdjointArrays,
    CompositeGradients,
    composite_adjoint_kernel,
)
from taichisoft.engine.kernels.vector_fragment import DEPTHS
from taichisoft.engine.kernels.vector_layer_bundles import (
    Bands,
    Extent,
    FacesInBands,
    Kept,
    LayerArrays,
    Layers,
    OfPair,
)
from taichisoft.engine.kernels.vector_rates import Rate
from taichisoft.engine.layer_shading import shade_layers
from taichisoft.engine.scratch import scratch
from taichisoft.engine.total import is_alone, total_adjoint
from taichisoft.engine.vector_bands import PLACES, WORKERS, Division, Parts
from taichisoft.engine.vector_composite_second import MovingLayers, rates_of
from taichisoft.engine.vector_coverage import VectorCoveragePass
from taichisoft.engine.vector_softness import VectorSoftness
from taichisoft.softness.curves import CompositeCurves

# Of the tables among the inputs.
CELLS = tuple(
    CompositeInputs._fields.index(name)
    for name in ("generator_cells", "cells", "order_cells", "part_cells", "inverse_cells")
)
# What follows them are those of a shader.
INPUTS = len(CompositeInputs._fields)


class _Found(NamedTuple):
    """What the adjoint finds.

    Parameters
    ----------
    points, attributes : Tensor
        Gradients, like the inputs.
    numbers : Tensor, (bands, 3 + L)
        Of logarithms of the width and of gamma, of the order at ties, and of the numbers of light.
    cells : Tensor, (workers, rows, 4)
        Of all tables.
    texels : Tensor
        Of all workers.
    images : Tensor, (bands,), int64
        The image of each band.
    """

    points: Tensor
    attributes: Tensor
    numbers: Tensor
    cells: Tensor
    texels: Tensor
    images: Tensor


@dataclass(frozen=True, eq=False)
class VectorCompositePass(Rendered):
    """What `taichisoft.engine.composite.CompositePass` is, of a job that has faces.

    Parameters
    ----------
    job : RasterJob
        The render.
    curves : CompositeCurves
    opacity : bool
        Whether the last of the attributes, or of what a shader returns, is an opacity.
    look : KernelShader, optional
        What makes colours of attributes. Its inputs follow those of `CompositeInputs`.
    """

    job: RasterJob
    curves: CompositeCurves
    opacity: bool
    look: KernelShader | None = None
    _divisions: list[Division] = field(default_factory=list)

    @property
    def _kernels(self) -> SimpleNamespace:
        return composite_kernels(self.job.kernel_type)

    @cached_property
    def blocks(self) -> BlockJob:
        """The blocks of the render."""
        return BlockJob(self.job)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return (B, H, W, 3 + C): total, sums of w, w z, w times colours; the faces as they are set up."""
        job, blocks = self.job, self.blocks
        of = CompositeInputs(*inputs[:INPUTS])
        faces = blocks.unwritten_faces()
        depths = job.points.new_empty(job.num_faces * DEPTHS)
        counts = torch.empty(job.images * blocks.tiles.rows, dtype=torch.int32)
        self._kernels.set_up(
            job.corners,
            job.scene.near,
            self._numbers[1].item(),
            blocks.tiles,
            blocks.set_up_launch(),
            launch_for(job.images * -(-blocks.tiles.rows // blocks.lanes), True, CPU_WORKERS),
            faces,
            depths,
            counts,
        )
        division = self._division(counts)
        channels = self._outputs(of)
        launch = division.launch_of_pixels()
        image = job.points.new_empty((3 + channels) * job.pixels)
        arranged = _unarranged(division)
        self._kernels.render(
            self._arrays(
                of, faces, depths, division, launch.workers, Kept.FORWARD, self._multiplies
            ),
            self._shading(inputs, launch.workers),
            launch,
            CompositeImage(
                blocks.scratch("sums", launch.workers * division.blocks * (2 + channels)),
                image,
                arranged,
            ),
        )
        planes = image.reshape(-1, job.images, job.height, job.width)
        kept = (faces.frames, faces.rows, depths, counts, arranged)
        return planes.movedim(0, -1), kept

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of the fields of `CompositeInputs`."""
        if not self.opacity and is_alone(upstream):
            return self._by_total(upstream, kept, inputs, needed)
        of = CompositeInputs(*inputs[:INPUTS])
        found = self._pull_back(upstream, kept, inputs, needed)
        tables: Sequence[Tensor | None] = [None] * len(CELLS)
        if any(needed[i] for i in CELLS):
            tables = found.cells.sum(0).split([len(of[i]) for i in CELLS])
        by_generator, by_coverage, by_order, by_part, by_inverse = tables
        numbers = found.numbers
        return (
            found.points,
            found.attributes,
            by_generator,
            None,
            by_coverage,
            None,
            width_gradient(numbers[:, 0].sum(), self._numbers),
            by_order,
            tie_gradient(numbers[:, 2].sum(), of.at_tie),
            torch.zeros_like(of.gammas).index_add(0, found.images, numbers[:, 1]) / of.gammas,
            by_part,
            by_inverse,
            *self._by_look(found, inputs, self._into_texels(needed)),
        )

    def _by_total(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients where alpha alone is passed one."""
        coverage = VectorCoveragePass(self.job, self.curves.generator, self.curves.takes_max)
        frames, rows, *_ = kept
        of_faces = (frames, rows, self.blocks.tiled_indices(1))
        return total_adjoint(coverage, of_faces, upstream, inputs, needed)

    def _pull_back(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> _Found:
        """Run the adjoint, for some images after another."""
        job, of = self.job, CompositeInputs(*inputs[:INPUTS])
        _, rows, _, counts, _ = kept
        into_cells, into_texels = any(needed[i] for i in CELLS), self._into_texels(needed)
        division = self._division(counts)
        parts = Parts.of(rows[: 2 * job.num_faces], division, job)
        most = self.look.workers(WORKERS) if self.look and into_texels else WORKERS
        launch = division.launch(most)
        ends = [*accumulate(len(of[i]) for i in CELLS)]
        lights = 0 if self.look is None else inputs[INPUTS + 1].shape[1]
        texels = launch.workers * inputs[INPUTS].numel() if into_texels else 1
        found = _Found(
            job.points.new_zeros(len(of.points), 4),
            of.attributes.new_zeros(of.attributes.shape),
            job.points.new_zeros(division.count, 3 + lights),
            job.points.new_zeros(launch.workers, ends[-1] if into_cells else 1, 4),
            job.points.new_zeros(texels),
            division.rows[::3].long(),
        )
        shading = self._shading(inputs, launch.workers, division.places, into_texels=into_texels)
        arrays, more = self._adjoint_arrays(
            upstream, kept, of, division, parts, launch.workers, into_cells
        )
        for some, *bands in parts.stretches(division, job):
            gradients = CompositeGradients(
                job.zeros(some.count, 12),
                job.zeros(some.count, 3, of.attributes.shape[1]),
                found.numbers.view(-1),
                found.cells.view(-1, 4),
            )
            self._kernel(
                arrays,
                more._replace(parts=some.offset),
                torch.tensor([ends[-1], *ends[:-1], *bands], dtype=torch.int32),
                shading,
                launch,
                gradients,
                found.texels,
            )
            some.gather(gradients.corners, job.scene.faces, found.points)
            some.gather(gradients.attributes, job.scene.attribute_index, found.attributes)
        return found

    def _adjoint_arrays(
        self,
        upstream: Tensor,
        kept: Tensors,
        of: CompositeInputs,
        division: Division,
        parts: Parts,
        workers: int,
        into_cells: bool,
    ) -> tuple[LayerArrays, CompositeAdjointArrays]:
        """Return what the adjoint reads."""
        blocks, softness = self.blocks, self._softness
        frames, rows, depths, _, arranged = kept
        faces, channels = blocks.faces_of(frames, rows), of.attributes.shape[1]
        arrays = self._arrays(of, faces, depths, division, workers, Kept.BACKWARD, self._multiplies)
        planes = 3 + self._outputs(of)
        return arrays, CompositeAdjointArrays(
            into_cells,
            softness.slopes(self.curves.generator, of.generator_slopes),
            softness.slopes(self.curves.coverage, of.slope_cells),
            flat(upstream.movedim(-1, 0)),
            blocks.scratch("upstream", workers * division.blocks * planes),
            blocks.scratch("attributes", workers * 3 * max(channels, 1)),
            blocks.scratch("claimed", workers * division.blocks),
            parts.offset,
            arranged,
        )

    def second_order(
        self,
        upstream: Tensor,
        kept: Tensors,
        inputs: Tensors,
        cotangents: Gradients,
        needed: Needed,
    ) -> Gradients:
        """Return the gradients of ``<adjoint, cotangents>`` in the upstream gradient and in the inputs.

        Where faces compete, slopes are not those of curves, or fragments are shaded: by a graph of torch.
        """
        if self._has_corners or self.look is not None:
            return super().second_order(upstream, kept, inputs, cotangents, needed)
        return self._moving(kept, inputs).second_order(upstream, rates_of(cotangents), needed)

    @property
    def _multiplies(self) -> bool:
        """Whether what passes is a product.

        In float32, which rounds by as much as the tables differ from it. In float64 they are read, so that
        derivatives and their derivatives are those of one function.
        """
        return self.curves.exponential and self.job.points.dtype == torch.float32

    @property
    def _has_corners(self) -> bool:
        """Whether faces compete, or slopes are not those of curves."""
        curves = self.curves
        straight = curves.coverage.slopes is not None or curves.generator.slopes is not None
        return curves.takes_max or straight

    def _moving(self, kept: Tensors, inputs: Tensors) -> MovingLayers:
        """Return what is drawn, to be moved."""
        blocks, of = self.blocks, CompositeInputs(*inputs)
        frames, rows, depths, counts = kept[:4]
        # Twice as much is kept of a place as in the backward pass.
        division = Division.of(counts, self.job.images, blocks.tiles.columns, PLACES // 2)
        launch = division.launch()
        faces = blocks.faces_of(frames, rows)
        return MovingLayers(
            blocks,
            self._arrays(of, faces, depths, division, launch.workers, Rate.SECOND, False),
            division,
            Parts.of(rows[: 2 * self.job.num_faces], division, self.job),
            launch,
            of,
            self._numbers,
            self.opacity,
        )

    def _division(self, counts: Tensor) -> Division:
        """Return the bands of both passes, given the places of the rows of blocks."""
        if not self._divisions:
            columns = self.blocks.tiles.columns
            self._divisions.append(Division.of(counts, self.job.images, columns, PLACES))
        return self._divisions[0]

    @property
    def _kernel(self) -> Callable[..., None]:
        return composite_adjoint_kernel(self.job.kernel_type)

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return the result as a graph of torch."""
        of = CompositeInputs(*inputs[:INPUTS])
        if self.look is None:
            return composite_fragments(self.job, self.curves, of, opacity=self.opacity)
        shader = self.look.shader_of(*inputs[INPUTS:])
        return shade_layers(self.job, self.curves, of, shader, self.opacity)

    def _outputs(self, of: CompositeInputs) -> int:
        """Return the number of channels of what is seen, without opacity."""
        return of.attributes.shape[1] - self.opacity if self.look is None else self.look.outputs

    def _shading(
        self,
        inputs: Sequence[Tensor],
        workers: int,
        places: int = 0,
        *,
        into_texels: bool = False,
    ) -> Shading:
        if self.look is None:
            return no_shading(self.job.points.dtype, self.blocks.lanes)
        texels, numbers = inputs[INPUTS:]
        return self.look.shading(texels, numbers, workers, places, into_texels=into_texels)

    def _into_texels(self, needed: Needed) -> bool:
        return self.look is not None and needed[INPUTS]

    def _by_look(self, found: _Found, inputs: Sequence[Tensor], into_texels: bool) -> Gradients:
        """Return the gradients of the inputs of the shader."""
        if self.look is None:
            return ()
        by_texels = None
        if into_texels:
            by_texels = self.look.texels_gradient(found.texels, len(found.cells))
        numbers = found.numbers[:, 3:]
        return by_texels, self.look.numbers_gradient(numbers, inputs[INPUTS + 1], found.images)

    @cached_property
    def _numbers(self) -> Tensor:
        return self.curves.coverage.numbers(self.job.points)

    @cached_property
    def _softness(self) -> VectorSoftness:
        return VectorSoftness(self.curves, self.job.points, self.opacity)

    def _arrays(
        self,
        of: CompositeInputs,
        faces: Faces,
        depths: Tensor,
        division: Division,
        workers: int,
        width: int,
        multiplies: bool,
    ) -> LayerArrays:
        job, blocks = self.job, self.blocks
        size = workers * division.places
        cells = scratch("cells", torch.int32, size, blocks.lanes)
        pairs = scratch("pair cells", torch.int32, size, blocks.lanes)
        layers = Layers(
            division.places,
            division.blocks,
            scratch("block", torch.int32, size),
            scratch("extent", job.points.dtype, Extent.COUNT * size),
            cells,
            cells.view(-1),
            blocks.scratch("layers", width * size),
            scratch("start", torch.int32, workers * (division.blocks + 1)),
            scratch("order", torch.int32, size),
            scratch("in front", torch.int32, size),
            scratch("pairs", torch.int32, size),
            pairs,
            pairs.view(-1),
            blocks.scratch("pairs", OfPair.COUNT * size),
            scratch("visits", torch.int32, 2 * (size + workers)),
            blocks.scratch("block totals", workers * division.blocks),
        )
        return LayerArrays(
            self._softness.bundle(of, width, multiplies),
            FacesInBands(faces.frames, faces.rows, faces.start),
            depths,
            blocks.tiles,
            flat(of.attributes) if of.attributes.numel() else job.zeros(1),
            job.attribute_index,
            of.attributes.shape[1],
            Bands(division.rows, division.count),
            layers,
        )


def _unarranged(division: Division) -> Tensor:
    """Return memory for how layers are to be arranged: see `keep` of `kernels/vector_arrangement`."""
    starts = division.count * (2 + division.blocks)
    memory = torch.empty(len(division.first) + starts + division.total, dtype=torch.int32)
    memory[: len(division.first)] = division.first
    return memory


@lru_cache(maxsize=2)
def no_shading(dtype: torch.dtype, lanes: int) -> Shading:
    """Return the bundle of a pass without a shader."""
    plan, numbers = torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=dtype)
    return Shading(0, plan, numbers, numbers, torch.zeros(1, lanes, dtype=dtype))
