"""Bit-equal images and gradients, from run to run and for permuted faces."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from tests.helpers import scalar_loss, soft, uniform

RUNS = 20


def scene(dtype: torch.dtype) -> tuple[ts.Mesh, ts.Camera]:
    """Return a ball with many faces at a pixel and two views of it."""
    generator = torch.Generator().manual_seed(1)
    ball = ts.shapes.icosphere(3)
    bumps = uniform(generator, ball.num_vertices, 1, low=0.6, high=1.1)
    colors = uniform(generator, ball.num_vertices, 3).to(dtype)
    mesh = ts.Mesh((ball.vertices.double() * bumps).to(dtype), ball.faces, colors)
    eye = torch.tensor([[0.0, 0.5, 3.0], [2.0, 1.0, -2.0]], dtype=dtype)
    return mesh, ts.Camera.look_at(eye=eye, fov=45, image_size=(61, 67))


def rendered(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> list[torch.Tensor]:
    """Return images and gradients of vertices, colours and softness."""
    vertices = mesh.vertices.clone().requires_grad_()
    colors = mesh.vertex_colors.clone().requires_grad_()
    image = renderer(ts.Mesh(vertices, mesh.faces, colors), camera)
    wanted = [vertices, colors, *renderer.parameters()]
    loss = scalar_loss(image, image.alpha.detach(), seed=4)
    gradients = torch.autograd.grad(loss, wanted)
    return [image.alpha.detach(), image.color.detach(), image.depth.detach(), *gradients]


def deterministic(aggregation: str, coverage: str) -> ts.SoftRasterizer:
    softness = soft(coverage, aggregation, scale=1.2).softness
    return ts.SoftRasterizer(softness=softness, deterministic=True)


@pytest.mark.parametrize("coverage", ["gaussian", "mlp"])
@pytest.mark.parametrize("aggregation", ["probabilistic", "max"])
def test_runs_and_orders_of_faces_are_bit_equal(aggregation, coverage, dtype):
    mesh, camera = scene(dtype)
    renderer = deterministic(aggregation, coverage)
    first = rendered(renderer, mesh, camera)
    generator = torch.Generator().manual_seed(2)
    for run in range(RUNS):
        order = torch.arange(mesh.num_faces)
        if run % 2:
            order = torch.randperm(mesh.num_faces, generator=generator)
        permuted = ts.Mesh(mesh.vertices, mesh.faces[order], mesh.vertex_colors)
        for again, value in zip(rendered(renderer, permuted, camera), first, strict=True):
            assert torch.equal(again, value)


def test_without_it_the_order_of_the_faces_rounds_differently(dtype):
    mesh, camera = scene(dtype)
    renderer = soft(scale=1.2)
    reverse = ts.Mesh(mesh.vertices, mesh.faces.flip(0), mesh.vertex_colors)
    one, other = (rendered(renderer, m, camera)[0] for m in (mesh, reverse))
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_second_derivatives_are_bit_equal(dtype):
    mesh, camera = scene(dtype)
    renderer = deterministic("probabilistic", "gaussian")
    results = []
    for order in (torch.arange(mesh.num_faces), torch.randperm(mesh.num_faces)):
        vertices = mesh.vertices.clone().requires_grad_()
        alpha = renderer.silhouette(ts.Mesh(vertices, mesh.faces[order]), camera)
        (gradient,) = torch.autograd.grad(alpha.square().sum(), vertices, create_graph=True)
        results.append(torch.autograd.grad(gradient.square().sum(), vertices)[0])
    assert torch.equal(*results)
    assert float(results[0].abs().max()) > 0


def test_nothing_to_draw(dtype):
    mesh = ts.Mesh(torch.zeros(3, 3, dtype=dtype), torch.zeros(0, 3, dtype=torch.int64))
    image = ts.SoftRasterizer(deterministic=True)(mesh, scene(dtype)[1])
    assert float(image.alpha.abs().max()) == 0


def test_bad_argument():
    with pytest.raises(TypeError, match="deterministic must be a bool, got str"):
        ts.SoftRasterizer(deterministic="yes")
