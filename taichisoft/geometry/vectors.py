"""Unit vectors, of vectors of any length from the shortest to the longest numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(vectors: Tensor) -> Tensor:
    """Return vectors, (..., 3), none of them zero, with length 1."""
    # dividing by the largest entry first keeps very long and very short vectors in range
    scaled = vectors / vectors.detach().abs().amax(-1, keepdim=True)
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)


# Roundings that a mean of unit vectors may be.
NOISE = 64


def mean_direction(means: Tensor) -> Tensor:
    """Return means of unit vectors, (..., 3), made unit length; zero if they cancel but for rounding."""
    return unit_or_zero(means, NOISE * torch.finfo(means.dtype).eps)


def unit_or_zero(vectors: Tensor, shortest: float = 0.0) -> Tensor:
    """Return vectors (..., 3) made unit length; zero, with a zero gradient, where no entry is larger."""
    largest = vectors.detach().abs().amax(-1, keepdim=True)
    present = largest > shortest
    scaled = torch.where(present, vectors, 0) / torch.where(present, largest, 1)
    squared = torch.where(present, scaled.square().sum(-1, keepdim=True), 1)
    return scaled / squared.sqrt()


def unit_normals(first: Tensor, second: Tensor) -> Tensor:
    """Return unit normals (..., 3) from two sides of faces; 0, without gradient, if there is no area."""
    with torch.no_grad():
        # a normal does not depend on the size of its face, so a constant factor is harmless
        longest = torch.maximum(first.abs(), second.abs()).amax(-1, keepdim=True)
        tiny = torch.finfo(longest.dtype).tiny
        factor = torch.where(longest > tiny, longest, torch.ones_like(longest)).reciprocal()
    normal = torch.linalg.cross(first * factor, second * factor)
    with torch.no_grad():
        no_area = normal.norm(dim=-1, keepdim=True) <= 8 * torch.finfo(normal.dtype).eps
    safe = torch.where(no_area, torch.ones_like(normal), normal)
    normals = safe / torch.linalg.vector_norm(safe, dim=-1, keepdim=True)
    return torch.where(no_area, torch.zeros_like(normal), normals)
