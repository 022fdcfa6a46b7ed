"""Photographs: images of objects with an opacity, and the cameras that took them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from taichisoft import Camera, Mesh
from taichisoft.base.checks import check_tensor
from taichisoft.cameras.model import joined


@dataclass(frozen=True, eq=False)
class Subject:
    """One object with its photographs.

    Parameters
    ----------
    name : str
        How it is called in results and errors.
    category : str
        Results are also told for each category.
    images : Tensor, (K, H, W, 4), uint8
        Colours multiplied by the opacity, and the opacity.
    camera : Camera
        K cameras.
    mesh : Mesh, optional
        Its true shape, to be compared with; in the units of the cameras.
    """

    name: str
    category: str
    images: Tensor
    camera: Camera
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        size = self.camera.image_size
        check_tensor(self.images, f"images of {self.name}", ("K", *size, 4), dtypes=(torch.uint8,))
        if len(self.images) != len(self.camera):
            raise ValueError(
                f"images of {self.name} must have a camera each, got {len(self.images)} images and "
                f"{len(self.camera)} cameras"
            )


class Photographs(Dataset):
    """The photographs of several objects, one after the other, as a data set of torch.

    Item r is the image of row r, (4, H, W) float32 in [0, 1], with r. Rows are those of `camera`.

    Parameters
    ----------
    subjects : sequence of Subject
        At least one; their images have one size.

    Attributes
    ----------
    images : Tensor, (M, H, W, 4), uint8
        All of them.
    camera : Camera
        M cameras.

    Raises
    ------
    ValueError
        No subjects, or images of several sizes.
    """

    def __init__(self, subjects: Sequence[Subject]):
        if not subjects:
            raise ValueError("subjects must be at least one, got none")
        sizes = sorted({subject.camera.image_size for subject in subjects})
        if len(sizes) != 1:
            raise ValueError(f"subjects must have images of one size, got {sizes}")
        self.subjects = tuple(subjects)
        self.images = torch.cat([subject.images for subject in subjects])
        self.camera = joined([subject.camera for subject in subjects])
        counts = torch.tensor([len(subject.images) for subject in subjects])
        self._counts = counts
        self._starts = counts.cumsum(0) - counts

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.pictures(torch.tensor([row]))[0], row

    def pictures(self, rows: Tensor) -> Tensor:
        """Return images as the network sees them, (B, 4, H, W) float32 in [0, 1]."""
        return self.images[rows].permute(0, 3, 1, 2).float() / 255

    def rows_of(self, subject: int) -> Tensor:
        """Return the rows of one object, (K,)."""
        return torch.arange(int(self._counts[subject])) + self._starts[subject]

    def rows_by_category(self) -> dict[str, Tensor]:
        """Return the rows of the objects of each category, (N,)."""
        rows: dict[str, list[Tensor]] = {}
        for index, subject in enumerate(self.subjects):
            rows.setdefault(subject.category, []).append(self.rows_of(index))
        return {category: torch.cat(some) for category, some in rows.items()}

    def check_several(self) -> None:
        """Raise ValueError if an object has a single view."""
        if int(self._counts.min()) < 2:
            alone = self.subjects[int(self._counts.argmin())].name
            raise ValueError(f"every object must have two views or more, {alone} has one")

    def pairs(self, count: int, generator: torch.Generator) -> Tensor:
        """Return rows of two views of each of so many objects at random, (count, 2).

        They differ, and no object may have a single view: see `check_several`.
        """
        subject = torch.randint(len(self.subjects), (count,), generator=generator)
        views = self._counts[subject].double()
        draws = torch.rand(2, count, generator=generator, dtype=torch.float64)
        first = (draws[0] * views).long()
        ahead = 1 + (draws[1] * (views - 1)).long()
        second = (first + ahead) % self._counts[subject]
        return torch.stack([first, second], 1) + self._starts[subject, None]

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self[row] for row in range(len(self)))
