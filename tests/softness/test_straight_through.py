"""Straight-through softness: the image of one curve, the gradient of another."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import assert_close, learned, pixel_camera, soft, soup_setup
from tests.zoo import aggregation as aggregation_cases

QUAD = torch.tensor([[6.2, 6.3, 1.0], [17.4, 6.3, 1.0], [17.4, 16.9, 1.0], [6.2, 16.9, 1.0]])
TWO = torch.tensor([[0, 1, 2], [0, 2, 3]])
VALUES = {"step": ts.Heaviside, "narrow": lambda: ts.Gaussian(0.05)}


def quad(dtype: torch.dtype, size: torch.Tensor) -> ts.Mesh:
    """Return a white square, scaled about the middle of the image."""
    middle = torch.tensor([12.0, 12.0, 1.0], dtype=dtype)
    vertices = middle + (QUAD.to(dtype) - middle) * torch.stack([size, size, torch.ones_like(size)])
    return ts.Mesh(vertices, TWO, vertex_colors=torch.ones(4, 1, dtype=dtype))


@pytest.mark.parametrize("value", VALUES)
def test_image_is_that_of_the_value_curve(value, dtype):
    setup = soup_setup(3, 8, (20, 24))
    leaves = {n: x.to(dtype) for n, x in setup.leaves.items()}
    through = ts.StraightThrough(VALUES[value](), ts.Gaussian(), 2.0)
    alone = VALUES[value]()
    if value == "narrow":
        alone = ts.Gaussian(0.1)
    with torch.no_grad():
        image, plain = (soft(c)(*setup.build(leaves)) for c in (through, alone))
    # 1e-6 for each of the faces, some of which overlap.
    assert_close(image.alpha, plain.alpha, 2e-5, "alpha")
    assert_close(image.color, plain.color, 4e-5, "color")


def fringe(dtype: torch.dtype) -> tuple[ts.Mesh, ts.Camera]:
    """Return a card before a wall, and beside both a card that is nearer still."""
    card = torch.tensor([[4.2, 3.3, 2.0], [13.6, 3.3, 2.0], [13.6, 14.9, 2.0], [4.2, 14.9, 2.0]])
    wall = torch.tensor([[1.3, 1.3, 5.0], [22.4, 1.3, 5.0], [22.4, 16.9, 5.0], [1.3, 16.9, 5.0]])
    near = card + torch.tensor([11.3, 2.0, -1.0])
    colors = torch.eye(3).repeat_interleave(4, 0)
    faces = torch.cat([TWO, TWO + 4, TWO + 8])
    mesh = ts.Mesh(torch.cat([card, wall, near]).to(dtype), faces, colors.to(dtype))
    return mesh, pixel_camera(18, 26, dtype)


@pytest.mark.parametrize("tabulated", [False, True])
@pytest.mark.parametrize("value", VALUES)
def test_the_twin_shows_the_same_image(value, tabulated, dtype):
    through = ts.StraightThrough(VALUES[value](), ts.Gaussian(), 2.0)
    renderer = soft(through)
    mesh, camera = fringe(dtype)
    with torch.no_grad():
        image = renderer(mesh, camera)
        twin = reference.render(renderer, mesh, camera, tabulated=tabulated)
        plain = soft(VALUES["step"]() if value == "step" else ts.Gaussian(0.1))(mesh, camera)
    # The table of a curve is off by 1e-5 at the most.
    assert_close(twin.alpha, image.alpha, 1e-5, "alpha")
    assert_close(twin.color, image.color, 2e-5, "color")
    assert_close(twin.depth * image.alpha, image.depth * image.alpha, 2e-5, "depth")
    assert_close(twin.color, plain.color, 4e-5, "color")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("target", "grows"), [(1.0, True), (0.0, False)])
def test_colours_pull_a_face_the_right_way(value, target, grows, dtype):
    # A white square before grey: to make the image white it should grow, and shrink to make it black.
    size = torch.ones((), dtype=dtype, requires_grad=True)
    coverage = ts.StraightThrough(VALUES[value](), ts.Gaussian(), 1.0)
    renderer = ts.SoftRasterizer(coverage, background=0.5)
    image = renderer(quad(dtype, size), pixel_camera(24, 24, dtype))
    (slope,) = torch.autograd.grad((image.color - target).square().sum(), size)
    assert bool(slope < -3) if grows else bool(slope > 3), float(slope)


@pytest.mark.parametrize("name", aggregation_cases.CASES)
def test_every_aggregation_feels_the_slope_outside(name, dtype):
    # Pixels that no face covers, two scales from the edge: the gradient of their alpha makes it grow.
    size = torch.ones((), dtype=dtype, requires_grad=True)
    coverage = ts.StraightThrough(ts.Heaviside(), ts.Gaussian(), 1.0)
    renderer = ts.SoftRasterizer(coverage, aggregation_cases.CASES[name].make())
    alpha = renderer.silhouette(quad(dtype, size), pixel_camera(24, 24, dtype))
    outside = alpha[:, 9:14, 18:20].sum()
    assert float(outside.detach()) < 1e-3
    (slope,) = torch.autograd.grad(outside, size)
    assert float(slope) > 0.1


@pytest.mark.parametrize("slope", [ts.Uniform, lambda: ts.Mixture([ts.Uniform(), ts.Uniform(0.5)])])
@pytest.mark.parametrize("learn", [False, True])
def test_slopes_that_are_constant(slope, learn, dtype):
    # The derivative of a straight line does not depend on where it is taken.
    coverage = ts.StraightThrough(ts.Heaviside(), slope(), learned(1.0) if learn else 1.0)
    setup = soup_setup(3, 4, (10, 12))
    leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
    image = ts.SoftRasterizer(coverage)(*setup.build(leaves))
    (gradient,) = torch.autograd.grad(image.alpha.sum(), leaves["vertices"])
    assert float(gradient.abs().max()) > 0.01


def test_slope_curve_gets_no_first_derivative(dtype):
    coverage = ts.StraightThrough(ts.Logistic(learned(0.3)), ts.MLPCoverage(), learned(1.0))
    setup = soup_setup(3, 4, (10, 12))
    image = soft(coverage)(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()}))
    wanted = [*coverage.slope.parameters(), coverage.value.scale.length.log_value]
    *slopes, value = torch.autograd.grad(
        image.color.sum(), wanted, allow_unused=True, materialize_grads=True
    )
    assert max(float(g.abs().max()) for g in slopes) == 0
    assert float(value.abs()) > 1e-3


def test_bad_arguments():
    with pytest.raises(TypeError, match="value must be a Coverage, got float"):
        ts.StraightThrough(1.0, ts.Gaussian())
    with pytest.raises(TypeError, match=r"slope.scale must be a Pixels, got HeightFraction"):
        ts.StraightThrough(ts.Heaviside(), ts.Gaussian(ts.HeightFraction(0.1)))
    inner = ts.StraightThrough(ts.Heaviside(), ts.Gaussian())
    with pytest.raises(TypeError, match="slope must not be a StraightThrough itself"):
        ts.StraightThrough(ts.Heaviside(), inner)
