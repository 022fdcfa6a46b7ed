"""How wide a softness is: a length in pixels, or relative to the image."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor, nn

from taichisoft.checks import check_number
from taichisoft.positive import Positive


class Scale(nn.Module):
    """A positive length. Subclasses say in which unit it is kept.

    Parameters
    ----------
    value : float
        The (initial) length, > 0.
    learn : bool
        Whether the length is a parameter of the module, optimised in log space.
    """

    def __init__(self, value: float, *, learn: bool = False):
        super().__init__()
        self.length = Positive(value, learn=learn)

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal scale."""
        return self.length.settings()

    @abstractmethod
    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels, a scalar float64 tensor, for an image of that height."""


class Pixels(Scale):
    """A length in pixels."""

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels, a scalar float64 tensor."""
        return self.length()


class HeightFraction(Scale):
    """A length as a fraction of the image height, so that it looks the same at every resolution.

    SoftRas and its descendants work in units of half the image height and on the squared distance:
    their ``sigma`` is the fraction ``sqrt(sigma) / 2`` here.
    """

    @classmethod
    def from_sigma(cls, sigma: float, *, learn: bool = False) -> HeightFraction:
        """Return the scale of SoftRas's ``sigma`` (squared normalised device units; default 1e-5)."""
        return cls(math.sqrt(check_number(sigma, "sigma", above=0)) / 2, learn=learn)

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels, a scalar float64 tensor, for an image of that height."""
        return self.length() * image_height


def as_scale(scale: float | Scale) -> Scale:
    """Return a scale as it is and a number as a fixed scale in pixels."""
    return scale if isinstance(scale, Scale) else Pixels(check_number(scale, "scale", above=0))
