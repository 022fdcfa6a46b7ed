"""Renders of tensors on the device of the backend: with CUDA on that device, elsewhere in the main memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch

import taichisoft as ts
from tests.helpers import assert_close, scalar_loss, soft

ON_CUDA = ts.backend() == "cuda" and torch.cuda.is_available()
DEVICE = "cuda" if ON_CUDA else "cpu"
KINDS = ("gaussian", "mlp")


def stream() -> AbstractContextManager:
    """Return what puts torch on a stream of its own, where there are streams."""
    return torch.cuda.stream(torch.cuda.Stream()) if ON_CUDA else nullcontext()


def late(gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient in new memory that is written some milliseconds later, on the current stream."""
    if ON_CUDA:
        torch.cuda._sleep(50_000_000)
    return gradient.clone()


def scene(dtype: torch.dtype) -> tuple[ts.Mesh, ts.Camera]:
    """Return a coloured ball and two views of it."""
    ball = ts.shapes.icosphere(1).to(dtype=dtype)
    mesh = ts.Mesh(ball.vertices, ball.faces, (ball.vertices + 1) / 2)
    eye = torch.tensor([[0.2, 0.5, 3.0], [2.0, 1.0, -2.0]], dtype=dtype)
    return mesh.to(DEVICE), ts.Camera.look_at(eye=eye, fov=45, image_size=(17, 21)).to(DEVICE)


def drawn(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> list[torch.Tensor]:
    """Return image, its gradients, and the product of the Hessian in the vertices with a vector."""
    vertices = mesh.vertices.clone().requires_grad_()
    image = renderer(ts.Mesh(vertices, mesh.faces, mesh.vertex_colors), camera)
    assert image.alpha.device == image.color.device == mesh.device
    image.alpha.register_hook(late)
    loss = scalar_loss(image, image.alpha.detach().double().cpu(), seed=4)
    first = torch.autograd.grad(loss, [vertices, *renderer.parameters()], create_graph=True)
    direction = torch.linspace(-1, 1, vertices.numel()).view_as(vertices).to(vertices)
    (second,) = torch.autograd.grad((first[0] * direction).sum(), vertices)
    return [image.alpha, image.color, *first, second]


def same(found: list[torch.Tensor], expected: list[torch.Tensor], allowed: float) -> None:
    for at, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_close(one.detach().cpu(), other.detach().cpu(), allowed, f"result {at}")


@pytest.mark.parametrize("kind", ["gaussian", "mlp"])
def test_silhouettes_are_those_of_the_twin(kind, dtype, tolerance):
    mesh, camera = scene(dtype)
    renderer = soft(kind)
    found = renderer.silhouette(mesh, camera)
    expected = ts.reference.render(renderer, mesh.to("cpu"), camera.to("cpu"), tabulated=True)
    assert found.device == mesh.device
    assert_close(found.detach().cpu(), expected.alpha.detach(), tolerance.value, "alpha")


@pytest.mark.parametrize("moved", [False, True], ids=["softness stays", "softness on the device"])
def test_derivatives_on_the_device_are_those_in_the_main_memory(moved, dtype, tolerance):
    mesh, camera = scene(dtype)
    renderer = soft()
    expected = drawn(renderer, mesh.to("cpu"), camera.to("cpu"))
    found = drawn(renderer.to(DEVICE) if moved else renderer, mesh, camera)
    same(found, expected, tolerance.softness)


def test_a_stream_of_its_own_is_in_order(dtype, tolerance):
    """Kernels read what was written before on the stream of torch, and what they write is read after that."""
    mesh, camera = scene(dtype)
    renderer = soft()
    expected = drawn(renderer, mesh, camera)
    with stream():
        found = drawn(renderer, mesh, camera)
        copies = [one.detach().clone() for one in found]
        totals = [one.detach().double().sum().item() for one in found]
    if ON_CUDA:
        torch.cuda.synchronize()
    same(found, expected, tolerance.softness)
    for one, copy, total in zip(found, copies, totals, strict=True):
        assert torch.equal(one, copy)
        assert total == pytest.approx(one.detach().double().sum().item(), rel=1e-9, abs=1e-9)


def test_a_fit_on_the_device(dtype):
    mesh, camera = scene(dtype)
    renderer = soft().requires_grad_(False)
    target = renderer.silhouette(mesh, camera)
    scale = torch.full((), 0.7, dtype=dtype, device=DEVICE, requires_grad=True)
    optimizer = torch.optim.Adam([scale], lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        found = renderer.silhouette(mesh.with_vertices(mesh.vertices * scale), camera)
        loss = ts.mse_loss(found, target)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
