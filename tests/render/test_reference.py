"""The twin against hand computation: distances, nearest points, and perspective."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import pixel_camera, soft, soup, soup_setup


def distance_by_hand(triangle: np.ndarray, point: np.ndarray) -> tuple[float, np.ndarray]:
    """Signed distance, and the nearest point of the triangle, by densely sampled edges."""
    t = np.linspace(0, 1, 20_001)[:, None]
    edges = [(triangle[e], triangle[(e + 1) % 3]) for e in range(3)]
    samples = np.concatenate([(1 - t) * a + t * b for a, b in edges])
    gaps = np.linalg.norm(samples - point, axis=1)
    a, b, c = triangle
    corners = np.array([b - a, c - a]).T
    u, v = np.linalg.solve(corners, point - a)
    if u >= 0 and v >= 0 and u + v <= 1:
        return gaps.min(), point
    return -gaps.min(), samples[gaps.argmin()]


@pytest.mark.parametrize("seed", range(3))
def test_distances_and_nearest_points(seed):
    generator = torch.Generator().manual_seed(seed)
    triangles = soup(generator, 4, 5, 6, 5.0).reshape(4, 3, 3)[..., :2]
    pairs = reference.fragments(triangles, (5, 6))
    points = (pairs.barycentric @ triangles).numpy()
    for face in range(4):
        for pixel in range(30):
            centre = np.array([pixel % 6 + 0.5, pixel // 6 + 0.5])
            distance, nearest = distance_by_hand(triangles[face].numpy(), centre)
            assert float(pairs.distance[face, pixel]) == pytest.approx(distance, abs=1e-5)
            assert points[face, pixel] == pytest.approx(nearest, abs=2e-3)
    assert float(pairs.barycentric.sum(-1).sub(1).abs().max()) < 1e-12
    assert float(pairs.barycentric.min()) > -1e-12


def test_winding_does_not_matter():
    triangles = soup(torch.Generator().manual_seed(5), 5, 7, 8, 5.0).reshape(5, 3, 3)[..., :2]
    one = reference.fragments(triangles, (7, 8))
    other = reference.fragments(triangles.flip(1), (7, 8))
    torch.testing.assert_close(one.distance, other.distance, atol=1e-12, rtol=0)
    torch.testing.assert_close(one.barycentric, other.barycentric.flip(-1), atol=1e-12, rtol=0)


def test_one_face_by_hand():
    # A half-plane x < 4 in effect: coverage, optical depth and colour of a row can be written down.
    corners = torch.tensor([[4.0, -500, 2], [4, 500, 2], [-900, 0, 2]], dtype=torch.float64)
    color = torch.full((3, 1), 0.8, dtype=torch.float64)
    renderer = soft("logistic", scale=0.5, background=0.2)
    mesh = ts.Mesh(corners, torch.tensor([[0, 1, 2]]), color)
    image = reference.render(renderer, mesh, pixel_camera(1, 8))
    s = (4 - (torch.arange(8, dtype=torch.float64) + 0.5)) / 0.5
    tail = 1e-4
    expected = ((torch.sigmoid(s) - tail) / (1 - tail)).clamp(min=0)
    torch.testing.assert_close(image.alpha[0, 0].detach(), expected, atol=2e-6, rtol=0)
    blend = 0.8 * expected + 0.2 * (1 - expected)
    torch.testing.assert_close(image.color[0, 0, :, 0].detach(), blend, atol=2e-6, rtol=0)
    assert bool((image.depth[0, 0].detach() - 2).abs().max() < 1e-12)


def test_perspective_correct_interpolation():
    # A floor that recedes: halfway between its ends in the image is not halfway in depth.
    near, far = 1.0, 4.0
    corners = torch.tensor(
        [[-near, 0.5, near], [near, 0.5, near], [far, 0.5, far], [-far, 0.5, far]],
        dtype=torch.float64,
    )
    colors = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    mesh = ts.Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), colors)
    camera = ts.Camera.from_opencv(
        [[10.0, 0, 8], [0, 10, 8], [0, 0, 1]], np.eye(3), [0.0, 0, 0], (16, 16), dtype=torch.float64
    )
    image = ts.SoftRasterizer.hard()
    picture = reference.render(image, mesh, camera)
    for row in range(10, 13):
        depth = 0.5 * 10 / (row + 0.5 - 8)
        assert float(picture.depth[0, row, 8]) == pytest.approx(depth, abs=1e-9)
        expected = (depth - near) / (far - near)
        assert float(picture.color[0, row, 8, 0]) == pytest.approx(expected, abs=1e-9)


def test_tables_and_functions_agree_to_the_error_of_tabulation():
    setup = soup_setup(3, 8, (12, 15))
    renderer = soft("logistic")
    arguments = setup.build(setup.leaves)
    with torch.no_grad():
        exact = reference.render(renderer, *arguments)
        tabulated = reference.render(renderer, *arguments, tabulated=True)
    found = float((exact.alpha - tabulated.alpha).abs().max())
    assert 0 < found < 1e-6
    assert float((exact.color - tabulated.color).abs().max()) < 1e-4


def test_second_derivative_of_a_coverage_by_hand():
    # alpha = F(d / scale) with d = 4 - x: the second derivative by the edge is F'' / scale^2.
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    corners = torch.tensor([[4.0, -500, 2], [4, 500, 2], [-900, 0, 2]], dtype=torch.float64)
    moved = corners + shift * torch.tensor([1.0, 0, 0], dtype=torch.float64)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), ts.Max())
    mesh = ts.Mesh(moved, torch.tensor([[0, 1, 2]]))
    alpha = reference.render(renderer, mesh, pixel_camera(1, 8)).alpha[0, 0, 5]
    (first,) = torch.autograd.grad(alpha, shift, create_graph=True)
    (second,) = torch.autograd.grad(first, shift)
    density = math.exp(-(1.5**2) / 2) / math.sqrt(2 * math.pi)
    assert float(first.detach()) == pytest.approx(density, rel=2e-4)
    assert float(second) == pytest.approx(1.5 * density, rel=2e-4)
