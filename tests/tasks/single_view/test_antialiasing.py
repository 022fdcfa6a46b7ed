"""The hard renderer with antialiased edges."""

from __future__ import annotations

import pytest
import torch

from taichisoft import Camera, Mesh, SoftRasterizer, shapes
from tasks.single_view.antialiasing import Edges, antialiased
from tasks.single_view.renderers import Antialiased

CAMERA = Camera.orthographic((0.0, 0.0, 3.0), height=16.0, image_size=(16, 16))


def square(left: float, right: float, bottom: float, top: float, turned: float = 0.0) -> Mesh:
    """Return a rectangle of two triangles in pixels, coloured red."""
    corners = torch.tensor([[left, bottom], [right, bottom], [right, top], [left, top]])
    angle = torch.tensor(turned)
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    vertices = torch.nn.functional.pad(corners @ turn.T, (0, 1))
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return Mesh(vertices, faces, vertex_colors=torch.tensor([[1.0, 0.0, 0.0]]).expand(4, 3))


def coverage(mesh: Mesh) -> torch.Tensor:
    return Antialiased().silhouette(mesh, CAMERA).sum()


def test_coverage_of_a_rectangle_is_its_area():
    """In the middle of a side: in the corners a pixel may show the triangle that the side is not of."""
    seen = Antialiased().silhouette(square(-3.3, 2.4, -9.0, 9.0), CAMERA)
    assert torch.allclose(seen.sum(2)[:, 2:-2], torch.full((1, 12), 5.7), atol=1e-5)
    seen = Antialiased().silhouette(square(-9.0, 9.0, -3.3, 2.4), CAMERA)
    assert torch.allclose(seen.sum(1)[:, 2:-2], torch.full((1, 12), 5.7), atol=1e-5)


@pytest.mark.parametrize("turned", [0.0, 0.3])
def test_gradient_is_that_of_the_area(turned):
    """Each side that moves outwards by one adds about its length."""
    mesh = square(-3.3, 2.4, -4.2, 3.1, turned)
    vertices = mesh.vertices.clone().requires_grad_()
    (slope,) = torch.autograd.grad(coverage(mesh.with_vertices(vertices)), vertices)
    growth = float((slope * mesh.vertices).sum())
    # The area grows as the square of the size.
    assert growth == pytest.approx(2 * 5.7 * 7.3, rel=0.2)


def test_gradient_is_that_of_finite_differences():
    """Of points and colours, where no pixel changes hands."""
    sphere = shapes.icosphere(1)
    # Turned, so that no vertex lies behind another one.
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    mesh = sphere.with_vertices(5.3 * sphere.vertices @ turn + 0.13)
    image = SoftRasterizer.hard()(mesh, CAMERA, face_ids=True)
    pixels = image.alpha[..., None].double().expand(-1, -1, -1, 2).clone()
    pixels[..., 1] *= torch.rand(16, 16, generator=generator)
    points = CAMERA.project(mesh.vertices)[..., :2].double()
    edges, depth = Edges(mesh.faces), image.depth.double()

    def blended(pixels, points):
        return antialiased(pixels, image.face_ids, depth, points, edges)

    assert torch.autograd.gradcheck(
        blended, (pixels.requires_grad_(), points.requires_grad_()), fast_mode=True
    )


def test_edges_within_a_surface_are_left_alone():
    mesh = square(-20.0, 20.0, -20.0, 20.0)
    assert torch.equal(Antialiased().silhouette(mesh, CAMERA), torch.ones(1, 16, 16))


def test_colors_blend_as_coverage_does():
    renderer, mesh = Antialiased(), square(-3.3, 2.4, -4.2, 3.1)
    color, alpha = renderer.color(mesh, CAMERA), renderer.silhouette(mesh, CAMERA)
    assert torch.allclose(color[..., 0], alpha, atol=1e-6)
    assert not color[..., 1:].any()
