"""Occlusion: the depth softmax, what it blends, and that it follows neither order nor offset."""

from __future__ import annotations

import math

import pytest
import torch

import taichisoft as ts
from taichisoft.table import tabulate
from tests.helpers import assert_close, pixel_camera, soft, soup_setup

IMAGE = (9, 9)
BIG = [[-90.0, -90.0], [99.0, -90.0], [4.0, 99.0]]


def layers(depths: list[float], dtype) -> ts.Mesh:
    """Big triangles that cover the image, one per depth, each with a colour channel of its own."""
    corners = [[*xy, z] for z in depths for xy in BIG]
    vertices = torch.tensor(corners, dtype=dtype)
    colors = torch.eye(len(depths), dtype=dtype)
    return ts.Mesh(vertices, torch.arange(len(vertices)).reshape(-1, 3), face_colors=colors)


def weights_of(depths: list[float], gamma: float, dtype) -> torch.Tensor:
    with torch.no_grad():
        image = soft(gamma=gamma, background=0.0)(
            layers(depths, dtype), pixel_camera(*IMAGE, dtype)
        )
    return image.color[0, 4, 4].double()


def test_curve():
    occlusion = ts.DepthSoftmax(0.1).requires_grad_(False)
    u = torch.linspace(-20, 0, 2001, dtype=torch.float64)
    z = occlusion(u)
    assert float(z[-1]) == 1
    assert float(z.diff().min()) >= 0
    assert float(z[u <= occlusion.domain().low].max()) == 0
    torch.testing.assert_close(z, u.exp(), atol=2e-7, rtol=0)


@torch.no_grad()
def test_error_of_tabulation():
    occlusion = ts.DepthSoftmax(0.1)
    u = torch.linspace(-16, 0, 50_001, dtype=torch.float64)
    table = tabulate(occlusion, occlusion(u[-1]), occlusion.domain())
    found = float((table(u) - occlusion(u)).abs().max())
    assert 1e-10 < found < 3e-10


@pytest.mark.parametrize("depths", [[1.0, 1.1], [1.1, 1.0], [2.0, 1.0, 1.3], [1.2, 1.0, 1.1, 1.05]])
@pytest.mark.parametrize("gamma", [0.05, 0.2])
def test_covered_pixels_show_the_softmax_of_depth(depths, gamma, dtype):
    expected = torch.softmax(-torch.tensor(depths, dtype=torch.float64) / gamma, 0)
    assert_close(weights_of(depths, gamma, dtype), expected, 2e-5, "weights")


def test_small_gamma_shows_the_front_face_alone(dtype):
    assert_close(
        weights_of([2.0, 1.0, 1.5], 1e-3, dtype),
        torch.tensor([0.0, 1.0, 0.0]).double(),
        2e-6,
        "weights",
    )


def test_large_gamma_shows_the_mean(dtype):
    expected = torch.full((3,), 1 / 3, dtype=torch.float64)
    assert_close(weights_of([2.0, 1.0, 1.5], 1e5, dtype), expected, 1e-4, "weights")


def test_depth_is_the_weighted_mean(dtype):
    depths, gamma = [1.0, 1.1], 0.1
    with torch.no_grad():
        image = soft(gamma=gamma)(layers(depths, dtype), pixel_camera(*IMAGE, dtype))
    share = 1 / (1 + math.exp(-1))
    assert float(image.depth[0, 4, 4]) == pytest.approx(share * 1.0 + (1 - share) * 1.1, abs=1e-6)


def test_a_common_depth_offset_changes_nothing(dtype):
    setup = soup_setup(3, 8, (12, 15))
    results = []
    for offset in (0.0, 64.0):
        leaves = {n: x.to(dtype) for n, x in setup.leaves.items()}
        leaves["vertices"] = leaves["vertices"] + torch.tensor([0, 0, offset], dtype=dtype)
        with torch.no_grad():
            results.append(soft()(*setup.build(leaves)))
    # In float32 an offset of 64 rounds depths to 4e-6.
    allowed = 1e-10 if dtype == torch.float64 else 2e-4
    assert_close(results[1].color, results[0].color, allowed, "colour")
    reached = results[0].alpha > 0.01
    assert_close((results[1].depth - 64)[reached], results[0].depth[reached], allowed, "depth")


def test_gamma_gradient_has_the_chain_factor_of_its_logarithm(dtype):
    depths, gamma = [1.0, 1.1], 0.1
    renderer = soft(gamma=gamma)
    color = renderer(layers(depths, dtype), pixel_camera(*IMAGE, dtype)).color[0, 4, 4, 1]
    (gradient,) = torch.autograd.grad(color, renderer.occlusion.gamma.log_value)
    # share = 1 / (1 + exp(dz / gamma)); d share / d log gamma = share (1 - share) dz / gamma
    share = 1 / (1 + math.e)
    assert float(gradient) == pytest.approx(share * (1 - share) * 1.0, rel=2e-4)


def test_depth_gradient_orders_the_layers(dtype):
    mesh = layers([1.0, 1.1], dtype)
    vertices = mesh.vertices.clone().requires_grad_()
    image = soft(gamma=0.1)(mesh.with_vertices(vertices), pixel_camera(*IMAGE, dtype))
    (gradient,) = torch.autograd.grad(image.color[0, 4, 4, 0], vertices)
    share = 1 / (1 + math.exp(-1))
    slope = share * (1 - share) / 0.1
    assert float(gradient[:3, 2].sum()) == pytest.approx(-slope, rel=1e-3)
    assert float(gradient[3:, 2].sum()) == pytest.approx(slope, rel=1e-3)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"value must be finite and greater than 0, got 0"):
        ts.DepthSoftmax(0.0)
    with pytest.raises(TypeError, match="value must be a number"):
        ts.DepthSoftmax("deep")
    with pytest.raises(TypeError, match="occlusion must be a Occlusion"):
        ts.SoftRasterizer(occlusion=0.1)
