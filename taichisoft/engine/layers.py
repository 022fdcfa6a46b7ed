"""Layers: the fragments of a render, one band of rows after the other, so that memory is bounded. Private."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from taichisoft.base.memory import check_fits
from taichisoft.engine.bridge import flat
from taichisoft.engine.device_scratch import device_scratch
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.blend import Attributes
from taichisoft.engine.kernels.blend_functions import TIES
from taichisoft.engine.kernels.bundles import Raster
from taichisoft.engine.kernels.curve import HEADER, PIECE
from taichisoft.engine.kernels.launch import Launch, launch_for
from taichisoft.engine.kernels.layer_bundles import (
    ATTRIBUTES,
    Band,
    Chunks,
    LayerArrays,
    Layers,
    Model,
)
from taichisoft.engine.kernels.layer_fragments import layer_fragments
from taichisoft.engine.kernels.layer_lists import layer_lists
from taichisoft.engine.kernels.layer_pixels import Pixels
from taichisoft.engine.kernels.layer_tables import LayerTables
from taichisoft.softness.curves import CompositeCurves
from taichisoft.softness.tables.table import Table

# Numbers of the fragments of a band, with their gradients, unless a single row has more; pixels of a band.
BAND_NUMBERS = 2**24
BAND_PIXELS = 2**20
# Fragments of a face that a worker takes together.
CHUNK = 64
# The inputs that are cells, in the order of the tables.
TABLES = (
    "generator_cells",
    "generator_slopes",
    "cells",
    "slope_cells",
    "order_cells",
    "part_cells",
    "inverse_cells",
)
# The values of the fragments of a band, which are numbered by int32, are fewer.
MOST_NUMBERS = 2**31


@dataclass(frozen=True, eq=False)
class BandLayers:
    """The fragments of a band, evaluated and listed by pixel.

    Parameters
    ----------
    band : Band
    chunks : Chunks
    layers : Layers
    pixels : Pixels
    num_fragments : int
    """

    band: Band
    chunks: Chunks
    layers: Layers
    pixels: Pixels
    num_fragments: int


class _Latest(threading.local):
    """The band that is in the scratch memory of a thread, and a mark of the render that it is of."""

    stamp: object | None = None
    layers: BandLayers | None = None


_latest = _Latest()


class LayerJob:
    """A render whose fragments are composited.

    Parameters
    ----------
    job : RasterJob
        The render.
    curves : CompositeCurves
    opacity : bool
        Whether the last column of the attributes is an opacity.
    """

    def __init__(self, job: RasterJob, curves: CompositeCurves, opacity: bool):
        self.job, self.curves, self.opacity = job, curves, opacity
        # Not the job itself, which would live as long as the scratch memory holds a band of it.
        self._stamp = object()

    @cached_property
    def numbers(self) -> Tensor:
        """Those of the table of coverage."""
        return self.curves.coverage.numbers(self.job.points)

    @cached_property
    def raster(self) -> Raster:
        """The faces and the rows that they reach."""
        return self.job.raster(self.numbers)

    @cached_property
    def _layout(self) -> tuple[int, Tensor, Tensor]:
        """Whether tables are divided, places, and numbers, as `LayerTables` has them."""
        curves, like = self.curves, self.job.points
        tables: list[tuple[int, Tensor, Table | None]] = []
        for curve in (curves.generator, curves.coverage):
            tables.append((curve.pieces, curve.numbers(like), curve.table))
            tables.append((curve.slope_pieces, curve.slope_numbers(like), curve.slopes))
        for one in (curves.order, curves.part, curves.inverse):
            numbers = one.numbers_like(like, 1.0, 0.0)
            tables.append(((len(numbers) - HEADER) // PIECE, numbers, one))
        places, packed, first, row = [], [], 0, 0
        for pieces, numbers, table in tables:
            places += [pieces, first]
            first += len(numbers)
            moved = numbers.clone()
            moved[HEADER + 3 :: PIECE] += row
            packed.append(moved)
            row += 1 if table is None else len(table.cells)
        index = _on_device(tuple(places), like.device)
        divided = int(any(pieces > 1 for pieces, _, _ in tables))
        return divided, index, torch.cat(packed)

    def model(self, inputs: CompositeInputs) -> Model:
        """Return what the fragments are composited by."""
        job, curves = self.job, self.curves
        domain = curves.order.domain
        cells = torch.cat([x.detach() for x in table_cells(inputs)])
        divided, index, numbers = self._layout
        bits = torch.finfo(job.points.dtype).bits
        return Model(
            LayerTables(divided, index, numbers, flat(cells)),
            flat(inputs.gammas),
            flat(inputs.at_tie),
            domain.low,
            domain.high,
            curves.inverse.full,
            curves.inverse.hidden,
            len(cells) - len(inputs.inverse_cells) + curves.inverse.first_above,
            0.0 if curves.by_index else TIES[bits],
            int(curves.takes_max),
            int(curves.by_index),
            int(self.opacity),
            int(curves.coverage.slopes is not None),
        )

    def arrays(self, inputs: CompositeInputs) -> LayerArrays:
        """Return what the fragments are evaluated from."""
        channels = inputs.attributes.shape[1]
        job = self.job
        values = flat(inputs.attributes) if inputs.attributes.numel() else job.zeros(1)
        return LayerArrays(
            self.raster,
            Attributes(values, job.attribute_index, channels),
            self.curves.coverage.reach(job.points.dtype),
            self.model(inputs),
        )

    def launch(self, items: int, most: int | None = None) -> Launch:
        """Return workers for a number of items; on a GPU at most so many."""
        return launch_for(items, self.job.on_cpu, items if most is None else most)

    def bands(self, channels: int) -> Iterator[tuple[Band, Tensor]]:
        """Yield bands with any fragments, and how many each of their faces has, (num_faces,) int32.

        Parameters
        ----------
        channels : int
            Attributes of a fragment.
        """
        job = self.job
        rows = job.images * job.height
        if not job.num_faces:
            return
        whole, counts, ends = self._whole
        most = BAND_NUMBERS // (2 * (ATTRIBUTES + channels))
        first = 0
        while first < rows:
            last = self._band_end(first, ends, most)
            before = ends[first - 1] if first else 0
            if ends[last - 1] > before:
                if last - first == rows:
                    yield whole, counts
                else:
                    band = self._band(first, last)
                    yield band, self.counts(band)
            first = last

    @cached_property
    def _whole(self) -> tuple[Band, Tensor, list[int]]:
        """All images as one band, with the fragments of each face, and where those of each row end."""
        job = self.job
        whole = Band(0, job.images * job.height, 0, job.num_faces)
        counts, by_row = self._counts(whole)
        return whole, counts, by_row.to(torch.int64).cumsum(0).tolist()

    def _band_end(self, first: int, ends: list[int], most: int) -> int:
        """Return where the band ends that begins with a row."""
        before = ends[first - 1] if first else 0
        last = first + 1
        rows = max(1, BAND_PIXELS // self.job.width)
        while last < len(ends) and last - first < rows and ends[last] - before <= most:
            last += 1
        return last

    def _band(self, first: int, last: int) -> Band:
        """Return the band of some rows."""
        job = self.job
        counts = job.scene.face_counts
        images = first // job.height, (last - 1) // job.height + 1
        before, until = sum(counts[: images[0]]), sum(counts[: images[1]])
        return Band(first, last, before, until - before)

    def counts(self, band: Band) -> Tensor:
        """Return how many fragments each of the faces of a band has in it, (num_faces,), int32."""
        return self._counts(band)[0]

    def _counts(self, band: Band) -> tuple[Tensor, Tensor]:
        """Return how many fragments the faces of a band have in it, and the rows of all images."""
        job = self.job
        faces = job.indices(max(band.num_faces, 1), 0)
        rows = job.zeros(job.images * job.height)
        kernels = layer_lists(job.kernel_type)
        kernels.count_layers(self.raster, self.numbers, band, faces, rows)
        return faces, rows

    def evaluated(
        self,
        band: Band,
        counts: Tensor,
        arrays: LayerArrays,
        channels: int,
        *,
        kept: bool = False,
    ) -> BandLayers:
        """List the fragments of a band and evaluate them.

        Parameters
        ----------
        band : Band
        counts : Tensor, (num_faces,), int32
            Fragments of each of its faces.
        arrays : LayerArrays
        channels : int
            Colours of the fragments.
        kept : bool
            Whether they are kept, in tensors of their own: all, also what turns out to be out of reach.
        """
        job = self.job
        ends = counts.cumsum(0)
        total = int(ends[-1])
        self._check(total, arrays.attributes.channels)
        starts = ends - counts
        if not kept:
            _latest.stamp = None
        memory = self._kept if kept else self._scratch
        pixel = memory("pixel", torch.int32, total)
        lists = layer_lists(job.kernel_type)
        lists.list_layers(
            self.raster,
            self.numbers,
            band,
            starts.to(torch.int32),
            ends.to(torch.int32),
            pixel,
        )
        planes = ATTRIBUTES + arrays.attributes.channels
        place, order = (memory(name, torch.int32, total) for name in ("place", "order"))
        values = memory("values", job.points.dtype, planes * total)
        in_front = memory("in front", job.points.dtype, total)
        layers = Layers(planes, pixel, place, order, in_front, values)
        if kept:
            arrays = arrays._replace(reach=torch.finfo(job.points.dtype).max)
        chunks = _chunks(band, counts, starts)
        size = (band.last_row - band.first_row) * job.width
        held = job.indices(size, 0)
        fragments = layer_fragments(job.kernel_type)
        fragments.evaluate(arrays, band, chunks, self.launch(chunks.count), layers)
        lists.number_layers(total, layers, held)
        first = torch.zeros(size + 1, dtype=torch.int32, device=held.device)
        torch.cumsum(held, 0, out=first[1:])
        lists.group_layers(total, first, layers)
        of_image = job.height * job.width
        pixels = Pixels(size, band.first_row * job.width, of_image, first, channels)
        return BandLayers(band, chunks, layers, pixels, total)

    def remember(self, layers: BandLayers) -> None:
        """Note that the scratch memory holds a band that has been composited."""
        _latest.stamp, _latest.layers = self._stamp, layers

    def recalled(self, band: Band) -> BandLayers | None:
        """Return a band that has been composited, if the scratch memory of this thread still holds it."""
        found = _latest.layers if _latest.stamp is self._stamp else None
        return found if found is not None and found.band == band else None

    def _scratch(self, purpose: str, dtype: torch.dtype, size: int) -> Any:
        # Named apart: nothing else may write to what is remembered.
        return device_scratch(f"layers: {purpose}", self.job, dtype, size)

    def _kept(self, purpose: str, dtype: torch.dtype, size: int) -> Tensor:
        return torch.zeros(size, dtype=dtype, device=self.job.points.device)

    def _check(self, total: int, channels: int) -> None:
        """Raise if the fragments of a band are too many to number or for the memory."""
        job = self.job
        numbers = total * (ATTRIBUTES + channels)
        what = f"compositing {total} faces in a row of {job.width} pixels"
        if numbers >= MOST_NUMBERS:
            raise MemoryError(
                f"{what} takes {numbers} numbers, which must be fewer than 2**31; render narrower images"
            )
        # With the gradients, and three lists.
        needed = 2 * numbers * job.points.element_size() + 12 * total
        check_fits(needed, job.points.device, what)


def table_cells(inputs: CompositeInputs) -> tuple[Tensor, ...]:
    """Return the cells of all tables, in their order."""
    return tuple(getattr(inputs, name) for name in TABLES)


@lru_cache(maxsize=16)
def _on_device(places: tuple[int, ...], device: torch.device) -> Tensor:
    """Return where tables begin, which is seldom another from one render to the next."""
    with torch.inference_mode(False):
        return torch.tensor(places, dtype=torch.int32, device=device)


def _chunks(band: Band, counts: Tensor, starts: Tensor) -> Chunks:
    """Divide the fragments of each face."""
    counts = counts.long()
    each = -(-counts // CHUNK)
    face = torch.arange(len(counts), device=counts.device).repeat_interleave(each)
    rank = torch.arange(len(face), device=counts.device) - (each.cumsum(0) - each)[face]
    start = starts[face] + CHUNK * rank
    end = torch.minimum(start + CHUNK, starts[face] + counts[face])
    ints = (x.to(torch.int32).contiguous() for x in (face + band.first_face, start, end))
    return Chunks(len(face), *ints)
