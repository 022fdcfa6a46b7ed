"""Scales: the width of a softness, a length in pixels or relative to the image."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.parameters import Positive
from taichisoft.softness.part import Part


class Scale(Part):
    """A positive length, for an image of a given height and at a given progress of an optimisation.

    `ConstantScale` (`Pixels`, `HeightFraction`) is the same all along; `taichisoft.softness.annealing` has
    the scales that follow the progress.
    """

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the numbers that the scale is made of, in words."""

    @abstractmethod
    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels, a scalar float64 tensor, for an image of that height.

        Differentiable with respect to the parameters of the scale, to any order.
        """

    @abstractmethod
    def set_progress(self, progress: float) -> None:
        """Say how much of an optimisation is done, from 0 (before its first step) to 1 (at its last)."""


class ConstantScale(Scale):
    """A length that does not depend on the progress. Subclasses say in which unit it is kept.

    Parameters
    ----------
    value : float or Positive
        The (initial) length, > 0; a `ConditionedPositive` follows what is known of the scene.
    learn : bool
        Whether the length is a parameter of the module, optimised in log space. A `Positive` says so itself.

    Raises
    ------
    TypeError, ValueError
        ``value`` is neither, or not positive; or both a `Positive` and ``learn`` are given.
    """

    def __init__(self, value: float | Positive, *, learn: bool = False):
        super().__init__()
        if isinstance(value, Positive) and learn:
            raise ValueError("learn must be given to the Positive that is the value, got both")
        self.length = value if isinstance(value, Positive) else Positive(value, learn=learn)

    def set_progress(self, progress: float) -> None:
        """Check the progress; nothing depends on it."""
        check_progress(progress)

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments that make an equal scale: those of a plain length."""
        return self.length.settings() if type(self.length) is Positive else {"value": self.length}


class Pixels(ConstantScale):
    """A length in pixels."""

    unit = "pixels"

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels, a scalar float64 tensor."""
        return self.length()


class HeightFraction(ConstantScale):
    """A length as a fraction of the image height, so that it looks the same at every resolution.

    SoftRas and its descendants work in units of half the image height and on the squared distance:
    their ``sigma`` is the fraction ``sqrt(sigma) / 2`` here.
    """

    unit = "fraction of the image height"

    @classmethod
    def from_sigma(cls, sigma: float, *, learn: bool = False) -> HeightFraction:
        """Return the scale of SoftRas's ``sigma`` (squared normalised device units; default 1e-5)."""
        return cls(math.sqrt(check_number(sigma, "sigma", above=0)) / 2, learn=learn)

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels, a scalar float64 tensor, for an image of that height."""
        return self.length() * image_height


def as_scale(scale: float | Scale, name: str = "scale", kind: type[Scale] = Scale) -> Scale:
    """Return a scale as it is and a number as a fixed scale in pixels.

    Parameters
    ----------
    scale : float or Scale
        What the caller passed.
    name : str
        Its name in messages.
    kind : type
        What a scale must be.
    """
    if isinstance(scale, nn.Module | type):
        check_type(scale, name, kind)
        return scale
    return Pixels(check_number(scale, name, above=0))


def check_progress(progress: object) -> float:
    """Return a progress as a float if it is a number from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        It is no number, or outside of [0, 1].
    """
    number = check_number(progress, "progress")
    if not 0 <= number <= 1:
        raise ValueError(f"progress must be from 0 to 1, got {progress}")
    return number
