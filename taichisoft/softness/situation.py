"""`Situation`: what is known of a scene before the first step of an optimisation, and never its solution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_number, check_type

# What `Situation.features` tells, in this order.
FEATURES = ("edge_length", "image_height", "faces_per_pixel", "depth_extent", "colors")

EDGE_LENGTH, IMAGE_HEIGHT, FACES_PER_PIXEL = 4.0, 64, 1.5


@dataclass(frozen=True)
class Situation:
    """A scene in five numbers, for a softness that follows them. `situation_of` measures them.

    ``ts.Situation()`` is the reference, at which all features are 0: flat, without colours.

    Parameters
    ----------
    edge_length : float
        Median length of the projected edges in pixels, > 0. Of the reference: 4.
    image_height : int
        In pixels. Of the reference: 64.
    faces_per_pixel : float
        Mean number of faces over a covered pixel, > 0. Of the reference: 1.5.
    depth_extent : float
        Extent in depth over the height that the image shows at the middle depth, not negative. Of the
        reference: 0.
    colors : bool
        Whether colours are compared, and not silhouettes alone. Of the reference: False.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.
    """

    edge_length: float = EDGE_LENGTH
    image_height: int = IMAGE_HEIGHT
    faces_per_pixel: float = FACES_PER_PIXEL
    depth_extent: float = 0.0
    colors: bool = False

    def __post_init__(self) -> None:
        for name in ("edge_length", "faces_per_pixel"):
            object.__setattr__(self, name, check_number(getattr(self, name), name, above=0))
        height = check_integer(self.image_height, "image_height", minimum=1)
        object.__setattr__(self, "image_height", height)
        extent = check_number(self.depth_extent, "depth_extent")
        if extent < 0:
            raise ValueError(f"depth_extent must not be negative, got {extent:g}")
        object.__setattr__(self, "depth_extent", extent)
        check_type(self.colors, "colors", bool)

    def features(self) -> Tensor:
        """Return what a conditioned number sees, (5,) float64, in the order of `FEATURES`.

        ``log(edge_length / 4)``, ``log(image_height / 64)``, ``log(faces_per_pixel / 1.5)``,
        ``depth_extent / (1 + depth_extent)``, and 0 or 1 for the colours.
        """
        seen = (
            math.log(self.edge_length / EDGE_LENGTH),
            math.log(self.image_height / IMAGE_HEIGHT),
            math.log(self.faces_per_pixel / FACES_PER_PIXEL),
            self.depth_extent / (1 + self.depth_extent),
            float(self.colors),
        )
        return torch.tensor(seen, dtype=torch.float64)

    def __str__(self) -> str:
        return (
            f"faces with edges of {self.edge_length:.3g} px in images of {self.image_height} px, "
            f"{self.faces_per_pixel:.3g} faces over a covered pixel, a depth of {self.depth_extent:.3g} of "
            f"the height shown, {'with' if self.colors else 'without'} colours"
        )
