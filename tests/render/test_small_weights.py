"""Pixels whose weights are so small that their squares are 0 in float32."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from tests.helpers import pixel_camera


def learned(value: float) -> ts.Pixels:
    return ts.Pixels(value, learn=True)


# Each is nearly flat where it begins.
COVERAGES = {
    "spline": lambda: ts.MonotoneSpline(learned(1.0), reach=37.8),
    "levy": lambda: ts.Levy(learned(1.0), shift=ts.Real(-1.0, learn=True)),
}


@pytest.mark.parametrize("name", COVERAGES)
@pytest.mark.parametrize("inside", [1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize(("ssaa", "centre"), [(1, 0.5), (2, 0.75)])
def test_derivatives_just_inside_the_cut_off_in_float32(name, inside, ssaa, centre):
    renderer = ts.SoftRasterizer(COVERAGES[name](), background=0.2, ssaa=ssaa)
    edge = centre - float(renderer.coverage.low().detach()) - inside
    corners = torch.tensor([[edge, -50.0, 1.0], [edge, 50.0, 1.0], [edge + 200, 0.0, 1.0]])
    vertices = corners.requires_grad_()
    colors = torch.tensor([[0.2, 0.9], [0.4, 0.3], [0.8, 0.1]], requires_grad=True)
    wanted = [vertices, colors, *renderer.parameters()]
    mesh = ts.Mesh(vertices, torch.tensor([[0, 1, 2]]), colors)
    image = renderer(mesh, pixel_camera(1, 1, torch.float32))
    for value in (image.alpha, image.depth, image.color):
        first = torch.autograd.grad(
            value.sum(), wanted, create_graph=True, allow_unused=True, materialize_grads=True
        )
        along = sum(g.sum() for g in first)
        second = (
            torch.autograd.grad(
                along, wanted, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            if along.requires_grad
            else ()
        )
        for gradient in (*first, *second):
            assert bool(gradient.isfinite().all())


def test_a_faint_face_in_front_shows_its_own_colour():
    """The mean of one face is its colour and depth, however small its weight."""
    renderer = ts.SoftRasterizer(ts.MonotoneSpline(1.0, reach=37.8)).requires_grad_(False)
    edge = 0.5 + 37.8 - 1e-3
    corners = torch.tensor([[edge, -50.0, 3.0], [edge, 50.0, 3.0], [edge + 200, 0.0, 3.0]])
    mesh = ts.Mesh(corners, torch.tensor([[0, 1, 2]]), torch.full((3, 1), 0.5))
    image = renderer(mesh, pixel_camera(1, 1, torch.float32))
    assert 0 < float(image.alpha) < 1e-30
    assert float(image.depth) == pytest.approx(3.0, rel=1e-5)


@pytest.mark.parametrize("conorm", [ts.Yager(8.0), ts.AczelAlsina(3.8)])
def test_steep_generators_have_finite_derivatives_in_float32(conorm):
    """Next to nothing their inverse has a slope of up to 1e25, and where a face ends a table has one of 0."""
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), conorm).requires_grad_(False)
    ball = ts.shapes.icosphere(1)
    # No pixel is as near to two edges.
    moved = ball.vertices + 0.01 * torch.randn_like(ball.vertices)

    def derivatives(dtype: torch.dtype) -> dict[str, torch.Tensor]:
        vertices = moved.to(dtype).requires_grad_()
        mesh = ball.with_vertices(vertices)
        camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(24, 24), dtype=dtype)
        image = renderer(mesh, camera, ball.vertices.to(dtype) / 2 + 0.5)
        images = {"silhouette": renderer.silhouette(mesh, camera), "depth": image.depth}
        found = {}
        for name, seen in {**images, "color": image.color}.items():
            (first,) = torch.autograd.grad(seen.square().sum(), vertices, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), vertices, retain_graph=True)
            found |= {name: first.detach(), f"{name}, second": second}
        return found

    exact = derivatives(torch.float64)
    for name, single in derivatives(torch.float32).items():
        assert bool(single.isfinite().all()), name
        # Second derivatives of faint depths are all rounding.
        if name != "depth, second":
            error = (single.double() - exact[name]).norm() / exact[name].norm()
            assert error < (2e-2 if "second" in name else 1e-4), name
