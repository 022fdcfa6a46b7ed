"""Properties of every occlusion function, what it blends, and that it follows neither order nor offset."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.render import reference
from taichisoft.softness.annealing import CosineAnnealing
from taichisoft.softness.occlusion import (
    DepthCurve,
    HardOcclusion,
    MLPOcclusion,
    MonotoneDepth,
    Occlusion,
)
from taichisoft.softness.tables.table import tabulate
from tests.helpers import assert_close, pixel_camera, soft, soup_setup
from tests.zoo.occlusion import OCCLUSIONS, randomised

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


@pytest.fixture(params=list(OCCLUSIONS))
def name(request) -> str:
    return request.param


@pytest.fixture
def occlusion(name) -> Occlusion:
    return OCCLUSIONS[name](0.3)


def grid(occlusion: Occlusion, count: int = 4001) -> torch.Tensor:
    """Points from behind the cut-off to the front."""
    return torch.linspace(1.1 * occlusion.domain().low, 0, count, dtype=torch.float64)


@torch.no_grad()
def test_full_at_the_front_and_nothing_behind_the_cut_off(occlusion):
    low = occlusion.domain().low
    assert float(occlusion(torch.zeros(1, dtype=torch.float64))) == 1
    behind = torch.tensor([low - 1e-9, 2 * low, -1e9, -1e30], dtype=torch.float64)
    assert occlusion(behind).tolist() == [0] * 4
    assert float(occlusion(behind.new_tensor([low]))) == (1 if occlusion.domain().span == 0 else 0)


@torch.no_grad()
def test_in_zero_and_one_and_monotone(name, occlusion):
    z = occlusion(grid(occlusion))
    assert float(z.min()) == 0
    assert float(z.max()) == 1
    if name != "mlp_random":
        assert float(z.diff().min()) >= -1e-15


def test_values_and_derivatives_are_finite_at_extremes(occlusion):
    low = occlusion.domain().low
    u = torch.tensor([-1e30, low - 1, low, low / 2, -1e-30, 0.0], dtype=torch.float64)
    u = u.requires_grad_()
    z = occlusion(u)
    if not z.requires_grad:
        assert isinstance(occlusion, HardOcclusion)
        return
    wanted = [u, *occlusion.parameters()]
    first = torch.autograd.grad(z.sum(), wanted, create_graph=True)
    assert all(bool(x.isfinite().all()) for x in (z, *first))
    if first[0].requires_grad:  # not if Z is linear
        second = torch.autograd.grad(sum(g.sum() for g in first), wanted, allow_unused=True)
        assert all(bool(g.isfinite().all()) for g in second if g is not None)


def inner_points(occlusion: Occlusion) -> torch.Tensor:
    """Points of the domain away from its ends, kinks and knots."""
    return occlusion.domain().low * torch.tensor([0.07, 0.21, 0.39, 0.62, 0.9], dtype=torch.float64)


@pytest.mark.parametrize("name", [name for name in OCCLUSIONS if name != "hard"])
def test_first_and_second_derivatives(name):
    occlusion = OCCLUSIONS[name](0.3)
    inputs = (inner_points(occlusion).requires_grad_(), *occlusion.parameters())

    def function(u, *parameters):  # which gradcheck perturbs in place
        return occlusion(u)

    assert gradcheck(function, inputs)
    # The slope of a linear function is a constant, without a graph.
    if "uniform" not in name:
        assert gradgradcheck(function, inputs)


# Largest error of a table, about twice what was measured; where nothing is said it is below 1.2e-11.
TABULATION = {"softmax": 3e-10, "cauchy": 4e-8, "gamma_reversed": 5e-8}


@torch.no_grad()
def test_error_of_tabulation(name, occlusion):
    domain = occlusion.domain()
    u = torch.linspace(1.1 * domain.low, 0, 50_001, dtype=torch.float64)
    table = tabulate(occlusion, occlusion(u[-1]), domain)
    found = float((table(u) - occlusion(u)).abs().max())
    assert found < TABULATION.get(name, 2.5e-11)


@torch.no_grad()
@pytest.mark.parametrize("shift", [0.0, 1.0, -3.0])
@pytest.mark.parametrize("reach", [20.0, 300.0])
def test_error_of_tabulation_with_a_far_cut_off(shift, reach):
    occlusion = DepthCurve(ts.Logistic(shift=shift, reach=reach))
    domain = occlusion.domain()
    u = torch.cat([torch.linspace(-8, 0, 8001), torch.linspace(domain.low, 0, 8001)]).double()
    table = tabulate(occlusion, occlusion(u[-1]), domain)
    # Measured: 8.3e-8.
    assert float((table(u) - occlusion(u)).abs().max()) < 1.6e-7
    assert domain.high == 0


def renderer_with(occlusion: Occlusion) -> ts.SoftRasterizer:
    return ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=occlusion, background=0.25)


def rendered(occlusion: Occlusion, setup, dtype, **changes) -> ts.SoftImage:
    leaves = {name: leaf.to(dtype) for name, leaf in (setup.leaves | changes).items()}
    return renderer_with(occlusion)(*setup.build(leaves))


@torch.no_grad()
def test_the_image_does_not_depend_on_the_order_of_the_faces(occlusion, dtype):
    setup = soup_setup(3, 8, (12, 15))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    corners = (3 * order[:, None] + torch.arange(3)).reshape(-1)
    permuted = {n: x.index_select(x.ndim - 2, corners) for n, x in setup.leaves.items()}
    image = rendered(occlusion, setup, dtype)
    again = rendered(occlusion, setup, dtype, **permuted)
    allowed = 1e-13 if dtype == torch.float64 else 5e-6
    assert_close(again.color, image.color, allowed, "colour")
    assert_close(again.alpha, image.alpha, allowed, "alpha")


@torch.no_grad()
def test_the_image_depends_neither_on_the_near_plane_nor_on_a_common_depth(occlusion, dtype):
    setup = soup_setup(3, 8, (12, 15))
    image = rendered(occlusion, setup, dtype)
    mesh, camera = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    nearer = replace(camera, near=-7.0)
    assert torch.equal(renderer_with(occlusion)(mesh, nearer).color, image.color)
    offset = torch.tensor([0, 0, 64.0], dtype=torch.float64)
    moved = rendered(occlusion, setup, dtype, vertices=setup.leaves["vertices"] + offset)
    # In float32 an offset of 64 rounds depths to 4e-6.
    allowed = 1e-10 if dtype == torch.float64 else 2e-4
    assert_close(moved.color, image.color, allowed, "colour")


@pytest.mark.parametrize("name", [name for name in OCCLUSIONS if name != "hard"])
def test_gamma_is_learned(name, dtype):
    setup = soup_setup(3, 8, (12, 15))

    def contracted(image: ts.SoftImage) -> torch.Tensor:
        weights = torch.linspace(-1, 2, image.color.numel()).reshape(image.color.shape)
        return (image.color * weights).sum()

    @torch.no_grad()
    def exact(log_gamma: float) -> float:
        renderer = renderer_with(OCCLUSIONS[name](math.exp(log_gamma)))
        return float(contracted(reference.render(renderer, *setup.build(setup.leaves))))

    gamma = ts.Positive(0.3, learn=True)
    loss = contracted(rendered(OCCLUSIONS[name](gamma), setup, dtype))
    (gradient,) = torch.autograd.grad(loss, gamma.log_value)
    # Central differences of the twin, in float64 and without tables, whose slopes are off by up to 1.0e-6
    # (Cauchy).
    expected = (exact(math.log(0.3) + 1e-5) - exact(math.log(0.3) - 1e-5)) / 2e-5
    assert abs(expected) > 0.01
    assert float(gradient) == pytest.approx(expected, rel=2e-6 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize("name", ["monotone", "mlp"])
@torch.no_grad()
def test_learned_ones_start_close_to_the_exponential(name):
    u = torch.linspace(-4, 0, 401, dtype=torch.float64)
    found = float((OCCLUSIONS[name](0.1)(u) - u.exp()).abs().max())
    # The tail that is removed is exp(-4) = 0.018.
    assert 0.018 < found < 0.02


@pytest.mark.parametrize("size", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("kind", [MonotoneDepth, MLPOcclusion])
@pytest.mark.parametrize("seed", range(3))
def test_learned_ones_are_anchored_for_any_weights(kind, size, seed):
    occlusion = randomised(kind(0.1), size, seed)
    u = torch.linspace(-5, 0, 2001, dtype=torch.float64)
    z = occlusion(u)
    assert float(z.detach()[-1]) == 1
    assert float(z.detach()[u <= -4].abs().max()) == 0
    assert 0 <= float(z.detach().min()) <= float(z.detach().max()) == 1
    if kind is MonotoneDepth:
        assert float(z.detach().diff().min()) >= -1e-12
    gradients = torch.autograd.grad(z.sum(), list(occlusion.parameters()))
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_depth_curve_follows_its_coverage():
    u = torch.linspace(-4, 0, 401, dtype=torch.float64)
    normal = torch.special.ndtr(u) / 0.5
    # The tail of 1e-4 is removed.
    torch.testing.assert_close(DepthCurve(ts.Gaussian())(u), normal, atol=2.1e-4, rtol=0)
    torch.testing.assert_close(
        DepthCurve(ts.Uniform())(u), (1 + u).clamp(min=0), atol=1e-15, rtol=0
    )
    reversed_ = DepthCurve(ts.ExponentialReversed())(u)
    torch.testing.assert_close(reversed_, u.exp(), atol=1.1e-4, rtol=0)


def test_depth_curve_learns_its_coverage(dtype):
    mixture = ts.Mixture([ts.Gaussian(), ts.Logistic()])
    image = rendered(DepthCurve(mixture, 0.3), soup_setup(3, 8, (12, 15)), dtype)
    weights = torch.linspace(0, 1, image.color.numel(), dtype=dtype).reshape(image.color.shape)
    (gradient,) = torch.autograd.grad((image.color * weights).sum(), list(mixture.parameters()))
    assert float(gradient.abs().min()) > 1e-4


def test_hard_occlusion_shows_the_front_alone_and_averages_ties(dtype):
    with torch.no_grad():
        image = [
            ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=HardOcclusion(0.01))(
                layers(depths, dtype), pixel_camera(*IMAGE, dtype)
            )
            .color[0, 4, 4]
            .double()
            for depths in ([2.0, 1.0, 1.02], [1.0, 1.009, 1.02], [1.0, 1.0, 1.0])
        ]
    expected = torch.tensor([[0, 1, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]).double()
    assert_close(torch.stack(image), expected, 1e-6, "weights")


def test_settings_make_an_equal_module(occlusion):
    again = type(occlusion)(**occlusion.settings())
    again.load_state_dict(occlusion.state_dict())
    u = grid(occlusion, 101)
    assert torch.equal(again(u), occlusion(u))
    assert float(again.gamma()) == float(occlusion.gamma())


@torch.no_grad()
def test_depth_softmax_is_the_exponential():
    u = torch.linspace(-20, 0, 2001, dtype=torch.float64)
    torch.testing.assert_close(ts.DepthSoftmax(0.1)(u), u.exp(), atol=2e-7, rtol=0)


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


def test_gamma_gradient_has_the_chain_factor_of_its_logarithm(dtype):
    depths, gamma = [1.0, 1.1], 0.1
    renderer = soft(gamma=gamma)
    color = renderer(layers(depths, dtype), pixel_camera(*IMAGE, dtype)).color[0, 4, 4, 1]
    (gradient,) = torch.autograd.grad(color, renderer.occlusion.gamma.log_value)
    # share = 1 / (1 + exp(dz / gamma)); d share / d log gamma = share (1 - share) dz / gamma
    share = 1 / (1 + math.e)
    assert float(gradient) == pytest.approx(share * (1 - share) * 1.0, rel=2e-4)


def test_an_image_follows_an_annealed_gamma(dtype):
    """The curve is tabulated once, and its width looked up at every render."""
    annealed = soft()
    annealed.softness.occlusion = ts.DepthSoftmax(ts.AnnealedPositive(0.4, 0.025))
    scene = layers([1.0, 1.1], dtype), pixel_camera(*IMAGE, dtype)
    seen = []
    for progress, gamma in ((0.0, 0.4), (0.5, 0.1), (1.0, 0.025)):
        annealed.set_progress(progress)
        with torch.no_grad():
            seen.append(annealed(*scene).color)
            expected = soft(gamma=gamma)(*scene).color
        torch.testing.assert_close(seen[-1], expected, rtol=0, atol=1e-6)
    assert float((seen[0] - seen[2]).abs().max()) > 0.1


def test_depth_gradient_orders_the_layers(dtype):
    mesh = layers([1.0, 1.1], dtype)
    vertices = mesh.vertices.clone().requires_grad_()
    image = soft(gamma=0.1)(mesh.with_vertices(vertices), pixel_camera(*IMAGE, dtype))
    (gradient,) = torch.autograd.grad(image.color[0, 4, 4, 0], vertices)
    share = 1 / (1 + math.exp(-1))
    slope = share * (1 - share) / 0.1
    assert float(gradient[:3, 2].sum()) == pytest.approx(-slope, rel=1e-3)
    assert float(gradient[3:, 2].sum()) == pytest.approx(slope, rel=1e-3)


def learned_scale() -> ts.Gaussian:
    return ts.Gaussian(ts.Pixels(1.0, learn=True))


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (
            lambda: ts.DepthSoftmax(0.0),
            ValueError,
            "gamma must be finite and greater than 0, got 0",
        ),
        (lambda: ts.DepthSoftmax("deep"), TypeError, "gamma must be a number or a Positive"),
        (lambda: HardOcclusion(-1.0), ValueError, "gamma must be finite and greater than 0"),
        (lambda: ts.SoftRasterizer(occlusion=0.1), TypeError, "occlusion must be an Occlusion"),
        (lambda: DepthCurve("gaussian"), TypeError, "coverage must be a Coverage, got str"),
        (
            lambda: DepthCurve(ts.Heaviside()),
            ValueError,
            "coverage must rise below 0, got a cut-off",
        ),
        (lambda: DepthCurve(ts.Exponential()), ValueError, "coverage must rise below 0, got"),
        (lambda: DepthCurve(learned_scale()), ValueError, "coverage must have a fixed scale"),
        (
            lambda: DepthCurve(ts.Gaussian(CosineAnnealing(3.0, 1.0))),
            TypeError,
            "coverage.scale must be a ConstantScale, got CosineAnnealing",
        ),
        (
            lambda: DepthCurve(ts.StraightThrough(ts.Heaviside(), ts.Gaussian())),
            ValueError,
            "coverage must have its own slope, got a StraightThrough",
        ),
        (lambda: MonotoneDepth(knots=1), ValueError, "knots must be at least 2, got 1"),
        (lambda: MonotoneDepth(reach=0.0), ValueError, "reach must be finite and greater than 0"),
        (lambda: MLPOcclusion(reach=-1.0), ValueError, "reach must be finite and greater than 0"),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()
