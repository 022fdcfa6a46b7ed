"""Bands: rows of blocks that a worker takes together, and the parts that faces have in them. Private."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.base.backend import threads
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.launch import CPU_STRIDE, Launch

# Places that a band has at most, unless a single row of blocks has more: they should stay in the caches.
PLACES = 1024
# Blocks that a band has at most, likewise.
BLOCKS = 2048
# Workers, each of which has scratch memory for a band; fewer where bands have many places, but some for a
# processor of many cores. They do not depend on its cores, so that sums are taken in one order.
WORKERS = 32
ROOM = 2**16
LEAST_WORKERS = 8
# Workers for a thread where each writes pixels of its own and sums nothing.
PER_THREAD = 4
# Parts whose gradients are in memory at a time, unless a single image has more.
PARTS = 2**17


@dataclass(frozen=True, eq=False)
class Division:
    """Rows of blocks divided into bands.

    Parameters
    ----------
    rows : Tensor, (bands * 3), int32
        Image, first and past-last row of blocks.
    band_of_row : Tensor, (B * rows), int64
        The band of each row of blocks.
    first : Tensor, (bands + 1), int32
        The first place of each band, counted in all of them, and the end.
    places, blocks : int
        The most of a band.
    """

    rows: Tensor
    band_of_row: Tensor
    first: Tensor
    places: int
    blocks: int

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.rows) // 3

    @property
    def total(self) -> int:
        """Number of places of all bands."""
        return int(self.first[-1])

    def launch_of_pixels(self) -> Launch:
        """Return the workers that take the bands and sum nothing over them: some for each thread."""
        return self.launch(min(WORKERS, PER_THREAD * threads()))

    def launch(self, most: int = WORKERS) -> Launch:
        """Return the workers that take the bands, at most so many."""
        workers = min(self.count, most, max(LEAST_WORKERS, ROOM // self.places))
        return Launch(workers * CPU_STRIDE, CPU_STRIDE)

    @classmethod
    def of(cls, counts: Tensor, images: int, columns: int, most: int) -> Division:
        """Divide rows of blocks by the places, (B * rows), that they have; `most` in a band of many rows."""
        numbers = counts.tolist()
        height = len(numbers) // images
        most_rows = max(1, BLOCKS // columns)
        rows: list[int] = []
        band_of_row: list[int] = []
        starts = [0]
        most_places = most_blocks = 1
        for image in range(images):
            first, places = 0, 0
            for row in range(height):
                here = numbers[image * height + row]
                if row > first and (places + here > most or row - first == most_rows):
                    rows += (image, first, row)
                    starts.append(starts[-1] + places)
                    first, places = row, 0
                places += here
                band_of_row.append(len(rows) // 3)
                most_places = max(most_places, places)
                most_blocks = max(most_blocks, (row + 1 - first) * columns)
            rows += (image, first, height)
            starts.append(starts[-1] + places)
        return cls(
            torch.tensor(rows, dtype=torch.int32),
            torch.tensor(band_of_row),
            torch.tensor(starts, dtype=torch.int32),
            most_places,
            most_blocks,
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """What faces have in bands: each face has a part in every band that it reaches.

    Parameters
    ----------
    face : Tensor, (parts,), int64
        Of each part.
    offset : Tensor, (N,), int32
        What is added to the number of a band for the part of a face.
    """

    face: Tensor
    offset: Tensor

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self.face)

    @classmethod
    def of(cls, rows: Tensor, division: Division, job: RasterJob) -> Parts:
        """Return the parts of faces that reach these rows of blocks, (N * 2) first and past-last."""
        first, last = rows.long().reshape(-1, 2).unbind(-1)
        origin = job.scene.face_images * (len(division.band_of_row) // job.images)
        begin = division.band_of_row[(origin + first).clamp(max=len(division.band_of_row) - 1)]
        end = division.band_of_row[origin + (last - 1).clamp(min=0)]
        counts = torch.where(last > first, end - begin + 1, 0)
        start = counts.cumsum(0) - counts
        return cls(torch.repeat_interleave(counts), (start - begin).to(torch.int32))

    def stretches(self, division: Division, job: RasterJob) -> Iterator[Stretch]:
        """Yield the parts of some whole images after another, as many as are in memory at a time."""
        images = torch.arange(job.images + 1)
        # The first band and the first part of each image, and the ends.
        bands = torch.searchsorted(division.rows[::3].long(), images).tolist()
        parts = torch.searchsorted(self.face, job.face_start.long()).tolist()
        begin = 0
        for image in range(1, job.images + 1):
            if image == job.images or parts[image + 1] - parts[begin] > PARTS:
                first, last = parts[begin], parts[image]
                whole = last - first == self.count
                some = self if whole else Parts(self.face[first:last], self.offset - first)
                yield Stretch(some, bands[begin], bands[image])
                begin = image

    def gathered(self, corners: Tensor, index: Tensor, rows: int, columns: int) -> Tensor:
        """Sum gradients of the corners of parts, (parts * 3 * columns), into (rows, columns)."""
        total = corners.new_zeros(rows, columns)
        self.gather(corners, index, total)
        return total

    def gather(self, corners: Tensor, index: Tensor, total: Tensor) -> None:
        """Add gradients of the corners of parts, (parts * 3 * columns), to those of rows, (rows, columns)."""
        columns = total.shape[1]
        if self.count and columns:
            corners = corners[: self.count * 3 * columns].reshape(-1, columns)
            total.index_add_(0, index[self.face].reshape(-1), corners)


class Stretch(NamedTuple):
    """The parts of some images, with the first of their bands and the end."""

    parts: Parts
    first: int
    end: int
