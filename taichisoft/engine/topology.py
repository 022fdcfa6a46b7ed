"""Topology: which points the corners of all faces are, and whose faces they are, made once for a mesh.

An optimisation renders the same faces again and again. What is made of them is kept as long as their tensor
lives, and used as long as it holds the same numbers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from taichisoft.base.bits import Bits, readable
from taichisoft.engine.kernels.silhouette import Fans

# Kept for one tensor of faces: for so many numbers of images.
MOST_KEPT = 4
# Faces of all images up to which what depends on their numbers alone is kept.
MOST_FACES = 2**20

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class CornerRows:
    """Rows of a table that belong to the corners of faces.

    Parameters
    ----------
    rows : Tensor, (N, 3), int64
        As torch takes them.
    """

    rows: Tensor

    @cached_property
    def flat(self) -> Tensor:
        """As kernels take them, (N * 3), int32."""
        with torch.inference_mode(False):
            return self.rows.to(torch.int32).contiguous().reshape(-1)


@dataclass(frozen=True, eq=False)
class Topology:
    """The faces of a batch of images.

    Parameters
    ----------
    corners : CornerRows
        Rows of the points of all images; the faces of an image are consecutive.
    face_counts : tuple of int
        Number of faces of each image.
    source_face : Tensor, (N,), int64
        Which face of its mesh each face is, or is a part of: faces of every mesh are counted from 0.
    groups : int
        How many groups of faces there are that are alike but for the rows of their points.
    """

    corners: CornerRows
    face_counts: tuple[int, ...]
    source_face: Tensor
    groups: int = 1

    def fans(self, points: int) -> Fans:
        """Return the corners that meet at each point, given the number of all points."""
        found = self._fans
        if found is None or found.points * self.groups != points:
            found = self._make_fans(points // self.groups)
            object.__setattr__(self, "_fans", found)
        return found

    _fans = None

    def _make_fans(self, points: int) -> Fans:
        faces = len(self.corners.rows) // self.groups
        with torch.inference_mode(False):
            rows = self.corners.rows[:faces].reshape(-1)
            start = torch.bincount(rows, minlength=points).cumsum(0)
            start = torch.cat([start.new_zeros(1), start]).to(torch.int32)
            return Fans(start, rows.argsort(stable=True).to(torch.int32), points, faces)

    @cached_property
    def face_images(self) -> Tensor:
        """The image of each face, (N,), int64."""
        return _by_counts(_images, self.face_counts, self.source_face.device)

    @cached_property
    def face_image(self) -> Tensor:
        """The image of each face, (N,), int32."""
        return _by_counts(_short_images, self.face_counts, self.source_face.device)

    @cached_property
    def face_start(self) -> Tensor:
        """The first face of each image, and the end, (B + 1,), int32."""
        return _by_counts(_starts, self.face_counts, self.source_face.device)


def repeated(faces: Tensor, images: int, points: int, source: Tensor | None = None) -> Topology:
    """Return the topology of a mesh that is drawn in every image.

    Parameters
    ----------
    faces : Tensor, (F, 3), int64
        Of the mesh.
    images : int
        Their number.
    points : int
        Rows of points of each image.
    source : Tensor, (F,), int64, optional
        What the faces are called; by default their numbers.
    """

    def make() -> Topology:
        corners = repeated_rows(faces, images, points)
        counts = (len(faces),) * images
        if source is None:
            return Topology(corners, counts, _by_counts(_sources, counts, faces.device), images)
        return Topology(corners, counts, source.repeat(images), images)

    # Faces that have names of their own were sorted for this render.
    return make() if source is not None else _kept(faces, (images, points), make)


def packed(faces: Tensor, counts: tuple[int, ...], source: Tensor | None = None) -> Topology:
    """Return the topology of meshes that are packed already; arguments as in `Topology`."""

    def make() -> Topology:
        found = _by_counts(_sources, counts, faces.device) if source is None else source
        return Topology(CornerRows(_own(faces)), counts, found)

    return make() if source is not None else _kept(faces, counts, make)


def repeated_rows(index: Tensor, images: int, step: int) -> CornerRows:
    """Return an index (F, 3) for all images, each `step` rows further on."""
    if images == 1:
        return CornerRows(_own(index))
    with torch.inference_mode(False):
        offset = step * torch.arange(images, device=index.device)[:, None, None]
        return CornerRows((index + offset).reshape(-1, 3))


def _own(index: Tensor) -> Tensor:
    """Return an index that is not that of the user, who may change it, outside of inference mode."""
    with torch.inference_mode(False):
        return index.clone(memory_format=torch.contiguous_format)


def _by_counts(
    make: Callable[[tuple[int, ...], torch.device], Tensor],
    counts: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    """Return what depends on the numbers of faces alone; it is kept unless it is large."""
    if sum(counts) > MOST_FACES:
        return make(counts, device)
    return _of_counts(make, counts, device)


@lru_cache(maxsize=16)
def _of_counts(
    make: Callable[[tuple[int, ...], torch.device], Tensor],
    counts: tuple[int, ...],
    device: torch.device,
) -> Tensor:
    with torch.inference_mode(False):
        return make(counts, device)


def _images(counts: tuple[int, ...], device: torch.device) -> Tensor:
    each = torch.tensor(counts, device=device)
    return torch.arange(len(counts), device=device).repeat_interleave(each)


def _short_images(counts: tuple[int, ...], device: torch.device) -> Tensor:
    return _images(counts, device).to(torch.int32)


def _starts(counts: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor((0, *counts), device=device).cumsum(0).to(torch.int32)


def _sources(counts: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.cat([torch.arange(count, device=device) for count in counts])


class _Made:
    """What was made of a tensor, and the bits that it was made of."""

    def __init__(self, tensor: Tensor):
        self.bits = Bits((tensor,))
        self.by_key: dict[Hashable, Any] = {}


# By the identity of the tensor. One that is gone takes its entry along.
_made: dict[int, tuple[weakref.ref[Tensor], _Made]] = {}


def _kept(tensor: Tensor, key: Hashable, make: Callable[[], T]) -> T:
    """Return what was made of a tensor for a key, or make and keep it.

    Only for tensors in the main memory: to compare those of a device it would have to be waited for.
    """
    name = id(tensor)
    entry = _made.get(name)
    made = entry[1] if entry is not None and entry[0]() is tensor else None
    if made is None or not made.bits.are_of((tensor,)):
        if not readable(tensor):
            return make()
        made = _Made(tensor)
        _made[name] = (weakref.ref(tensor, lambda gone: _forget(name, gone)), made)
    found = made.by_key.get(key)
    if found is None:
        if len(made.by_key) >= MOST_KEPT:
            made.by_key.clear()
        found = made.by_key[key] = make()
    return found


def _forget(name: int, gone: weakref.ref[Tensor]) -> None:
    entry = _made.get(name)
    if entry is not None and entry[0] is gone:
        del _made[name]
