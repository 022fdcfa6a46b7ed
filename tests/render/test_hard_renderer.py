"""The hard renderer against an independent z-buffer: rays through pixel centres, in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import taichisoft as ts
from tests.helpers import pixel_camera, soft, soup_faces, uniform

BACKGROUND = (0.125, 0.5)
# Faces nearer to each other than this are blended by the renderer; there it is no z-buffer.
BLENDED = 2e-3
NEAR = 0.01


def rays(camera: ts.Camera, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Origin and direction of a ray in camera coordinates; its parameter is the depth."""
    k = camera.intrinsics[0].double().numpy()
    pixel = np.array([column + 0.5, row + 0.5])
    xy = np.linalg.solve(k[:2, :2], pixel - k[:2, 2])
    if camera.perspective:
        return np.zeros(3), np.array([xy[0], xy[1], 1.0])
    return np.array([xy[0], xy[1], 0.0]), np.array([0.0, 0.0, 1.0])


def hits(corners: np.ndarray, origin: np.ndarray, direction: np.ndarray):
    """Faces that a ray meets: their indices, depths and barycentric coordinates, nearest first."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(direction, ac)
    volume = (ab * across).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = ((origin - a) * across).sum(1) / volume
        side = np.cross(origin - a, ab)
        v = (direction * side).sum(1) / volume
        t = (ac * side).sum(1) / volume
    met = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1) & (t > NEAR))
    met = met[np.argsort(t[met])]
    return met, t[met], np.stack([1 - u - v, u, v], 1)[met]


def z_buffer(mesh: ts.Mesh, camera: ts.Camera):
    """Alpha, depth, colour, and where two faces are too near to each other to tell."""
    rotation, translation = camera.rotation[0].double(), camera.translation[0].double()
    corners = (mesh.vertices.double() @ rotation.mT + translation)[mesh.faces].numpy()
    colors = mesh.vertex_colors.double()[mesh.faces].numpy()
    height, width = camera.image_size
    alpha, depth = np.zeros((height, width)), np.zeros((height, width))
    color = np.tile(np.array(BACKGROUND), (height, width, 1))
    near_tie = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            faces, t, weights = hits(corners, *rays(camera, row, column))
            if len(faces):
                alpha[row, column], depth[row, column] = 1, t[0]
                color[row, column] = weights[0] @ colors[faces[0]]
                near_tie[row, column] = len(faces) > 1 and t[1] - t[0] < BLENDED
    return alpha, depth, color, near_tie


def assert_matches(mesh: ts.Mesh, camera: ts.Camera, dtype, *, ties: float):
    """Compare alpha everywhere, and depth and colour where no two faces are blended."""
    image = ts.SoftRasterizer.hard(background=BACKGROUND)(
        mesh.to(dtype=dtype), camera.to(dtype=dtype)
    )
    alpha, depth, color, near_tie = z_buffer(mesh, camera)
    assert 0.1 < alpha.mean() < 0.95, "the scene should cover a part of the image"
    assert near_tie.mean() <= ties
    np.testing.assert_array_equal(image.alpha[0].numpy(), alpha)
    allowed = 1e-9 if dtype == torch.float64 else 2e-4
    clear = ~near_tie
    np.testing.assert_allclose(image.depth[0].numpy()[clear], depth[clear], atol=allowed, rtol=0)
    np.testing.assert_allclose(image.color[0].numpy()[clear], color[clear], atol=allowed, rtol=0)


def layered_soup(generator: torch.Generator, faces: int, spread: float, depth: float) -> ts.Mesh:
    """Random triangles, tilted within slabs of depth that do not overlap, in shuffled order."""
    slabs = torch.randperm(faces, generator=generator).double()
    z = depth + 0.2 * slabs[:, None] + uniform(generator, faces, 3, high=0.1)
    xy = uniform(generator, faces, 1, 2, low=-spread, high=spread)
    xy = xy + uniform(generator, faces, 3, 2, low=-spread, high=spread)
    vertices = torch.cat([xy, z[..., None]], -1).reshape(-1, 3).float()
    return ts.Mesh(vertices, soup_faces(faces), uniform(generator, 3 * faces, 2).float())


@pytest.mark.parametrize("seed", range(3))
def test_random_triangles_orthographic(seed, dtype):
    mesh = layered_soup(torch.Generator().manual_seed(seed), 25, 0.6, 1.0)
    intrinsics = torch.tensor([[[14.0, 0.3, 15.1], [0.0, 13.0, 10.2], [0.0, 0.0, 1.0]]])
    camera = ts.Camera(torch.eye(3)[None], torch.zeros(1, 3), intrinsics, (21, 30), False)
    assert_matches(mesh, camera, dtype, ties=0.0)


@pytest.mark.parametrize("seed", range(3))
def test_random_triangles_perspective(seed, dtype):
    mesh = layered_soup(torch.Generator().manual_seed(seed), 25, 1.5, 2.0)
    camera = ts.Camera.from_opencv(
        torch.tensor([[24.0, 0.3, 15.1], [0.0, 22.0, 10.2], [0.0, 0.0, 1.0]]),
        torch.eye(3),
        torch.zeros(3),
        (21, 30),
    )
    assert_matches(mesh, camera, dtype, ties=0.0)


@pytest.mark.parametrize("perspective", [True, False])
def test_closed_mesh_from_an_oblique_view(perspective, dtype):
    generator = torch.Generator().manual_seed(4)
    ball = ts.shapes.icosphere(2)
    bumps = uniform(generator, ball.num_vertices, 1, low=0.8, high=1.1).float()
    mesh = ts.Mesh(
        ball.vertices * bumps, ball.faces, uniform(generator, ball.num_vertices, 2).float()
    )
    view = {"eye": (0.9, 0.7, 2.3), "at": (0.1, 0.0, 0.05), "image_size": (29, 37)}
    camera = (
        ts.Camera.look_at(**view, fov=50)
        if perspective
        else ts.Camera.orthographic(**view, height=3)
    )
    assert_matches(mesh, camera, dtype, ties=0.01)


@pytest.mark.parametrize("aggregation", ["max", "probabilistic"])
def test_soft_alpha_tends_to_the_hard_one(aggregation, dtype):
    mesh = layered_soup(torch.Generator().manual_seed(7), 6, 0.6, 1.0)
    vertices = (mesh.vertices * torch.tensor([14.0, 14, 1]) + torch.tensor([15.0, 10, 0])).to(dtype)
    arguments = ts.Mesh(vertices, mesh.faces), pixel_camera(21, 30, dtype)
    hard = ts.SoftRasterizer.hard()(*arguments).alpha
    errors = [
        float(
            (soft("gaussian", aggregation, scale=s)(*arguments).alpha.detach() - hard).abs().mean()
        )
        for s in (1.0, 0.1, 0.01)
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 5e-3


def test_hard_renderer_passes_gradients_to_colours_alone(dtype):
    mesh = layered_soup(torch.Generator().manual_seed(7), 6, 6.0, 1.0).to(dtype=dtype)
    vertices = (mesh.vertices + torch.tensor([8, 8, 0])).requires_grad_()
    colors = mesh.vertex_colors.clone().requires_grad_()
    image = ts.SoftRasterizer.hard()(
        ts.Mesh(vertices, mesh.faces, colors), pixel_camera(16, 16, dtype)
    )
    (by_alpha,) = torch.autograd.grad(image.alpha.sum(), vertices, retain_graph=True)
    assert by_alpha.abs().max() == 0
    (by_color,) = torch.autograd.grad(image.color.sum(), colors)
    # Every covered pixel takes its colour from one face: its weights add up to 1 per channel.
    assert abs(float(by_color.sum() / image.alpha.detach().sum()) / 2 - 1) < 1e-5
