"""The hard renderer against an independent z-buffer: rays through pixel centres, in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import taichisoft as ts
from tests.helpers import pixel_camera, soft, soup_faces, uniform

BACKGROUND = (0.125, 0.5)
# Of faces nearer to each other than this, relative to their depth, rounding tells which is seen.
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}


def rays(camera: ts.Camera, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Origin and direction of a ray in camera coordinates; its parameter is the depth."""
    k = camera.intrinsics[0].double().numpy()
    pixel = np.array([column + 0.5, row + 0.5])
    xy = np.linalg.solve(k[:2, :2], pixel - k[:2, 2])
    if camera.perspective:
        return np.zeros(3), np.array([xy[0], xy[1], 1.0])
    return np.array([xy[0], xy[1], 0.0]), np.array([0.0, 0.0, 1.0])


def hits(corners: np.ndarray, origin: np.ndarray, direction: np.ndarray, near: float = 0.01):
    """Faces that a ray meets: their indices, depths and barycentric coordinates, nearest first."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(direction, ac)
    volume = (ab * across).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = ((origin - a) * across).sum(1) / volume
        side = np.cross(origin - a, ab)
        v = (direction * side).sum(1) / volume
        t = (ac * side).sum(1) / volume
    met = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1) & (t > near))
    met = met[np.argsort(t[met])]
    return met, t[met], np.stack([1 - u - v, u, v], 1)[met]


def z_buffer(mesh: ts.Mesh, camera: ts.Camera, rounding: float):
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
            faces, t, weights = hits(corners, *rays(camera, row, column), camera.near)
            if len(faces):
                alpha[row, column], depth[row, column] = 1, t[0]
                color[row, column] = weights[0] @ colors[faces[0]]
                near_tie[row, column] = len(faces) > 1 and t[1] - t[0] < rounding * t[0]
    return alpha, depth, color, near_tie


def assert_matches(mesh: ts.Mesh, camera: ts.Camera, dtype, *, ties: float):
    """Compare alpha everywhere, and depth and colour where it is certain which face is nearest."""
    image = ts.SoftRasterizer.hard(background=BACKGROUND)(
        mesh.to(dtype=dtype), camera.to(dtype=dtype)
    )
    alpha, depth, color, near_tie = z_buffer(mesh, camera, ROUNDING[dtype])
    assert 0.1 < alpha.mean() < 0.95, "the scene should cover a part of the image"
    assert near_tie.mean() <= ties
    np.testing.assert_array_equal(image.alpha[0].numpy(), alpha)
    allowed = 1e-9 if dtype == torch.float64 else 2e-4
    clear = ~near_tie
    farthest = depth.max()
    np.testing.assert_allclose(
        image.depth[0].numpy()[clear], depth[clear], atol=allowed * farthest, rtol=0
    )
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


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_scale_of_the_scene(unit, dtype):
    generator = torch.Generator().manual_seed(9)
    mesh = layered_soup(generator, 25, 1.5, 2.0)
    # Layers a thousand times as thin: neighbours are 1e-4 units apart, and 1e-7 in the smallest scene.
    thin = mesh.vertices * torch.tensor([1.0, 1.0, 1e-3]) + torch.tensor([0.0, 0.0, 4.0])
    mesh = ts.Mesh(unit * thin.double(), mesh.faces, mesh.vertex_colors.double())
    camera = ts.Camera.from_opencv(
        torch.tensor([[24.0, 0.3, 15.1], [0.0, 22.0, 10.2], [0.0, 0.0, 1.0]]),
        torch.eye(3),
        torch.zeros(3),
        (21, 30),
        near=0.01 * unit,
    ).to(dtype=torch.float64)
    assert_matches(mesh, camera, dtype, ties=0.0 if dtype == torch.float64 else 0.2)


@pytest.mark.parametrize("unit", [1e-2, 1.0, 1e3])
def test_nothing_of_a_ball_inside_another_is_seen(unit, dtype):
    ball = ts.shapes.icosphere(2)
    both = torch.cat([ball.vertices, 0.98 * ball.vertices]) * unit
    faces = torch.cat([ball.faces, ball.faces + ball.num_vertices])
    green = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat_interleave(ball.num_faces, 0)
    camera = ts.Camera.look_at((0, 0, 3 * unit), fov=45, image_size=(32, 32), near=1e-3 * unit)
    for order in (slice(None), torch.arange(len(faces)).flip(0)):
        mesh = ts.Mesh(both.to(dtype), faces[order], face_colors=green[order].to(dtype))
        image = ts.SoftRasterizer.hard()(mesh, camera.to(dtype=dtype))
        assert float(image.alpha.sum()) > 400
        assert float(image.color[..., 1].abs().max()) == 0
        torch.testing.assert_close(image.color[..., 0], image.alpha)


def test_of_coincident_faces_the_one_with_the_smaller_index_is_seen(dtype):
    corners = torch.tensor([[1.0, 1, 2], [1, 14, 2.5], [14, 3, 3], [15, 15, 4]], dtype=dtype)
    faces = torch.tensor([[0, 1, 2], [1, 2, 3], [0, 1, 2]])
    colors = torch.eye(3, dtype=dtype)
    camera = pixel_camera(16, 16, dtype)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        mesh = ts.Mesh(corners, faces[order], face_colors=colors[order])
        image = ts.SoftRasterizer.hard()(mesh, camera, face_ids=True)
        seen = image.face_ids[0]
        first = min(order.index(0), order.index(2))
        doubled = [place for place in range(3) if order[place] != 1]
        assert not bool((seen == max(doubled)).any())
        at = seen == first
        assert int(at.sum()) > 50
        torch.testing.assert_close(
            image.color[0][at], colors[order[first]].expand(int(at.sum()), 3)
        )


@pytest.mark.parametrize("perspective", [True, False])
def test_of_level_faces_that_overlap_the_one_with_the_smallest_index_is_seen(perspective, dtype):
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(40, 3, 2, generator=generator, dtype=torch.float64) * 2 - 1
    flat = torch.cat([corners, torch.full((40, 3, 1), 0.3, dtype=torch.float64)], -1).reshape(-1, 3)
    mesh = ts.Mesh(flat.to(dtype), soup_faces(40))
    make = ts.Camera.look_at if perspective else ts.Camera.orthographic
    camera = make((0.0, 0.0, 2.0), image_size=(24, 24), dtype=dtype)
    colors = torch.arange(40.0, dtype=dtype)[:, None]
    image = ts.SoftRasterizer.hard()(mesh, camera, colors)
    within = torch.stack(
        [
            ts.SoftRasterizer.hard().silhouette(ts.Mesh(mesh.vertices, face[None]), camera)[0]
            for face in mesh.faces
        ]
    )
    first = within.argmax(0).to(dtype)
    seen = within.any(0)
    assert (within.sum(0) > 1).float().mean() > 0.5
    assert torch.equal(image.color[0, ..., 0][seen].round(), first[seen])


def test_permuted_faces(dtype):
    mesh = layered_soup(torch.Generator().manual_seed(3), 12, 6.0, 1.0).to(dtype=dtype)
    mesh = ts.Mesh(mesh.vertices + torch.tensor([8, 8, 0]), mesh.faces, mesh.vertex_colors)
    camera = pixel_camera(16, 16, dtype)
    image = ts.SoftRasterizer.hard()(mesh, camera)
    order = torch.randperm(mesh.num_faces, generator=torch.Generator().manual_seed(1))
    other = ts.SoftRasterizer.hard()(
        ts.Mesh(mesh.vertices, mesh.faces[order], mesh.vertex_colors), camera
    )
    for name in ("alpha", "depth", "color"):
        assert torch.equal(getattr(image, name), getattr(other, name)), name


def test_gradient_of_colour_with_respect_to_vertices_is_that_of_interpolation(dtype):
    # A ramp from 0 to 1 between x = 2 and x = 12, in front of something wholly covered: moving the right
    # edge by one stretches the ramp, d (x - 2) / (edge - 2) / d edge.
    corners = torch.tensor([[2.0, -99, 2], [2, 99, 2], [12, -99, 2], [12, 99, 2]], dtype=dtype)
    wall = torch.tensor([[-99.0, -99, 5], [-99, 300, 5], [300, -99, 5]], dtype=dtype)
    edge = torch.tensor(12.0, dtype=dtype, requires_grad=True)
    moved = torch.where(corners == 12, edge, corners)
    faces = torch.tensor([[0, 1, 2], [1, 2, 3], [4, 5, 6]])
    colors = torch.tensor([0.0, 0, 1, 1, 0.5, 0.5, 0.5], dtype=dtype)[:, None]
    mesh = ts.Mesh(torch.cat([moved, wall]), faces, colors)
    image = ts.SoftRasterizer.hard()(mesh, pixel_camera(3, 16, dtype))
    x = torch.arange(16, dtype=dtype) + 0.5
    on_ramp = (x > 2) & (x < 12)
    expected = torch.where(on_ramp, (x - 2) / 10, 0.5)
    torch.testing.assert_close(image.color[0, 1, :, 0].detach(), expected, atol=1e-5, rtol=0)
    weight = torch.linspace(1, 2, 16, dtype=dtype)
    (slope,) = torch.autograd.grad((image.color[0, 1, :, 0] * weight).sum(), edge)
    by_edge = torch.where(on_ramp, -(x - 2) / 100, 0)
    torch.testing.assert_close(slope, (by_edge * weight).sum(), atol=1e-4, rtol=0)


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


@pytest.mark.parametrize("kind", ROUNDING, ids=str)
def test_no_pixel_on_a_common_edge_is_left_out(kind, dtype):
    if dtype is torch.float32 and kind is torch.float64:
        kind = dtype
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(24, 24), dtype=kind)
    square = torch.tensor([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]], dtype=kind)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    renderer = ts.SoftRasterizer.hard()
    # The diagonal goes through the centres of pixels, but for how its ends are rounded.
    for size in torch.linspace(1, 7, 50, dtype=kind):
        alpha = renderer.silhouette(ts.Mesh(size * square, faces), camera)
        assert alpha.min() == 1, f"{int((alpha < 1).sum())} pixels are open at {float(size):g}"
