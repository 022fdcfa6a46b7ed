"""Random scenes: geometry that is awkward on purpose, under a softness drawn from all of the space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import taichisoft as ts
from tests.helpers import Leaves, Setup, pixel_camera, soup_faces
from tests.zoo.coverage import FAMILIES, curved_mlp, with_random_weights
from tests.zoo.occlusion import randomised

# Parameters of T-conorms are drawn between these, evenly in their logarithm.
CONORMS: dict[type[ts.Aggregation], tuple[float, float]] = {
    ts.Hamacher: (0.01, 20.0),
    ts.Frank: (1e-3, 1e3),
    ts.Yager: (0.5, 4.0),
    ts.AczelAlsina: (0.5, 4.0),
    ts.Dombi: (0.5, 4.0),
    ts.SchweizerSklar: (0.1, 4.0),
}
# Closed forms that are no order: 1 at equal depths; or 0 and bent there, where powers have no slope.
UNFIT = tuple(name for name in FAMILIES if "reversed" in name or name == "gamma_half")
PLAIN = (ts.Probabilistic, ts.Einstein, ts.Max)


@dataclass(frozen=True)
class FuzzScene:
    """What is rendered: the geometry as float64 leaves, and how to make the renderer, always an equal one."""

    setup: Setup
    renderer: Callable[[], ts.SoftRasterizer]

    def __str__(self) -> str:
        sizes = {name: tuple(leaf.shape) for name, leaf in self.setup.leaves.items()}
        softness = self.renderer().softness
        parts = (softness.coverage, softness.aggregation, softness.occlusion)
        return f"{sizes}, {', '.join(type(part).__name__ for part in parts)}"


@dataclass(frozen=True)
class Dice:
    """Random numbers of one scene."""

    numbers: np.random.Generator

    def between(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Return numbers that are exact in float32, so that both types see the same scene."""
        return torch.as_tensor(self.numbers.uniform(low, high, shape)).float().double()

    def width(self, low: float, high: float) -> float:
        """Return a positive number, evenly distributed in its logarithm."""
        return float(np.exp(self.numbers.uniform(*np.log([low, high]))))

    def one_of(self, choices):
        """Return one of a sequence."""
        return choices[int(self.numbers.integers(len(choices)))]

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return int(self.numbers.integers(low, high + 1))

    def happens(self, chance: float) -> bool:
        """Return True with a probability."""
        return bool(self.numbers.random() < chance)

    def learned(self, low: float, high: float) -> ts.Positive:
        """Return a positive number that is learned."""
        return ts.Positive(self.width(low, high), learn=True)

    def seed(self) -> int:
        """Return a seed."""
        return self.whole(0, 2**31)


def draw(seed: int) -> FuzzScene:
    """Return the scene of a seed, and nothing but of the seed."""
    dice = Dice(np.random.default_rng(seed))
    setup = dice.one_of(GEOMETRIES)(dice)
    softness = dice.seed()
    return FuzzScene(setup, lambda: renderer(Dice(np.random.default_rng(softness))))


def soup(dice: Dice) -> Setup:
    """Return unconnected triangles in pixels, some without an area or far outside of the image."""
    size, faces = image_size(dice), dice.whole(0, 10)
    spread = dice.width(0.5, 15)
    centre = dice.between(-0.3, 1.3, faces, 1, 3) * torch.tensor([size[1], size[0], 2.0])
    corners = centre + dice.between(-1, 1, faces, 3, 3) * torch.tensor([spread, spread, 0.3])
    index = soup_faces(faces)
    for face in range(faces):
        if dice.happens(0.05):
            corners[face] = corners[face - 1]
        # By the index, since corners of one place but two colours would leave the colour to rounding.
        if dice.happens(0.1):
            index[face, 1] = index[face, 0]
        if dice.happens(0.05):
            index[face, 2] = index[face, 0]
    return in_pixels(dice, corners.reshape(-1, 3), index, size)


def sheet(dice: Dice) -> Setup:
    """Return triangles that share edges and corners, in pixels, at two depths."""
    size = image_size(dice)
    rows, columns = dice.whole(1, 3), dice.whole(1, 3)
    points, faces = grid(rows, columns)
    points = points * torch.tensor([size[1], size[0]]) * dice.width(0.3, 1.5)
    flat = points + dice.between(-1, 1, *points.shape)
    depth = dice.between(0, dice.width(1e-3, 2.0), len(points), 1)
    near = torch.cat([flat, depth], 1)
    far = near + dice.between(-2, 2, 1, 3) * torch.tensor([2.0, 2.0, 1.0])
    return in_pixels(dice, torch.cat([near, far]), torch.cat([faces, faces + len(near)]), size)


def solid(dice: Dice) -> Setup:
    """Return a bumpy solid seen by one or two perspective cameras, of which it may be partly behind."""
    mesh = dice.one_of([ts.shapes.cube(), ts.shapes.icosphere(0), ts.shapes.torus(4, 3)])
    bumps = dice.between(0.7, 1.2, mesh.num_vertices, 1)
    leaves = {
        "vertices": mesh.vertices.double() * bumps,
        "colors": dice.between(0, 1, mesh.num_vertices, dice.whole(1, 3)),
        "eye": dice.between(-1, 1, dice.whole(1, 2), 3)
        + torch.tensor([0, 0.5, dice.width(0.8, 6)]),
        "fov": torch.tensor(dice.width(20, 100)),
    }
    return seen(leaves, mesh.faces, image_size(dice), near=dice.width(0.05, 0.5))


def floor(dice: Dice) -> Setup:
    """Return a floor on which the camera stands, with an object on it."""
    extent, height = dice.width(2, 100), dice.width(0.1, 2)
    points, faces = grid(1, 2)
    points = (points - 0.5) * extent
    ground = torch.stack([points[:, 0], torch.zeros(len(points)), points[:, 1]], 1)
    cube = ts.shapes.cube()
    vertices = torch.cat([ground + dice.between(-0.1, 0.1, *ground.shape), cube.vertices.double()])
    leaves = {
        "vertices": vertices,
        "colors": dice.between(0, 1, len(vertices), 3),
        "eye": torch.tensor([[0.3, height, 2.5]]) + dice.between(-0.1, 0.1, 1, 3),
        "fov": torch.tensor(dice.width(30, 90)),
    }
    both = torch.cat([faces, cube.faces + len(ground)])
    return seen(leaves, both, image_size(dice), near=dice.width(0.01, 0.3))


GEOMETRIES = (soup, sheet, solid, floor)


def image_size(dice: Dice) -> tuple[int, int]:
    """Return a height and a width, that are no multiples of a block, or 1."""
    return (dice.whole(1, 14), dice.whole(1, 19))


def grid(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the corners, (P, 2) in [0, 1], and faces of a rectangle."""
    y, x = torch.meshgrid(torch.arange(rows + 1), torch.arange(columns + 1), indexing="ij")
    points = torch.stack([x / columns, y / rows], -1).reshape(-1, 2).double()
    first = (torch.arange(rows)[:, None] * (columns + 1) + torch.arange(columns)).reshape(-1, 1)
    upper = first + torch.tensor([0, 1, columns + 1])
    return points, torch.cat([upper, first + torch.tensor([1, columns + 2, columns + 1])])


def in_pixels(
    dice: Dice, vertices: torch.Tensor, faces: torch.Tensor, size: tuple[int, int]
) -> Setup:
    """Return a setup whose world is the image."""
    colors = dice.between(0, 1, len(vertices), dice.whole(1, 3))

    def build(x: Leaves) -> tuple:
        mesh = ts.Mesh(x["vertices"], faces, x["colors"])
        return mesh, pixel_camera(*size, x["vertices"].dtype)

    return Setup({"vertices": vertices.float().double(), "colors": colors}, build)


def seen(leaves: Leaves, faces: torch.Tensor, size: tuple[int, int], near: float) -> Setup:
    """Return a setup of a mesh and cameras that look at the origin."""

    def build(x: Leaves) -> tuple:
        camera = ts.Camera.look_at(x["eye"], fov=x["fov"], image_size=size, near=near)
        return ts.Mesh(x["vertices"], faces, x["colors"]), camera

    return Setup({name: leaf.float().double() for name, leaf in leaves.items()}, build)


def renderer(dice: Dice) -> ts.SoftRasterizer:
    """Return a renderer all of whose softness is learned."""
    return ts.SoftRasterizer(
        coverage(dice), aggregation(dice), occlusion(dice), background=dice.width(0.1, 1.0)
    )


def coverage(dice: Dice) -> ts.Coverage:
    """Return a coverage of any kind."""
    scale = ts.Pixels(dice.width(0.1, 4.0), learn=True)
    kind = dice.whole(0, 9)
    if kind == 0:
        spline = ts.MonotoneSpline(scale, knots=dice.whole(3, 12))
        return with_random_weights(spline, dice.width(0.3, 3.0), dice.seed())
    if kind == 1:
        return curved_mlp(scale, dice.seed())
    if kind == 2:
        parts = [
            closed_form(dice, ts.Pixels(dice.width(0.3, 3.0), learn=True))
            for _ in range(dice.whole(1, 4))
        ]
        return ts.Mixture(parts, scale)
    return closed_form(dice, scale)


def closed_form(dice: Dice, scale: ts.Pixels) -> ts.Coverage:
    """Return a closed form, squared, shifted and cut off at random."""
    family = FAMILIES[dice.one_of(list(FAMILIES))]
    shift = ts.Real(float(dice.between(-1.5, 1.5)), learn=True) if dice.happens(0.5) else 0.0
    reach = dice.width(0.5, 6.0) if dice.happens(0.2) else None
    return family.kind(scale, squared=dice.happens(0.3), shift=shift, reach=reach)


def aggregation(dice: Dice) -> ts.Aggregation:
    """Return a T-conorm."""
    kind = dice.one_of([*PLAIN, *CONORMS, ts.MonotoneGenerator])
    if kind is ts.MonotoneGenerator:
        learned = ts.MonotoneGenerator(bins=6, reach=5.0)
        return randomised(learned, 1.0, dice.seed())
    return kind(dice.learned(*CONORMS[kind])) if kind in CONORMS else kind()


def occlusion(dice: Dice) -> ts.Occlusion:
    """Return how faces hide each other: in one of two scenes front to back."""
    gamma = dice.learned(0.02, 2.0)
    kind = dice.whole(0, 7)
    if kind == 0:
        return ts.DepthCurve(dice.one_of([ts.Gaussian, ts.Logistic, ts.Cauchy])(), gamma)
    if kind == 1:
        return randomised(ts.MonotoneDepth(gamma), 1.0, dice.seed())
    if kind <= 3:
        return ts.DepthSoftmax(gamma)
    if dice.happens(0.5):
        return ts.FrontToBack(order(dice), ts.DepthFraction(dice.learned(0.005, 1.0)))
    return ts.FrontToBack(order(dice), gamma)


def order(dice: Dice) -> ts.Coverage:
    """Return an order of any kind: a coverage of a fixed width, below 1 at 0."""
    kind = dice.whole(0, 9)
    if kind <= 1:
        return ts.Heaviside()
    if kind == 2:
        return ts.CubicHermite()
    if kind == 3:
        spline = ts.MonotoneSpline(knots=dice.whole(3, 12))
        return with_random_weights(spline, dice.width(0.3, 3.0), dice.seed())
    if kind == 4:
        return curved_mlp(1.0, dice.seed())
    family = FAMILIES[dice.one_of([name for name in FAMILIES if name not in UNFIT])]
    shift = ts.Real(float(dice.between(-0.5, 0.5)), learn=True) if dice.happens(0.5) else 0.0
    return family.kind(squared=dice.happens(0.3), shift=shift)
