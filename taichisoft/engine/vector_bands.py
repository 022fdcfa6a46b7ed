"""Bands: rows of blocks that a worker takes together, and the parts that faces have in them. Private."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.engine.job import RasterJob

# Places that a band has at most, unless a single row of blocks has more: they should stay in the caches.
PLACES = 1024
# Blocks that a band has at most, likewise.
BLOCKS = 2048


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

    def gathered(self, corners: Tensor, index: Tensor, rows: int, columns: int) -> Tensor:
        """Sum gradients of the corners of parts, (parts * 3 * columns), into (rows, columns)."""
        total = corners.new_zeros(rows, columns)
        if not self.count or not columns:
            return total
        corners = corners[: self.count * 3 * columns].reshape(-1, columns)
        return total.index_add_(0, index[self.face].reshape(-1), corners)
