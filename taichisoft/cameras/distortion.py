"""Distortion by a lens as OpenCV models it, its inverse, and how far from the axis it holds.

A point at (x, y) of the plane at depth 1 is seen where a pinhole would see (x', y'), with ``s = x^2 + y^2``:

    q  = (1 + k1 s + k2 s^2 + k3 s^3) / (1 + k4 s + k5 s^2 + k6 s^3)
    x' = q x + 2 p1 x y + p2 (s + 2 x^2)
    y' = q y + p1 (s + 2 y^2) + 2 p2 x y

After the documentation of OpenCV's module calib3d, "Detailed Description", without its thin prism and tilt.
Far from the axis the formula means nothing: with a negative k1 the image ends, and turns back over itself,
where ``r q(r^2)`` stops growing with the radius r. That is where a polynomial in s has its first root, since
with ``q = N / D`` the derivative is ``(N D + 2 s (N' D - N D')) / D^2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from taichisoft.base.transforms import beneath

SIZES = (4, 5, 8)
"""How many coefficients there may be: k1, k2, p1, p2; k3; k4, k5, k6."""

# Focal lengths from the principal point at which there is no image: rays at a right angle to the axis.
FARTHEST = 1e6
# Newton steps of the inverse at the most, the share of one at which there is no way on, and what the inverse
# may be off by, in roundings.
MOST_STEPS = 60
LEAST_SHARE = 1e-4
ROUNDINGS = 1e4
# Steps through which the inverse is differentiated. They double the order: of 3, derivatives are right up to
# the seventh.
DIFFERENTIATED_STEPS = 3


@dataclass(frozen=True, eq=False)
class Distortion:
    """The distortion of B lenses.

    Parameters
    ----------
    coefficients : Tensor, (B, 8)
        k1, k2, p1, p2, k3, k4, k5, k6.
    """

    coefficients: Tensor

    @classmethod
    def of(cls, given: Tensor) -> Distortion:
        """Return that of 4, 5 or 8 coefficients, (B, n); the others are 0."""
        return cls(completed(given, 8))

    def bend(self, plane: Tensor) -> Tensor:
        """Return where a pinhole would see what the lens shows of points of the plane, (B, N, 2)."""
        x, y, q, _ = self._radial(plane)
        p1, p2 = self._tangential
        s = x * x + y * y
        bent_x = q * x + 2 * p1 * x * y + p2 * (s + 2 * x * x)
        bent_y = q * y + p1 * (s + 2 * y * y) + 2 * p2 * x * y
        return torch.stack([bent_x, bent_y], -1)

    def jacobian(self, plane: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the derivatives of x' by x, of either by the other, and of y' by y, (B, N) each."""
        x, y, q, slope = self._radial(plane)
        p1, p2 = self._tangential
        xx = q + 2 * slope * x * x + 2 * p1 * y + 6 * p2 * x
        xy = 2 * slope * x * y + 2 * p1 * x + 2 * p2 * y
        yy = q + 2 * slope * y * y + 6 * p1 * y + 2 * p2 * x
        return xx, xy, yy

    @torch.no_grad()
    def holds(self, plane: Tensor) -> Tensor:
        """Return of which points there is an image, (B, N): without a gradient.

        Those within `squared_radius`, at which the image is not turned over (by p1 and p2), and is not
        farther than `FARTHEST`.
        """
        plane, lens = plane.detach(), Distortion(self.coefficients.detach())
        xx, xy, yy = lens.jacobian(plane)
        within = plane.square().sum(-1) < self.squared_radius[:, None]
        return within & (xx * yy > xy * xy) & (lens.bend(plane).abs().amax(-1) <= FARTHEST)

    @cached_property
    def squared_radius(self) -> Tensor:
        """The square of the radius up to which ``r q(r^2)`` grows, (B,): infinite if it always does."""
        # Devices have no eigenvalues, or no float64.
        exact = self.coefficients.detach().to("cpu", torch.float64)
        return _first_fold(exact[:, [0, 1, 4]], exact[:, 5:]).to(self.coefficients)

    def straighten(self, bent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse of `bend`, and of which points there is one, (B, N).

        Differentiable seven times. Where there is none it is 0.
        """
        # Apple's devices have no float64.
        dtype = bent.dtype if bent.device.type == "mps" else torch.float64
        exact, target = Distortion(self.coefficients.to(dtype)), bent.to(dtype)
        plane, found = Distortion(exact.coefficients.detach())._solved(target.detach())
        target = torch.where(found[..., None], target, 0)
        for _ in range(DIFFERENTIATED_STEPS):
            plane = plane - exact._step(plane, target)
        return plane.to(bent.dtype), found

    @torch.no_grad()
    def _solved(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse by Newton's method from the axis on, and where it was found."""
        plane = torch.zeros_like(target + self.coefficients[:, None, :2])
        allowed = ROUNDINGS * torch.finfo(target.dtype).eps
        error = self._error(plane, target)
        share = torch.ones_like(error)
        for _ in range(MOST_STEPS):
            found = error <= allowed
            # A step that leads away, or out of where the lens holds, is cut by half.
            trial = plane - share[..., None] * self._step(plane, target)
            rest = self._error(trial, target)
            better = (rest < error) & self.holds(trial)
            plane = torch.where(better[..., None], trial, plane)
            error = torch.where(better, rest, error)
            share = torch.where(better, (2 * share).clamp(max=1), share / 2)
            if bool(beneath(found | (share < LEAST_SHARE)).all()):
                break
        found = error <= allowed
        return torch.where(found[..., None], plane, 0), found

    def _error(self, plane: Tensor, target: Tensor) -> Tensor:
        """Return how far the image of points is from a target, relative to its distance from the axis."""
        off = torch.linalg.vector_norm(self.bend(plane) - target, dim=-1)
        return off / (1 + torch.linalg.vector_norm(target, dim=-1))

    def _step(self, plane: Tensor, target: Tensor) -> Tensor:
        """Return what Newton's method subtracts from points."""
        xx, xy, yy = self.jacobian(plane)
        off_x, off_y = (self.bend(plane) - target).unbind(-1)
        determinant = xx * yy - xy * xy
        step = torch.stack([yy * off_x - xy * off_y, xx * off_y - xy * off_x], -1)
        return step / determinant[..., None]

    def _radial(self, plane: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x, y, q and its derivative by s, (B, N) each."""
        x, y = plane.unbind(-1)
        k1, k2, _, _, k3, k4, k5, k6 = self.coefficients[:, None].unbind(-1)
        s = x * x + y * y
        above, below = 1 + s * (k1 + s * (k2 + s * k3)), 1 + s * (k4 + s * (k5 + s * k6))
        above_slope = k1 + s * (2 * k2 + s * 3 * k3)
        below_slope = k4 + s * (2 * k5 + s * 3 * k6)
        q = above / below
        return x, y, q, (above_slope - q * below_slope) / below

    @property
    def _tangential(self) -> tuple[Tensor, Tensor]:
        return self.coefficients[:, 2, None], self.coefficients[:, 3, None]


def completed(coefficients: Tensor, size: int) -> Tensor:
    """Return coefficients, (B, n), with zeros for those up to a number that are not given."""
    return pad(coefficients, (0, size - coefficients.shape[-1]))


def _first_fold(above: Tensor, below: Tensor) -> Tensor:
    """Return the least s at which ``r q`` stops growing or is infinite, (B,), infinity if there is none.

    Of the coefficients of N and D, (B, 3) each. With ``u = 1 / s`` both polynomials begin with 1, and are
    divided by no small number. Whether a root is one, and where the sign changes, the sign after it tells.
    """
    above, below = pad(above, (1, 0), value=1.0), pad(below, (1, 0), value=1.0)
    power = torch.arange(4, device=above.device)
    weights = 1 + 2 * (power[:, None] - power)
    products = (weights * above[:, :, None] * below[:, None, :]).flip(-1)
    growth = torch.stack([products.diagonal(3 - n, -2, -1).sum(-1) for n in range(7)], -1)
    roots = torch.cat([_roots(growth), _roots(below)], -1).clamp(min=0)
    roots = roots.sort(-1, descending=True).values
    after = (roots + pad(roots[:, 1:], (0, 1))) / 2
    ends = (_at(growth, after) <= 0) | (_at(below, after) <= 0)
    first = torch.where(ends & (after > 0), roots, 0).amax(-1)
    return 1 / first


def _roots(polynomial: Tensor) -> Tensor:
    """Return the real parts of the roots of ``u^n + c1 u^(n-1) + ... + cn``, (B, n), given 1, c1, ..., cn."""
    size = polynomial.shape[-1] - 1
    first = pad(-polynomial[:, None, 1:], (0, 0, 0, size - 1))
    shift = polynomial.new_ones(size - 1).diag(-1)
    return torch.linalg.eigvals(first + shift).real


def _at(polynomial: Tensor, u: Tensor) -> Tensor:
    """Return the values of a polynomial, highest power first, at points, (B, N)."""
    value = torch.zeros_like(u)
    for coefficient in polynomial[:, None].unbind(-1):
        value = value * u + coefficient
    return value
