"""Compositing front to back on the CPU by kernels that work in whole vectors. Private."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from types import SimpleNamespace

import torch
from torch import Tensor

from taichisoft.engine.adjoints import width_gradient
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
        frames, rows, depths, counts, arranged = kept
        if not self.opacity and is_alone(upstream):
            coverage = VectorCoveragePass(self.job, self.curves.generator, self.curves.takes_max)
            of_faces = (frames, rows, self.blocks.tiled_indices(1))
            return total_adjoint(coverage, of_faces, upstream, inputs, needed)
        job, blocks = self.job, self.blocks
        of = CompositeInputs(*inputs[:INPUTS])
        into_cells = any(needed[i] for i in CELLS)
        division = self._division(counts)
        parts = Parts.of(rows[: 2 * job.num_faces], division, job)
        into_texels = self.look is not None and needed[INPUTS]
        most = self.look.workers(WORKERS) if self.look and into_texels else WORKERS
        launch = division.launch(most)
        channels = of.attributes.shape[1]
        rows_of_cells = [0, *accumulate(len(of[i]) for i in CELLS)]
        numbers_of_band = 3 + (0 if self.look is None else inputs[INPUTS + 1].shape[1])
        by_points = job.points.new_zeros(len(of.points), 4)
        by_attributes = of.attributes.new_zeros(of.attributes.shape)
        by_numbers = job.zeros(division.count, numbers_of_band)
        by_cells = job.points.new_zeros(launch.workers * rows_of_cells[-1] if into_cells else 1, 4)
        planes = 3 + self._outputs(of)
        shading = self._shading(inputs, launch.workers, division.places, into_texels=into_texels)
        texels = launch.workers * inputs[INPUTS].numel() if into_texels else 1
        by_texels = self.job.zeros(texels)
        arrays = self._arrays(
            of,
            blocks.faces_of(frames, rows),
            depths,
            division,
            launch.workers,
            Kept.BACKWARD,
            self._multiplies,
        )
        more = CompositeAdjointArrays(
            into_cells,
            self._softness.slopes(self.curves.generator, of.generator_slopes),
            self._softness.slopes(self.curves.coverage, of.slope_cells),
            flat(upstream.movedim(-1, 0)),
            blocks.scratch("upstream", launch.workers * division.blocks * planes),
            blocks.scratch("attributes", launch.workers * 3 * max(channels, 1)),
            blocks.scratch("claimed", launch.workers * division.blocks),
            parts.offset,
            arranged,
        )
        for some, *bands in parts.stretches(division, job):
            gradients = CompositeGradients(
                job.zeros(some.count, 12), job.zeros(some.count, 3, channels), by_numbers, by_cells
            )
            self._kernel(
                arrays,
                more._replace(parts=some.offset),
                torch.tensor([rows_of_cells[-1], *rows_of_cells[1:-1], *bands], dtype=torch.int32),
                shading,
                launch,
                gradients,
                by_texels,
            )
            some.gather(gradients.corners, job.scene.faces, by_points)
            some.gather(gradients.attributes, job.scene.attribute_index, by_attributes)
        numbers = by_numbers.reshape(-1, numbers_of_band)
        tables: Sequence[Tensor | None] = [None] * len(CELLS)
        if into_cells:
            cells = by_cells.reshape(launch.workers, -1, 4).sum(0)
            tables = cells.split([len(of[i]) for i in CELLS])
        by_generator, by_coverage, by_order, by_part, by_inverse = tables
        return (
            by_points,
            by_attributes,
            by_generator,
            None,
            by_coverage,
            None,
            width_gradient(numbers[:, 0].sum(), self._numbers),
            by_order,
            numbers[:, 2].sum(),
            self._by_gammas(numbers[:, 1], division, of.gammas),
            by_part,
            by_inverse,
            *self._by_look(
                by_texels, numbers[:, 3:], inputs, division, launch.workers, into_texels
            ),
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

    def _by_gammas(self, by_log: Tensor, division: Division, gammas: Tensor) -> Tensor:
        """Return the gradients of the gammas, given those of their logarithms by bands."""
        image = division.rows[::3].long()
        return torch.zeros_like(gammas).index_add(0, image, by_log) / gammas

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

    def _by_look(
        self,
        by_texels: Tensor,
        by_numbers: Tensor,
        inputs: Sequence[Tensor],
        division: Division,
        workers: int,
        into_texels: bool,
    ) -> Gradients:
        """Return the gradients of the inputs of the shader, given what workers and bands have found."""
        if self.look is None:
            return ()
        found = self.look.texels_gradient(by_texels, workers) if into_texels else None
        image = division.rows[::3].long()
        return found, self.look.numbers_gradient(by_numbers, inputs[INPUTS + 1], image)

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
