"""Finite differences of whole renders by the exact functions, beside the derivatives of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import taichisoft as ts
from tests.fuzz import exact
from tests.fuzz.scenes import FuzzScene
from tests.helpers import normal_like

# Of leaves and of the logarithms of parameters. The first meets fewer kinks, the second less rounding.
STEPS = (1e-6, 1e-5)
# Differences forwards and backwards that differ by more than this part are taken over a kink, or over a bend
# that is sharper than the step.
KINK = 1e-3
# What of a difference is rounding.
ROUNDING = 1e-8

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """A derivative of the engine and the same by finite differences.

    Parameters
    ----------
    engine, differences : float
        Derivatives of one loss in one direction.
    size : float
        Sum of the absolute terms of the difference, which may cancel.
    smooth : float
        Share of the entries of images that are not at a kink, of those where no faces change places.
    """

    engine: float
    differences: float
    size: float
    smooth: float

    @property
    def error(self) -> float:
        """Error relative to the sum of the absolute terms."""
        return abs(self.engine - self.differences) / max(self.size, 1e-3)


def of_geometry(scene: FuzzScene, seed: int, step: float) -> Comparison:
    """Compare the derivative along a random direction of vertices, colours and camera."""
    generator = torch.Generator().manual_seed(seed)
    renderer, leaves = scene.renderer(), scene.setup.leaves
    direction = {name: normal_like(leaf, generator) for name, leaf in leaves.items()}

    def images(by: float) -> list[exact.Images]:
        return _exact(renderer, *scene.setup.build(_moved(leaves, direction, by)))

    free = {name: leaf.clone().requires_grad_() for name, leaf in leaves.items()}
    render = renderer(*scene.setup.build(free))
    return _compare(images, render, free, direction, generator, step)


def of_softness(scene: FuzzScene, seed: int, step: float) -> Comparison:
    """Compare the derivative along a random direction of all parameters of the softness."""
    generator = torch.Generator().manual_seed(seed)
    renderer = scene.renderer()
    arguments = scene.setup.build(scene.setup.leaves)
    parameters = dict(renderer.named_parameters())
    direction = {name: normal_like(value, generator) for name, value in parameters.items()}

    def images(by: float) -> list[exact.Images]:
        moved = scene.renderer()
        moved.load_state_dict(_moved(parameters, direction, by), strict=False)
        return _exact(moved, *arguments)

    return _compare(images, renderer(*arguments), parameters, direction, generator, step)


def _exact(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> list[exact.Images]:
    return [exact.render(renderer, mesh, camera, view) for view in range(len(camera))]


def _moved(leaves: Mapping[str, Tensor], direction: Mapping[str, Tensor], step: float) -> dict:
    return {name: leaf.detach() + step * direction[name] for name, leaf in leaves.items()}


def _compare(
    images: Callable[[float], list[exact.Images]],
    render: ts.SoftImage,
    leaves: Mapping[str, Tensor],
    direction: Mapping[str, Tensor],
    generator: torch.Generator,
    step: float,
) -> Comparison:
    """Contract both with one cotangent, which is zero where the exact image has a kink or jumps."""
    lower, middle, upper = (_values(images(by)) for by in (-step, 0.0, step))
    assert render.color is not None
    got = {
        "alpha": render.alpha,
        "depth": render.depth,
        "color": render.color,
    }
    loss, differences, size, smooth = torch.zeros(()), 0.0, 0.0, []
    for name, value in got.items():
        back = (middle[name] - lower[name]) / step
        ahead = (upper[name] - middle[name]) / step
        even = (
            np.abs(ahead - back) <= KINK * (np.abs(ahead) + np.abs(back)) + ROUNDING / step * 1e-2
        )
        if name != "alpha":
            # Of faces that change places differences are as large as the step is small.
            steady = ~middle["jumps"] if name == "depth" else ~middle["jumps"][..., None]
            steady = np.broadcast_to(steady, even.shape)
            smooth += [even[steady].mean()] if steady.any() else []
            even &= steady
            even &= middle["clear"] if name == "depth" else middle["clear"][..., None]
        else:
            smooth.append(even.mean())
        if name == "depth":
            # Where next to nothing is seen, it is a ratio of rounding errors.
            even &= middle["alpha"] > 1e-3
        cotangent = normal_like(value, generator).numpy() * even
        terms = cotangent * (ahead + back) / 2
        loss = loss + (value * torch.as_tensor(cotangent)).sum()
        differences += terms.sum()
        size += np.abs(terms).sum()
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    engine = sum(
        float((gradient * direction[name]).sum())
        for name, gradient in zip(leaves, found, strict=True)
        if gradient is not None
    )
    return Comparison(engine, differences, size, float(np.mean(smooth)))


def _values(images: list[exact.Images]) -> Values:
    names = ("alpha", "depth", "color", "clear", "jumps")
    return {name: np.stack([getattr(one, name) for one in images]) for name in names}
