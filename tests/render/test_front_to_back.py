"""Compositing front to back against pictures that can be written down, and against differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import normal_like, pixel_camera, soup_setup, views_setup
from tests.render.cards import WITHIN_A_PIXEL, camera, card, scene
from tests.zoo.layers import layered, units

pytestmark = pytest.mark.cpu_only

KIND = torch.float64
SIZE = 32
COVERAGES = {
    "gaussian": lambda: ts.Gaussian(0.5),
    "logistic": lambda: ts.Logistic(0.25),
    "cubic_hermite": lambda: ts.CubicHermite(1.0),
    "uniform": lambda: ts.Uniform(0.7),
}
CONORMS = {
    "probabilistic": ts.Probabilistic,
    "frank": lambda: ts.Frank(100.0),
    "bounded": ts.BoundedSum,
}
# Every gap between the card and the wall is wider than four of them.
ORDERS = {
    "hard": lambda unit: ts.FrontToBack(ts.Heaviside()),
    "fraction": lambda unit: ts.FrontToBack(),
    "units": lambda unit: ts.FrontToBack(ts.CubicHermite(), 0.012 * unit),
}
GAPS = (0.05, 0.5, 5.0, 50.0, 500.0)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=KIND)


def wall(depth: float | Tensor) -> Tensor:
    """Return a card that is larger than the picture."""
    return card(-9, -9, SIZE + 9, SIZE + 9, depth)


RED_AND_GREEN = torch.eye(2, dtype=KIND)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("conorm", CONORMS)
@pytest.mark.parametrize("coverage", COVERAGES)
def test_card_before_a_wall(coverage, conorm, order):
    """A card of 14 by 20 pixels shows its area at any distance from the wall, and so moves its edge."""
    edge = (20 + WITHIN_A_PIXEL).repeat(len(GAPS)).requires_grad_()
    gap = numbers(*GAPS).repeat_interleave(len(WITHIN_A_PIXEL))
    for unit in (1e-3, 1.0, 1e3):
        renderer = ts.SoftRasterizer(COVERAGES[coverage](), CONORMS[conorm](), ORDERS[order](unit))
        mesh = scene([card(6.15, 6, edge, 26, 2), wall(2 + gap)], RED_AND_GREEN, unit)
        red = renderer(mesh, camera(SIZE, unit)).color[..., 0].sum((1, 2))
        (slope,) = torch.autograd.grad(red.sum(), edge)
        area = (red / (edge - 6.15) / 20).detach().reshape(len(GAPS), -1).mean(1)
        slope = slope.reshape(len(GAPS), -1).mean(1) / 20
        torch.testing.assert_close(area, torch.ones_like(area), rtol=0, atol=0.02)
        torch.testing.assert_close(slope, torch.ones_like(slope), rtol=0, atol=0.03)


def test_a_reference_depth_loses_the_edge():
    """What `ReferenceDepth` says of itself: the card covers its whole reach, its edge has no gradient."""
    edge = (20 + WITHIN_A_PIXEL).requires_grad_()
    mesh = scene([card(6.15, 6, edge, 26, 2), wall(7.0)], RED_AND_GREEN)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5), ts.Probabilistic(), ts.DepthSoftmax())
    red = renderer(mesh, camera(SIZE)).color[..., 0].sum((1, 2))
    (slope,) = torch.autograd.grad(red.sum(), edge)
    assert float((red / (edge - 6.15) / 20).detach().mean()) > 1.2
    assert float(slope.abs().mean()) < 0.05 * 20


@pytest.mark.parametrize("order", ["hard", "fraction"])
@pytest.mark.parametrize("conorm", CONORMS)
def test_three_cards(conorm, order):
    """Each shows what those before it leave, and an edge gives to one what it takes from the next."""
    front = (14 + WITHIN_A_PIXEL).requires_grad_()
    middle = (22 + WITHIN_A_PIXEL).requires_grad_()
    cards = [card(4, 6, front, 16, 1), card(8, 10, middle, 24, 1.5), wall(30.0)]
    renderer = ts.SoftRasterizer(ts.Gaussian(0.4), CONORMS[conorm](), ORDERS[order](1.0))
    image = renderer(scene(cards, torch.eye(3, dtype=KIND)), camera(SIZE))
    seen = image.color.sum((1, 2)).mean(0)
    # Of the 14 rows of the card in the middle the first 6 are behind the one in front.
    x, y = front.mean().item(), middle.mean().item()
    areas = numbers((x - 4) * 10, (y - 8) * 14 - (x - 8) * 6, 0.0)
    areas[2] = SIZE**2 - areas.sum()
    torch.testing.assert_close(seen.detach(), areas, rtol=0.03, atol=0)
    expected = numbers(10, -6, -4), numbers(0, 14, -14)
    for channel in range(3):
        moved = torch.autograd.grad(seen[channel], (front, middle), retain_graph=True)
        for found, per_edge in zip(moved, expected, strict=True):
            assert float(found.sum()) == pytest.approx(float(per_edge[channel]), abs=0.5)


# An order, and its slope at 0 by what it leaves there: the mean of both sides of one that is bent.
SLOPES_AT_TIES = {
    "smooth": (ts.CubicHermite, 0.75 / 0.5),
    "bent": (ts.Exponential, 0.5),
    "bent_gamma": (lambda: ts.Gamma(shape=1.0), 0.5),
    "bent_root": (lambda: ts.Gamma(shape=0.5, squared=True), math.pi**-0.5),
    "bent_at_its_end": (lambda: ts.Uniform(shift=1.0), 0.25),
}


@pytest.mark.parametrize("order", SLOPES_AT_TIES)
@pytest.mark.parametrize("depth", [0.0, -0.7])
@pytest.mark.parametrize("render", [ts.SoftRasterizer.__call__, reference.render])
def test_level_cards_that_part(render, depth, order):
    """Half of each is seen; by how much more with depth is the slope of h at 0, wherever the cards are."""
    make, relative_slope = SLOPES_AT_TIES[order]
    renderer = ts.SoftRasterizer(occlusion=ts.FrontToBack(make(), 0.1))
    gap = torch.zeros((), dtype=KIND, requires_grad=True)
    mesh = scene([wall(depth), wall(depth + gap)], RED_AND_GREEN)
    red = render(renderer, mesh, pixel_camera(1, 30, KIND)).color[0, 0, 20, 0]
    (slope,) = torch.autograd.grad(red, gap)
    assert red.item() == pytest.approx(0.5, abs=1e-6)
    assert slope.item() == pytest.approx(relative_slope / 2 / 0.1, rel=1e-5)


def hole(left: float | Tensor, depth: float) -> list[Tensor]:
    """Return four cards around a hole from `left` to 22, and from 10 to 20."""
    return [
        card(-9, -9, left, SIZE + 9, depth),
        card(left, -9, 22, 10, depth),
        card(left, 20, 22, SIZE + 9, depth),
        card(22, -9, SIZE + 9, SIZE + 9, depth),
    ]


def test_card_behind_a_hole():
    """It fills the hole, wherever its own edges are; the edge of the hole uncovers it."""
    left = (9 + WITHIN_A_PIXEL).requires_grad_()
    own = numbers(4).requires_grad_()
    cards = [card(own, 5, 28, 26, 9.0), *hole(left, 2.0)]
    colors = torch.cat([RED_AND_GREEN[:1], RED_AND_GREEN[1:].expand(4, 2)])
    renderer = ts.SoftRasterizer(ts.Gaussian(0.4), ts.BoundedSum(), ts.FrontToBack())
    red = renderer(scene(cards, colors), camera(SIZE)).color[..., 0].sum((1, 2)).mean()
    assert float(red.detach()) == pytest.approx((22 - left.mean().item()) * 10, rel=0.03)
    by_hole, by_card = torch.autograd.grad(red, (left, own))
    assert float(by_hole.sum()) == pytest.approx(-10, rel=0.03)
    # The tails of coverages are cut off, so that faces with a common edge add up to 1 less 1e-4.
    assert float(by_card.abs().max()) < 0.005 * 21


@pytest.mark.parametrize("order", ["hard", "fraction"])
@pytest.mark.parametrize("conorm", CONORMS)
def test_an_edge_is_seen_in_depth_and_normals(conorm, order):
    """They change along 20 pixels of an edge by what is on one side less what is on the other."""
    edge = (16 + WITHIN_A_PIXEL).requires_grad_()
    # The wall is tilted: 24 units farther on the left than on the right.
    tilted = wall(20.0) + torch.tensor([0.0, 0.0, 12.0]) * torch.tensor([1, 1, -1, -1])[:, None]
    mesh = scene([card(-9, 6, edge, 26, 2), tilted], RED_AND_GREEN)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.4), CONORMS[conorm](), ORDERS[order](1.0))
    image = renderer(mesh, camera(SIZE), normals=True)
    behind = 20 - 12 * (16.4 - SIZE / 2) / (SIZE / 2 + 9)
    (slope,) = torch.autograd.grad(image.depth.sum((1, 2)).mean(), edge, retain_graph=True)
    assert float(slope.sum()) == pytest.approx(20 * (2 - behind), rel=0.03)
    ours, theirs = numbers(0, 0, -1), -numbers(12, 0, 25) / numbers(12, 0, 25).norm()
    for axis in range(3):
        of_axis = image.normals[..., axis].sum((1, 2)).mean()
        (slope,) = torch.autograd.grad(of_axis, edge, retain_graph=True)
        assert float(slope.sum()) == pytest.approx(20 * float((ours - theirs)[axis]), abs=0.03 * 20)


@pytest.mark.parametrize(
    ("inner", "hard", "scale"),
    [(0.5, False, 0.3), (0.5, False, 1.0), (0.5, True, 0.3), (0.98, True, 0.3)],
)
def test_a_ball_hides_a_ball_inside_it(inner, hard, scale):
    """Under the bounded sum faces with a common edge leave nothing open along it.

    Where a face reaches so far that the ball bends away from it by the gap, what is inside comes nearer.
    """
    ball = ts.shapes.icosphere(2)
    vertices = ball.vertices.double()
    mesh = ts.Mesh(
        torch.cat([vertices, inner * vertices]),
        torch.cat([ball.faces, ball.faces + len(vertices)]),
        RED_AND_GREEN.repeat_interleave(len(vertices), 0),
    )
    view = ts.Camera.look_at((0, 0, 3), fov=45, image_size=(24, 24)).to(dtype=KIND)
    order = ts.Heaviside() if hard else None
    renderer = ts.SoftRasterizer(ts.Gaussian(scale), ts.BoundedSum(), ts.FrontToBack(order))
    with torch.no_grad():
        image = renderer(mesh, view)
    # Where the silhouette of the outer ball is soft, the inner one is not behind it.
    middle = torch.hypot(*torch.meshgrid(*[torch.arange(24) - 11.5] * 2, indexing="ij")) < 6
    red, green = image.color[0][middle].sum(0).tolist()
    assert green / (red + green) < 0.01
    assert float(image.alpha[0][middle].min()) == pytest.approx(1, abs=1e-9)


def fitted(
    renderer: ts.SoftRasterizer, pose: Callable[[Tensor], tuple], loss: Callable, steps: int
) -> Tensor:
    """Return the translation that minimises a loss on images, from none."""
    shift = torch.zeros(3, dtype=KIND, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=0.015, betas=(0.7, 0.9))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.015 * (1 - step / steps)
        optimizer.zero_grad()
        loss(renderer(*pose(shift))).backward()
        optimizer.step()
    return shift.detach()


def depth_loss(target: ts.SoftImage, seed: int) -> Callable[[ts.SoftImage], Tensor]:
    """Return the mean difference of depth where both have one; a fifth of what was measured is missing."""
    there = torch.rand(target.depth.shape, generator=torch.Generator().manual_seed(seed)) > 0.2
    known = target.alpha * there

    def loss(image: ts.SoftImage) -> Tensor:
        weight = (image.alpha * known).detach()
        return (weight * (image.depth - target.depth).abs()).sum() / weight.sum()

    return loss


@pytest.mark.parametrize("conorm", CONORMS)
def test_depth_finds_a_translation(conorm):
    """A frame around a hole, before a wall: it is found to a tenth of a pixel, which is 0.05 units wide.

    Its own depth only under the bounded sum: along common edges of faces the others show the wall.
    """
    truth = numbers(0.083, -0.061, 0.07)

    def pose(shift: Tensor) -> tuple:
        plate = [card(a, b, c, d, 2) for a, b, c, d in ((5, 4, 10, 20), (10, 4, 15, 9))]
        plate += [card(10, 15, 15, 20, 2), card(15, 4, 19, 20, 2)]
        moved = [corners + shift * numbers(20, 20, 1) for corners in plate]
        cards = [corners * numbers(1, 1, 20) for corners in (*moved, wall(3.0))]
        return scene(cards, torch.zeros(5, 1, dtype=KIND), 0.05), camera(24, 0.05)

    # What a sensor with pixels measures: the mean over each.
    target = ts.SoftRasterizer.hard(ssaa=8)(*pose(truth))
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5), CONORMS[conorm](), ts.FrontToBack())
    found = fitted(renderer, pose, depth_loss(target, 1), steps=50)
    known = slice(3 if conorm == "bounded" else 2)
    assert float((found - truth)[known].abs().max()) < 0.005
    blended = ts.SoftRasterizer(ts.Gaussian(0.5), CONORMS[conorm](), ts.DepthSoftmax())
    missed = fitted(blended, pose, depth_loss(target, 1), steps=50)
    assert float((missed - truth)[:2].abs().max()) > 0.015


def test_depth_finds_the_translation_of_a_mug():
    mug, truth = ts.shapes.mug(), numbers(0.07, -0.05, 0.06)
    view = ts.Camera.look_at((0.9, 0.8, 3), fov=30, image_size=(14, 14)).to(dtype=KIND)

    def pose(shift: Tensor) -> tuple:
        return ts.Mesh(mug.vertices.double() + shift, mug.faces), view

    renderer = ts.SoftRasterizer(ts.Gaussian(0.3), ts.Frank(100.0), ts.FrontToBack())
    with torch.no_grad():
        target = renderer(*pose(truth))
    found = fitted(renderer, pose, depth_loss(target, 2), steps=30)
    assert float((found - truth).abs().max()) < 0.005


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("conorm", [*CONORMS, "max"])
def test_permuted_faces(conorm, deterministic):
    setup = views_setup(8, (9, 11), subdivisions=1)
    mesh, view = setup.build(setup.leaves)
    made = ts.Max() if conorm == "max" else CONORMS[conorm]()
    renderer = ts.SoftRasterizer(
        ts.Gaussian(0.6), made, ts.FrontToBack(), deterministic=deterministic
    )
    order = torch.randperm(mesh.num_faces, generator=torch.Generator().manual_seed(2))
    outcomes = []
    for faces in (mesh.faces, mesh.faces[order]):
        vertices = mesh.vertices.clone().requires_grad_()
        image = renderer(ts.Mesh(vertices, faces, mesh.vertex_colors), view)
        values = (image.alpha, image.depth * image.alpha.detach(), image.color)
        loss = sum(value.square().sum() for value in values)
        outcomes.append([*values, *torch.autograd.grad(loss, vertices)])
    for one, other in zip(*outcomes, strict=True):
        if deterministic:
            assert torch.equal(one, other)
        else:
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_a_scene_and_camera_that_are_scaled_together_look_the_same(unit):
    ball = ts.shapes.icosphere(1)
    color = torch.rand(ball.num_vertices, 3, generator=torch.Generator().manual_seed(4), dtype=KIND)
    view = ts.Camera.look_at((0.4, 0.9, 2.5), fov=50, image_size=(11, 12)).to(dtype=KIND)
    images, slopes = [], []
    for scale in (1.0, unit):
        # A scaled scene seen from a scaled distance.
        seen = ts.Camera(
            view.rotation, view.translation * scale, view.intrinsics, (11, 12), near=0.1 * scale
        )
        vertices = (ball.vertices.double() * scale).requires_grad_()
        image = layered(gamma=ts.DepthFraction(0.05))(ts.Mesh(vertices, ball.faces, color), seen)
        images.append((image.alpha, image.color, image.depth / scale))
        (slope,) = torch.autograd.grad(image.color.square().sum(), vertices)
        slopes.append(slope * scale)
    for one, other in zip(*images, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-9)


SMOOTH = {
    "fraction": lambda: layered("logistic", order=ts.Logistic()),
    "units": lambda: layered("gaussian", "einstein", ts.Gaussian(), units(0.4)),
    "learned order": lambda: layered("logistic", "frank_100", ts.MonotoneSpline(), units(0.5)),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_derivatives_are_those_of_differences(name, check):
    """In vertices, colours and all parameters: of coverage, T-conorm, order and gamma."""
    renderer, setup = SMOOTH[name](), soup_setup(11, 3, (4, 5), size=4.0)
    parameters = dict(renderer.named_parameters())
    names = (*setup.leaves, *parameters)

    def images(*values: Tensor) -> tuple[Tensor, ...]:
        leaves = dict(zip(names, values, strict=True))
        softness = {key: leaves[key] for key in parameters}
        image = torch.func.functional_call(renderer, softness, setup.build(leaves))
        return image.alpha, image.alpha * image.depth, image.color

    inputs = [
        x.detach().clone().requires_grad_() for x in (*setup.leaves.values(), *parameters.values())
    ]
    assert check(images, inputs, fast_mode=True, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["fraction", "units", "learned order"])
def test_slopes_of_a_whole_render_are_differences(name):
    """Along random directions of the corners, colours and camera of a scene with common edges."""
    renderer, setup = SMOOTH[name](), views_setup(12, (8, 9), subdivisions=0)
    generator = torch.Generator().manual_seed(6)
    direction = {key: normal_like(x, generator) for key, x in setup.leaves.items()}

    def images(leaves: dict[str, Tensor]) -> Tensor:
        image = renderer(*setup.build(leaves))
        weight = image.alpha.detach()[..., None]
        return torch.cat([image.alpha[..., None], image.depth[..., None] * weight, image.color], -1)

    leaves = {key: x.clone().requires_grad_() for key, x in setup.leaves.items()}
    value = images(leaves)
    cotangent = normal_like(value, generator)
    gradients = torch.autograd.grad((value * cotangent).sum(), list(leaves.values()))
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction.values(), strict=True))
    step, ends = 1e-6, []
    with torch.no_grad():
        weight = renderer(*setup.build(setup.leaves)).alpha[..., None]
        for sign in (-1, 1):
            moved = {k: x + sign * step * direction[k] for k, x in setup.leaves.items()}
            image = renderer(*setup.build(moved))
            parts = [image.alpha[..., None], image.depth[..., None] * weight, image.color]
            ends.append(float((torch.cat(parts, -1) * cotangent).sum()))
    assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-5)
