"""Kernels that turn alpha and sums over faces into depth and colours, and their adjoint.

A loop over the channels when they run lets any number of them share one compiled kernel.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.kernel import Floats, kernel


class Sums(NamedTuple):
    """What images are made of.

    Weights of at most `least` are passed no gradient, since it would overflow.
    """

    alpha: Floats  # (P) of all pixels
    planes: Floats  # (K * P) those from `first` on: sums of w, w z, and w times the C colours
    background: Floats  # (C)
    pixels: int  # P
    first: int
    channels: int  # C
    least: float


class Images(NamedTuple):
    """Depth, colours times alpha, and colours over the background; or their gradients."""

    depth: Floats  # (P)
    premultiplied: Floats  # (P * C)
    color: Floats  # (P * C)


class Given(NamedTuple):
    """Which gradients of `Images` and of alpha are given: 1 or 0 for each; others are 0, and not read."""

    depth: int
    premultiplied: int
    color: int
    alpha: int


class BySums(NamedTuple):
    """Gradients of `Sums`."""

    alpha: Floats  # (P), but one if it is passed to the total
    planes: Floats  # (K * P)


@cache
def image_kernels(real):
    """Compile-on-first-use kernels for a float type."""

    @kernel(real)
    def compose(sums: Sums, out: Images):
        for p in range(sums.pixels):
            first = sums.first * sums.pixels + p
            weight = sums.planes[first]
            alpha = sums.alpha[p]
            depth = real(0.0)
            if weight > 0:
                depth = sums.planes[first + sums.pixels] / weight
            out.depth[p] = depth
            for c in range(sums.channels):
                mean = real(0.0)
                if weight > 0:
                    mean = sums.planes[first + (2 + c) * sums.pixels] / weight
                at = p * sums.channels + c
                out.premultiplied[at] = alpha * mean
                out.color[at] = alpha * mean + (1 - alpha) * sums.background[c]

    @kernel(real)
    def compose_adjoint(
        sums: Sums,
        given: Given,
        upstream: Images,
        up_alpha: Floats,  # (P)
        through_total: int,  # whether alpha is 1 - exp(-total), of the first plane, and is to be passed there
        out: BySums,
    ):
        for p in range(sums.pixels):
            first = sums.first * sums.pixels + p
            weight = sums.planes[first]
            alpha = sums.alpha[p]
            for plane in range(sums.first):
                out.planes[plane * sums.pixels + p] = 0
            inverse = real(0.0)
            # Of a faint weight there is a mean, without a gradient.
            to_mean = real(0.0)
            if weight > 0:
                to_mean = 1 / weight
            if weight > sums.least:
                inverse = to_mean
            by_alpha = real(0.0)
            if given.alpha == 1:
                by_alpha = up_alpha[p]
            by_depth = real(0.0)
            if given.depth == 1:
                by_depth = upstream.depth[p] * inverse
            out.planes[first + sums.pixels] = by_depth
            by_weight = -by_depth * (sums.planes[first + sums.pixels] * inverse)
            for c in range(sums.channels):
                at = p * sums.channels + c
                up = real(0.0)
                if given.premultiplied == 1:
                    up = upstream.premultiplied[at]
                if given.color == 1:
                    by_color = upstream.color[at]
                    up = up + by_color
                    by_alpha = by_alpha - by_color * sums.background[c]
                plane = first + (2 + c) * sums.pixels
                mean = sums.planes[plane] * to_mean
                by_alpha = by_alpha + up * mean
                by_sum = up * alpha * inverse
                out.planes[plane] = by_sum
                by_weight = by_weight - by_sum * mean
            out.planes[first] = by_weight
            if through_total == 1:
                passed = 1 - alpha
                if alpha > real(0.99):
                    # Of which little is left by the subtraction.
                    passed = ti.exp(-sums.planes[p])
                out.planes[p] = by_alpha * passed
            else:
                out.alpha[p] = by_alpha

    return SimpleNamespace(compose=compose, compose_adjoint=compose_adjoint)
