"""Faces that all hide each other, so that nothing seems left for any of them: they share the pixel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import pixel_camera, soup_faces

# Of shares by what is left when that is 1e-17, and of their slopes: the table has 64 cells an octave.
SHARE, SLOPE = 5e-4, 1e-2
Render = Callable[..., ts.SoftImage]

pytestmark = pytest.mark.cpu_only

both_types = pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)


@pytest.fixture(params=["engine", "twin"])
def draw(request) -> Render:
    """Return how a renderer renders."""
    if request.param == "engine":
        return lambda renderer, *arguments: renderer(*arguments)
    return reference.render


def over_all(depths: Tensor) -> Tensor:
    """Return triangles that face the camera and reach far beyond the image, (3 N, 3)."""
    corners = torch.tensor([(-99.0, -99.0), (299.0, -99.0), (-99.0, 299.0)], dtype=depths.dtype)
    return torch.cat([corners.repeat(len(depths), 1), depths.repeat_interleave(3)[:, None]], 1)


def faces_of(depths: Tensor, colors: Tensor, opacity: Tensor | None = None) -> ts.Mesh:
    return ts.Mesh(
        over_all(depths), soup_faces(len(depths)), face_colors=colors, face_opacity=opacity
    )


def renderer(aggregation: ts.Aggregation, order: ts.Coverage | None = None) -> ts.SoftRasterizer:
    return ts.SoftRasterizer(ts.Gaussian(1.0), aggregation, ts.FrontToBack(order, 0.1))


@both_types
@pytest.mark.parametrize("order", [None, ts.Heaviside()], ids=["soft", "hard"])
@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_level_faces_under_the_bounded_sum(draw, count, order, kind):
    """Whatever is behind them, they show their mean: three of them are full in front of each other."""
    near, far = torch.full((count,), 2.0, dtype=kind), torch.full((4,), 3.0, dtype=kind)
    colors = torch.linspace(0, 1, count + 4, dtype=kind)[:, None]
    mesh = faces_of(torch.cat([near, far]), colors)
    image = draw(renderer(ts.BoundedSum(), order), mesh, pixel_camera(2, 3, kind))
    assert torch.equal(image.alpha, torch.ones_like(image.alpha))
    assert float((image.color - colors[:count].mean()).abs().max()) < 2e-6
    assert float((image.depth - 2).abs().max()) < 5e-6


@both_types
@pytest.mark.parametrize("aggregation", [ts.BoundedSum(), ts.Yager(2.0), ts.Probabilistic()])
def test_a_level_grid_of_wide_coverage(draw, aggregation, kind):
    """Of 162 faces half a pixel wide every one reaches every pixel."""
    points = torch.cartesian_prod(torch.arange(10), torch.arange(10)) * 0.4
    corner = (10 * torch.arange(9)[:, None] + torch.arange(9)).reshape(-1, 1)
    faces = torch.cat([corner + torch.tensor(side) for side in ((0, 1, 10), (1, 11, 10))])
    vertices = torch.cat([points, torch.full((100, 1), 2.0)], 1).to(kind)
    mesh = ts.Mesh(vertices, faces, vertex_colors=torch.full((100, 1), 0.75, dtype=kind))
    softness = ts.Softness(ts.Gaussian(3.0), aggregation, ts.FrontToBack(ts.Heaviside()))
    image = draw(ts.SoftRasterizer(softness=softness), mesh, pixel_camera(4, 4, kind))
    assert float((image.color - 0.75 * image.alpha[..., None]).abs().max()) < 2e-6
    assert float((image.depth - 2).abs().max()) < 5e-6
    assert float(image.alpha.min()) > 1 - 1e-6


@both_types
def test_hundreds_of_level_faces(draw, kind):
    colors = torch.linspace(0, 1, 200, dtype=kind)[:, None]
    mesh = faces_of(torch.full((200,), 2.0, dtype=kind), colors)
    image = draw(renderer(ts.Probabilistic()), mesh, pixel_camera(1, 1, kind))
    assert float(image.color) == pytest.approx(0.5, rel=1e-5)
    assert float(image.depth) == pytest.approx(2.0, rel=1e-5)


@both_types
def test_opaque_faces_behind_each_other(draw, kind):
    """Of forty the first one is seen."""
    colors = torch.linspace(0.9, 0.1, 40, dtype=kind)[:, None]
    mesh = faces_of(torch.linspace(1, 5, 40, dtype=kind), colors)
    image = draw(renderer(ts.Probabilistic()), mesh, pixel_camera(2, 3, kind))
    assert float((image.color - 0.9).abs().max()) < 1e-6
    assert float((image.depth - 1).abs().max()) < 1e-6


@both_types
@pytest.mark.parametrize("count", [28, 40])
def test_level_faces_that_leave_next_to_nothing(draw, count, kind):
    """Two kinds of opacity: S is 28 and 40 in front of each, and their shares are those of the formula."""
    opacity = torch.tensor([0.95, 0.6], dtype=torch.float64).repeat(count)
    colors = torch.tensor([1.0, 0.0], dtype=kind).repeat(count)[:, None]

    def share(opacity: Tensor) -> Tensor:
        """Return the share of the first kind, with all in units of the least remainder."""
        amounts = -torch.log1p(-opacity / 2)
        in_front = amounts.sum() - amounts
        weight = torch.exp(in_front.min() - in_front) * opacity
        return weight[::2].sum() / weight.sum()

    exact = opacity.clone().requires_grad_()
    expected = share(exact)
    (slope,) = torch.autograd.grad(expected, exact)
    given = opacity.to(kind).requires_grad_()
    mesh = faces_of(torch.full((2 * count,), 2.0, dtype=kind), colors, given)
    image = draw(renderer(ts.Probabilistic()), mesh, pixel_camera(1, 1, kind))
    assert float(image.depth.detach()) == pytest.approx(2, rel=1e-5)
    assert float(image.color.detach()) == pytest.approx(float(expected.detach()), rel=SHARE)
    (found,) = torch.autograd.grad(image.color.sum(), given)
    # Alpha has no slope any more.
    assert float((found - slope).abs().max()) < SLOPE * float(slope.abs().max())
