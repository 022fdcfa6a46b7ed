"""The fragments of a render: the pairs of a face and a pixel within its reach."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.bundles import Raster
from taichisoft.engine.kernels.fragments import fragment_kernels


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
    def within_reach(cls, job: RasterJob, numbers: Tensor) -> Fragments:
        """List the fragments of a render whose coverage curve has these numbers."""
        if not job.num_faces:
            none = torch.zeros(0, dtype=torch.int32, device=job.points.device)
            return cls(none, none, 0)
        raster = job.raster(numbers)
        counts = _counts(job, raster, numbers)
        ends = counts.cumsum(0)
        total = int(ends[-1])
        face, pixel = (counts.new_empty(max(total, 1)) for _ in range(2))
        if total:
            fragment_kernels(job.kernel_type).list_fragments(
                raster,
                numbers,
                (ends - counts).to(torch.int32),
                ends.to(torch.int32),
                job.num_faces,
                face,
                pixel,
            )
        return cls(face[:total], pixel[:total], job.num_faces)

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


def count_fragments(job: RasterJob, numbers: Tensor) -> int:
    """Return the number of fragments of a render whose coverage curve has these numbers."""
    if not job.num_faces:
        return 0
    return int(_counts(job, job.raster(numbers), numbers).sum())


def _counts(job: RasterJob, raster: Raster, numbers: Tensor) -> Tensor:
    counts = torch.zeros_like(raster.rows[::2])
    kernels = fragment_kernels(job.kernel_type)
    kernels.count_fragments(raster, numbers, job.num_faces, counts)
    return counts
