"""Views: the cameras of photos in files of other programs, with the names of the photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from taichisoft.base.checks import check_dtype, check_number, check_rotation
from taichisoft.base.eager import eager_class
from taichisoft.base.words import counted, summary
from taichisoft.cameras.camera import Camera
from taichisoft.cameras.model import joined


@eager_class
@dataclass(frozen=True, eq=False, repr=False)
class Views:
    """Cameras of images, and which images these are.

    Parameters
    ----------
    cameras : tuple of Camera
        One camera, of batch size 1, for each image. Their image sizes may differ.
    names : tuple of str
        The image of each, as its file says: a path relative to the folder of images.
    """

    cameras: tuple[Camera, ...]
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return summary(self, counted(len(self), "view", "views"))

    def __len__(self) -> int:
        return len(self.cameras)

    def camera(self) -> Camera:
        """Return all cameras as one batch.

        Raises
        ------
        ValueError
            Images of several sizes: take ``view.resize(size)`` of each first, or draw one after the other.
        """
        sizes = sorted({camera.image_size for camera in self.cameras})
        if len(sizes) != 1:
            raise ValueError(f"views must have one image size to be a batch, got {sizes}")
        return joined(self.cameras)


@dataclass(frozen=True)
class Lens:
    """Intrinsics of one image: focal lengths, principal point, height and width, all in pixels.

    ``where`` names the image, or what its file calls the lens, in errors. ``distortion`` is as in `Camera`:
    4, 5 or 8 coefficients.
    """

    where: str
    focal: tuple[float, float]
    centre: tuple[float, float]
    size: tuple[int, int]
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not min(self.focal) > 0:
            raise ValueError(f"{self.where}: focal lengths must be positive, got {self.focal}")
        if not min(self.size) >= 1:
            raise ValueError(f"{self.where}: height and width must be at least 1, got {self.size}")

    @property
    def matrix(self) -> np.ndarray:
        """K, (3, 3)."""
        (fx, fy), (cx, cy) = self.focal, self.centre
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


@dataclass(frozen=True)
class Made:
    """How cameras are made: with which near depth and dtype."""

    near: float
    dtype: torch.dtype

    def __post_init__(self) -> None:
        check_number(self.near, "near", above=0)
        check_dtype(self.dtype)

    def camera(
        self,
        where: str,
        lens: np.ndarray,
        size: tuple[int, int],
        rotation: np.ndarray,
        translation: np.ndarray,
        distortion: tuple[float, ...] = (),
    ) -> Camera:
        """Return a camera from K and a pose, world to camera in the axes of OpenCV, all in float64.

        ``where`` names its image in errors. It has no distortion if all coefficients are 0.
        """
        parts = (
            torch.from_numpy(np.array(x, np.float64))[None] for x in (rotation, translation, lens)
        )
        turn, shift, matrix = parts
        check_rotation(turn, f"the rotation of {where}")
        bent = torch.tensor([distortion], dtype=torch.float64) if any(distortion) else None
        return Camera(turn, shift, matrix, size, True, self.near, bent).to(dtype=self.dtype)
