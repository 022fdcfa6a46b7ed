"""Faces without area, at the image, the camera and the limits of the number format; empty scenes."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from tests.helpers import AGGREGATIONS, assert_close, pixel_camera, soft

IMAGE = (13, 17)
# Corners in pixel coordinates and depth; (8.5, 6.5) is the centre of a pixel.
CASES = {
    "zero area": [[3, 3, 1], [6, 6, 1], [9, 9, 1]],
    "zero area, through pixel centres": [[2.5, 2.5, 1], [5.5, 5.5, 1], [8.5, 8.5, 1]],
    "zero area, horizontal": [[3, 6.5, 1], [12, 6.5, 1], [7, 6.5, 1]],
    "zero-length edge": [[3, 3, 1], [3, 3, 1], [9, 7, 1]],
    "all vertices equal": [[4, 4, 1], [4, 4, 1], [4, 4, 1]],
    "all vertices at a pixel centre": [[8.5, 6.5, 1], [8.5, 6.5, 1], [8.5, 6.5, 1]],
    "two vertices at one pixel, other depths": [[5, 5, 1], [5, 5, 2], [11, 9, 1]],
    "edge-on: another depth only": [[5, 5, 1], [5, 5, 2], [5, 5, 3]],
    "vertex at a pixel centre": [[8.5, 6.5, 1], [14, 3, 1], [14, 10, 1]],
    "edge through pixel centres": [[8.5, 1.5, 1], [8.5, 11.5, 1], [2, 6, 1]],
    "sliver": [[1, 6.5, 1], [16, 6.5001, 1], [8, 6.50005, 1]],
    "sliver below rounding": [[1, 6.5, 1], [16, 6.5 + 1e-7, 1], [8, 6.5, 1]],
    "subpixel": [[8.4, 6.4, 1], [8.401, 6.4, 1], [8.4, 6.401, 1]],
    "one huge coordinate": [[8, 3, 1], [1e6, 6, 1], [8, 10, 1]],
    "huge coordinates around the image": [[-1e6, -1e6, 1], [1e6, -1e6, 1], [0, 1e6, 1]],
    "huge coordinates far outside": [[1e6, 1e6, 1], [1.1e6, 1e6, 1], [1e6, 1.1e6, 1]],
    "out of view": [[-60, 3, 1], [-50, 3, 1], [-55, 9, 1]],
    "needle across the image": [[-1e5, 6.3, 1], [1e5, 6.4, 1], [1e5, 6.5, 1]],
}
NORMAL = [[3, 2, 1.5], [13, 4, 1.2], [6, 11, 1.8]]


def render(corners, dtype, aggregation="probabilistic", coverage="gaussian"):
    """Return the image of faces, (F, 3, 3), and its gradients with respect to corners, colours, softness."""
    vertices = torch.tensor(corners, dtype=dtype).reshape(-1, 3).requires_grad_()
    count = len(vertices)
    colors = torch.linspace(0.1, 0.9, 3 * count, dtype=dtype).reshape(count, 3).requires_grad_()
    renderer = soft(coverage, aggregation)
    faces = torch.arange(count).reshape(-1, 3)
    image = renderer(ts.Mesh(vertices, faces, colors), pixel_camera(*IMAGE, dtype))
    weights = torch.linspace(0.5, 1.5, IMAGE[0] * IMAGE[1], dtype=dtype).reshape(1, *IMAGE)
    loss = (image.alpha * weights).sum() + (image.depth * weights).sum()
    loss = loss + (image.color * weights[..., None]).sum()
    wanted = [vertices, colors, *renderer.parameters()]
    return image, torch.autograd.grad(loss, wanted)


def assert_finite(image, gradients):
    for name in ("alpha", "depth", "color"):
        assert bool(getattr(image, name).isfinite().all()), name
    assert float(image.alpha.detach().min()) >= 0
    assert float(image.alpha.detach().max()) <= 1
    for gradient in gradients:
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("coverage", ["gaussian", "gamma_reversed_half", "uniform", "spline"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("case", CASES)
def test_finite_image_and_gradients(case, aggregation, coverage, dtype):
    assert_finite(*render([CASES[case]], dtype, aggregation, coverage))


@pytest.mark.parametrize("case", CASES)
def test_images_of_a_batch_do_not_disturb_each_other(case, dtype, tolerance):
    faces, camera = torch.tensor([[0, 1, 2]]), pixel_camera(*IMAGE, dtype)
    renderer = soft()

    def images(*corners):
        vertices = torch.tensor(corners, dtype=dtype).requires_grad_()
        image = renderer(ts.Mesh(vertices, faces), camera)
        (gradient,) = torch.autograd.grad(image.alpha.sum() + image.depth.sum(), vertices)
        return image.alpha.detach(), gradient

    alone, gradient_alone = images(NORMAL)
    together, gradient_together = images(CASES[case], NORMAL)
    assert torch.equal(together[1], alone[0])
    # The work is cut differently, so sums are taken in another order.
    assert_close(gradient_together[1], gradient_alone[0], tolerance.value, "gradient")


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("case", ["huge coordinates far outside", "out of view"])
def test_faces_out_of_view_change_nothing(case, aggregation, dtype):
    image, gradients = render([NORMAL], dtype, aggregation)
    both, both_gradients = render([NORMAL, CASES[case]], dtype, aggregation)
    assert torch.equal(both.alpha, image.alpha)
    assert torch.equal(both_gradients[0][3:], torch.zeros_like(gradients[0]))


def test_segment_has_the_distance_of_its_line(dtype):
    # A face without area is seen from outside: coverage one half on it, and less away from it.
    image, _ = render([CASES["zero area, horizontal"]], dtype)
    column = image.alpha[0, :, 7].detach()
    assert abs(float(column[6]) - 0.5) < 1e-3
    expected = torch.special.ndtr(-torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    for side in (column[7:10], column[[5, 4, 3]]):
        assert_close(side.double(), expected, 1e-3, "coverage beside a segment")


def gradient_at(corners, dtype, row: int, column: int) -> torch.Tensor:
    vertices = torch.tensor(corners, dtype=dtype).requires_grad_()
    mesh = ts.Mesh(vertices, torch.tensor([[0, 1, 2]]))
    alpha = soft()(mesh, pixel_camera(*IMAGE, dtype)).alpha[0, row, column]
    (gradient,) = torch.autograd.grad(alpha, vertices)
    return gradient


SLOPE = 1 / (2 * torch.pi) ** 0.5


def test_pixel_on_an_edge_has_the_full_slope(dtype):
    # The edge at x = 8.5 with the inside to the left: moving it right by 1 raises D by the slope.
    gradient = gradient_at(CASES["edge through pixel centres"], dtype, 6, 8)
    assert abs(float(gradient[:, 0].sum()) / SLOPE - 1) < 1e-3
    assert abs(float(gradient[:, 1].sum())) < 1e-6
    assert abs(float(gradient[0, 0] / gradient[1, 0]) - 1) < 1e-5


def test_pixel_on_a_vertex_has_a_gradient(dtype):
    gradient = gradient_at(CASES["vertex at a pixel centre"], dtype, 6, 8)
    assert bool(gradient.isfinite().all())
    # There it is set-valued: a unit normal of one of the edges that meet, times the slope.
    assert abs(float(gradient.sum(0).norm()) / SLOPE - 1) < 1e-3


@pytest.mark.parametrize("side", [-1e-3, 1e-3])
def test_gradient_is_continuous_across_an_edge(side, dtype):
    corners = torch.tensor(CASES["edge through pixel centres"], dtype=torch.float64)
    moved = corners + torch.tensor([side, 0.0, 0.0])
    there = gradient_at(corners.tolist(), dtype, 6, 8)
    beside = gradient_at(moved.tolist(), dtype, 6, 8)
    assert_close(beside.double(), there.double(), 2e-3, "gradient")


def camera(dtype) -> ts.Camera:
    return ts.Camera.look_at((0.0, 0.0, 3.0), fov=45, image_size=IMAGE, near=0.1, dtype=dtype)


CROSSING = {
    "vertex on the camera plane": [[0, 0.5, 3.0], [-0.5, 0, 0], [0.5, 0, 0]],
    "vertex at the camera": [[0, 0, 3.0], [-0.5, -0.1, 0], [0.5, 0.1, 0]],
    "crossing the near plane": [[0, 0.2, 2.95], [-0.5, 0, 0], [0.5, 0, 0]],
    "crossing the camera plane": [[0, 0.2, 5.0], [-0.5, 0, 0], [0.5, 0, 0]],
    "crossing far behind the camera": [[0, 0.2, 1e6], [-0.5, -0.4, 0], [0.5, -0.4, 0]],
    "edge behind the camera": [[0, -0.4, 0], [-0.5, -0.3, 5.0], [0.5, -0.3, 5.0]],
}
BEHIND = {
    "behind the camera": [[0, 0.5, 6.0], [-0.5, 0, 6.0], [0.5, 0, 6.0]],
    "far behind the camera": [[0, 0.5, 1e6], [-0.5, 0, 1e6], [0.5, 0, 1e6]],
    "between the camera and the near plane": [[0, 0.01, 2.95], [-0.01, 0, 2.95], [0.01, 0, 2.95]],
}


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("case", BEHIND)
def test_faces_before_the_near_plane_are_not_drawn(case, aggregation, dtype):
    image, gradients = render_before_camera(BEHIND[case], aggregation, dtype)
    assert image.alpha.abs().max() == 0
    assert image.depth.abs().max() == 0
    assert bool((image.color == 0.25).all())
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("case", CROSSING)
def test_faces_that_cross_the_near_plane_are_drawn_with_finite_gradients(case, aggregation, dtype):
    image, gradients = render_before_camera(CROSSING[case], aggregation, dtype)
    assert float(image.alpha.detach().max()) > 0.4  # the one through the camera is seen edge-on
    assert_finite(image, gradients)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def render_before_camera(corners, aggregation, dtype):
    vertices = torch.tensor(corners, dtype=dtype).requires_grad_()
    colors = torch.rand(3, 2, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    mesh = ts.Mesh(vertices, torch.tensor([[0, 1, 2]]), colors)
    image = soft(aggregation=aggregation)(mesh, camera(dtype))
    loss = image.alpha.sum() + image.depth.sum() + image.color.sum()
    return image, torch.autograd.grad(loss, [vertices, colors])


@pytest.mark.parametrize("case", BEHIND)
def test_faces_before_the_near_plane_hide_nothing(case, dtype, tolerance):
    normal = torch.tensor([[0, 0.9, 0], [-0.9, -0.5, 0], [0.9, -0.5, 0]], dtype=dtype)
    culled = torch.tensor(BEHIND[case], dtype=dtype)
    results = []
    for vertices in (normal, torch.cat([culled, normal])):
        leaf = vertices.clone().requires_grad_()
        mesh = ts.Mesh(leaf, torch.arange(len(leaf)).reshape(-1, 3), leaf.detach().abs())
        image = soft()(mesh, camera(dtype))
        (gradient,) = torch.autograd.grad(image.color.sum() + image.depth.sum(), leaf)
        results.append((image.color.detach(), gradient[-3:]))
    # To be clipped, the second one is drawn in another way.
    assert_close(results[0][0], results[1][0], 1e-6, "color")
    assert_close(results[1][1], results[0][1], tolerance.value, "gradient")


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_vertex_just_behind_the_near_plane_is_drawn(aggregation, dtype):
    corners = [[0, 0.2, 2.89], [-0.5, 0, 0], [0.5, 0, 0]]
    mesh = ts.Mesh(torch.tensor(corners, dtype=dtype), torch.tensor([[0, 1, 2]]))
    assert float(soft(aggregation=aggregation)(mesh, camera(dtype)).alpha.detach().max()) > 0.5


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("vertex_count", [0, 4])
def test_mesh_without_faces(vertex_count, aggregation, dtype):
    vertices = torch.rand(vertex_count, 3, dtype=dtype).requires_grad_()
    colors = torch.rand(vertex_count, 3, dtype=dtype).requires_grad_()
    mesh = ts.Mesh(vertices, torch.zeros(0, 3, dtype=torch.int64), colors)
    renderer = soft(aggregation=aggregation)
    image = renderer(mesh, pixel_camera(*IMAGE, dtype, batch=2))
    assert image.alpha.shape == (2, *IMAGE)
    assert image.color.shape == (2, *IMAGE, 3)
    assert image.alpha.abs().max() == 0
    assert bool((image.color == 0.25).all())
    wanted = [vertices, colors, *renderer.parameters()]
    loss = image.alpha.sum() + image.depth.sum() + image.color.sum()
    for leaf, gradient in zip(wanted, torch.autograd.grad(loss, wanted), strict=True):
        assert torch.equal(gradient, torch.zeros_like(leaf))


def test_no_face_in_view(dtype):
    image, gradients = render([CASES["out of view"], CASES["huge coordinates far outside"]], dtype)
    assert image.alpha.abs().max() == 0
    assert all(gradient.abs().max() == 0 for gradient in gradients)


@pytest.mark.parametrize("scale", [1e-3, 50.0])
@pytest.mark.parametrize("case", CASES)
def test_extreme_scales(case, scale, dtype):
    vertices = torch.tensor([CASES[case], NORMAL], dtype=dtype).reshape(-1, 3).requires_grad_()
    renderer = soft("mlp", scale=scale, gamma=1e-3)
    mesh = ts.Mesh(vertices, torch.arange(6).reshape(2, 3), vertices.detach().clamp(0, 1))
    image = renderer(mesh, pixel_camera(*IMAGE, dtype))
    loss = image.alpha.sum() + image.depth.sum() + image.color.sum()
    assert_finite(image, torch.autograd.grad(loss, [vertices, *renderer.parameters()]))


LARGE_FACES = [
    [[-0.8, -0.6, 0], [0.7, -0.5, 0.2], [0.1, 0.9, -0.3]],
    [[-0.5, 0.7, 0.4], [0.6, 0.6, -0.6], [0, -0.9, 0.1]],
]


def every_derivative(vertices: torch.Tensor, camera: ts.Camera, gamma: float) -> list[torch.Tensor]:
    """Return alpha, depth and colour of two faces, and all their first and second derivatives."""
    generator = torch.Generator().manual_seed(0)
    colors = torch.rand(6, 3, generator=generator).to(vertices).requires_grad_()
    leaf = vertices.clone().requires_grad_()
    renderer = soft(gamma=gamma)
    image = renderer(ts.Mesh(leaf, torch.arange(6).reshape(2, 3), colors), camera)
    wanted = [leaf, colors, *renderer.parameters()]
    found = []
    for value in (image.alpha, image.depth, image.color):
        first = torch.autograd.grad(value.sum(), wanted, create_graph=True, materialize_grads=True)
        total = sum((g * torch.linspace(0.5, 1, g.numel()).to(g).view_as(g)).sum() for g in first)
        second = torch.autograd.grad(total, wanted, retain_graph=True, materialize_grads=True)
        found += [value, *first, *second]
    return [x.detach() for x in found]


@pytest.mark.parametrize("exponent", [9, 13, 15, 17, 19, 23, 30, 37])
@pytest.mark.parametrize("kind", ["look_at", "orthographic"])
def test_one_huge_coordinate_is_finite_or_refused_in_float32(kind, exponent):
    camera = getattr(ts.Camera, kind)((0.0, 0.2, 3.0), image_size=(12, 13))
    for axis in range(3):
        for sign in (1, -1):
            vertices = torch.tensor(LARGE_FACES).reshape(-1, 3)
            vertices[2, axis] = sign * 10.0**exponent
            found, refused = [], ""
            try:
                found = every_derivative(vertices, camera, 0.05)
            except ValueError as error:
                refused = str(error)
            assert all(bool(x.isfinite().all()) for x in found), (axis, sign)
            if not found:
                assert exponent > 13
                assert "vertices must be less than 1e+16 pixels" in refused


@pytest.mark.parametrize("exponent", [-12, -8, 8, 15])
def test_scenes_of_any_unit_in_float32(exponent, tolerance):
    # The same image in another unit: alpha and colour stay, depth is in that unit.
    unit = 10.0**exponent

    def scene(size: float) -> list[torch.Tensor]:
        eye = (0.0, 0.2 * size, 3.0 * size)
        camera = ts.Camera.look_at(eye, image_size=(12, 13), near=0.01 * size)
        vertices = size * torch.tensor(LARGE_FACES).reshape(-1, 3)
        return every_derivative(vertices, camera, 0.05 * size)

    found, usual = scene(unit), scene(1.0)
    assert all(bool(x.isfinite().all()) for x in found)
    per_value = len(usual) // 3
    for index, scaled in ((0, 1.0), (per_value, unit), (2 * per_value, 1.0)):
        assert_close(found[index] / scaled, usual[index], 1e-3, "an image in another unit")


def test_a_scene_beyond_the_limits_is_refused(dtype):
    limit = {torch.float32: 1e17, torch.float64: 1e30}[dtype]
    mesh = ts.Mesh(limit * torch.tensor(LARGE_FACES, dtype=dtype)[0], torch.tensor([[0, 1, 2]]))
    view = ts.Camera.look_at((0.0, 0.0, 3.0 * limit), image_size=(12, 13), dtype=dtype)
    with pytest.raises(ValueError, match=r"vertices must be less than .* in a depth of"):
        ts.SoftRasterizer()(mesh, view)
    # What is behind the camera is not drawn, wherever it is.
    away = ts.Camera.look_at(
        (0.0, 0.0, 3.0 * limit), (0.0, 0.0, 9.0 * limit), image_size=(12, 13), dtype=dtype
    )
    assert float(ts.SoftRasterizer()(mesh, away).alpha.max()) == 0
