"""Compositing front to back by kernels: for every backend and mode. Private."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from taichisoft.engine.adjoints import tie_gradient, width_gradient
from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.compositing import composite_fragments
from taichisoft.engine.coverage import CoveragePass
from taichisoft.engine.device_scratch import device_scratch
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import TABLE_WORKERS, RasterJob
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.layer_bundles import Band, CellSums, LayerArrays, Model
from taichisoft.engine.kernels.layer_fragments import FragmentGradients, layer_fragments
from taichisoft.engine.kernels.layer_lists import layer_lists
from taichisoft.engine.kernels.layer_pixels import PixelGradients, layer_pixels
from taichisoft.engine.layers import TABLES, BandLayers, LayerJob, table_cells
from taichisoft.engine.total import is_alone, total_adjoint
from taichisoft.softness.curves import CompositeCurves

# What is summed up in a pass before it is rounded to the type of the inputs.
SUM = torch.float64


@dataclass(frozen=True, eq=False)
class CompositePass(Rendered):
    """Total of the generator, and sums of weights, depths and attributes, composited front to back.

    Parameters
    ----------
    job : RasterJob
        The render.
    curves : CompositeCurves
    opacity : bool
        Whether the last column of the attributes is an opacity.
    """

    job: RasterJob
    curves: CompositeCurves
    opacity: bool = False

    @cached_property
    def _layer_job(self) -> LayerJob:
        return LayerJob(self.job, self.curves, self.opacity)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return (B, H, W, 3 + C), given the fields of `CompositeInputs`."""
        job, of = self.job, CompositeInputs(*inputs)
        channels = of.attributes.shape[1] - int(self.opacity)
        sums = of.points.new_zeros(job.images * job.height, job.width * (3 + channels))
        arrays = self._layer_job.arrays(of)
        for band, counts in self._layer_job.bands(of.attributes.shape[1]):
            out = sums[band.first_row : band.last_row].view(-1)
            self._composited(band, counts, arrays, out)
        return sums.view(job.images, job.height, job.width, -1), ()

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of the fields of `CompositeInputs`; None for cells that are not asked for."""
        if not self.opacity and is_alone(upstream):
            coverage = CoveragePass(self.job, self.curves.generator, self.curves.takes_max)
            return total_adjoint(coverage, (self.job.indices(1, -1),), upstream, inputs, needed)
        job, of = self.job, CompositeInputs(*inputs)
        asked = CompositeInputs(*needed)  # type: ignore[arg-type]
        into_cells = any(table_cells(asked))
        layers = self._layer_job
        arrays = layers.arrays(of)
        sums = LayerSums(layers, of, into_cells)
        by_row = upstream.detach().reshape(job.images * job.height, -1)
        for band, counts in layers.bands(of.attributes.shape[1]):
            found = layers.recalled(band)
            if found is None:
                rows = by_row[band.first_row : band.last_row]
                found = self._composited(band, counts, arrays, job.zeros(rows.numel()))
            size = found.layers.planes * found.num_fragments
            by_values = device_scratch("by values", job, job.points.dtype, size)
            rows = flat(by_row[band.first_row : band.last_row])
            sums.add_pixels(found, arrays.model, rows, by_values, of_weights=False)
            sums.add_fragments(found, arrays, by_values)
        return in_order(sums.gradients())

    def _composited(
        self, band: Band, counts: Tensor, arrays: LayerArrays, sums_out: Tensor
    ) -> BandLayers:
        """Evaluate and composite the fragments of a band."""
        job, layers = self.job, self._layer_job
        channels = arrays.attributes.channels - int(self.opacity)
        found = layers.evaluated(band, counts, arrays, channels)
        launch = layers.launch(found.pixels.count)
        kernels = layer_pixels(job.kernel_type)
        kernels.composite(
            found.pixels, arrays.model, launch, found.layers, sums_out, job.zeros(1), 0
        )
        layers.remember(found)
        return found

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return the sums as a graph of torch."""
        return composite_fragments(
            self.job, self.curves, CompositeInputs(*inputs), opacity=self.opacity
        )


def in_order(gradients: dict[str, Tensor | None]) -> Gradients:
    """Return gradients in the order of the fields of `CompositeInputs`."""
    return tuple(gradients[name] for name in CompositeInputs._fields)


class LayerSums:
    """Sums of the gradients of the inputs over bands.

    Parameters
    ----------
    layers : LayerJob
    inputs : CompositeInputs
    into_cells : bool
        Whether the gradients of the tables are asked for.
    faces : slice
        The faces whose gradients are summed; by default all.
    """

    def __init__(
        self,
        layers: LayerJob,
        inputs: CompositeInputs,
        into_cells: bool,
        faces: slice = slice(None),
    ):
        self.layers, self.inputs, self.into_cells, self.faces = layers, inputs, into_cells, faces
        points, job = inputs.points, layers.job
        self.first_face, end, _ = faces.indices(job.num_faces)
        self.corners = points.new_zeros(end - self.first_face, 12)
        self.attributes = points.new_zeros(len(self.corners), 3 * inputs.attributes.shape[1])
        # Apple's devices have no float64. Others need not be waited for.
        self.place = torch.device("cpu") if points.device.type == "mps" else points.device
        self.log_width = torch.zeros((), dtype=SUM, device=self.place)
        self.gammas = torch.zeros(job.images, dtype=SUM, device=self.place)
        self.at_tie = torch.zeros((), dtype=SUM, device=self.place)
        self.sizes = [x.shape[0] for x in table_cells(inputs)]
        self.cells = points.new_zeros(4 * sum(self.sizes) if into_cells else 1)

    def add_pixels(
        self,
        found: BandLayers,
        model: Model,
        upstream: Tensor,
        by_values_out: Any,
        *,
        of_weights: bool,
    ) -> None:
        """Add what depends on whole pixels; write the gradients of the values of the fragments.

        Parameters
        ----------
        found : BandLayers
        model : Model
        upstream : Tensor
            Of the sums of a pixel, (P * (3 + C)); `of_weights`, of the weights of the fragments, (F).
        of_weights : bool
            Which of them.
        """
        job, band = self.layers.job, found.band
        widths = job.zeros(2 * found.pixels.count)
        launch = self._launch(found.pixels.count)
        cells = self._cells(launch)
        layer_pixels(job.kernel_type).composite_adjoint(
            found.pixels,
            model,
            launch,
            found.layers,
            upstream,
            int(of_weights),
            PixelGradients(by_values_out, widths, cells),
        )
        self._add_cells(launch, cells)
        of_rows = widths.to(self.place).reshape(-1, job.width, 2).sum(1, dtype=SUM)
        by_gamma, by_tie = of_rows.unbind(-1)
        image = torch.arange(band.first_row, band.last_row, device=self.place) // job.height
        self.gammas.index_add_(0, image, by_gamma)
        self.at_tie += by_tie.sum()

    def add_fragments(self, found: BandLayers, arrays: LayerArrays, by_values: Any) -> None:
        """Add what the gradients of the values of fragments come from."""
        job = self.layers.job
        chunks = found.chunks
        launch = self._launch(chunks.count)
        cells = self._cells(launch)
        corners = job.points.new_empty(12 * chunks.count)
        attributes = job.zeros(chunks.count, self.attributes.shape[1])
        log_widths = job.points.new_empty(chunks.count)
        layer_fragments(job.kernel_type).evaluate_adjoint(
            arrays,
            found.band,
            chunks,
            launch,
            found.layers,
            by_values,
            FragmentGradients(corners, attributes, log_widths, cells),
        )
        self._add_cells(launch, cells)
        index = chunks.faces.long() - self.first_face
        self.corners.index_add_(0, index, corners.view(-1, 12))
        if self.attributes.shape[1]:
            self.attributes.index_add_(0, index, attributes.view(chunks.count, -1))
        self.log_width += log_widths.to(self.place).sum(dtype=SUM)

    def gradients(self) -> dict[str, Tensor | None]:
        """Return the gradients by the fields of `CompositeInputs`; None for tables unless asked for."""
        job, of = self.layers.job, self.inputs
        scene = job.scene
        points = job.gather_faces(self.corners, scene.faces[self.faces], *of.points.shape)
        attributes = torch.zeros_like(of.attributes)
        if of.attributes.numel() and job.num_faces:
            attributes = job.gather_faces(
                self.attributes, scene.attribute_index[self.faces], *of.attributes.shape
            )
        tables: list[Tensor | None] = [None] * len(self.sizes)
        if self.into_cells:
            tables = list(self.cells.view(-1, 4).split(self.sizes))
        found = dict(zip(TABLES, tables, strict=True))
        width = width_gradient(self.log_width, self.layers.numbers.to(self.place).double())
        return {
            **found,
            # The result does not depend on them.
            "generator_slopes": None,
            "slope_cells": None,
            "points": points,
            "attributes": attributes,
            "width": width,
            "at_tie": tie_gradient(self.at_tie, of.at_tie),
            "gammas": self.gammas.to(of.gammas),
        }

    def _launch(self, items: int) -> Launch:
        return self.layers.launch(items, TABLE_WORKERS if self.into_cells else None)

    def _cells(self, launch: Launch) -> CellSums:
        """Return empty tables for the workers."""
        job = self.layers.job
        if not self.into_cells:
            return CellSums(0, job.zeros(1))
        size = launch.workers * self.cells.numel()
        tables = device_scratch("cells of workers", job, job.points.dtype, size)
        layer_lists(job.kernel_type).clear(size, tables)
        return CellSums(1, tables)

    def _add_cells(self, launch: Launch, cells: CellSums) -> None:
        """Add the tables of the workers to their sum."""
        if self.into_cells:
            kernels = layer_lists(self.layers.job.kernel_type)
            kernels.add_tables(launch.workers, cells.of_workers, self.cells)
