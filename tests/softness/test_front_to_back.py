"""Properties of every order of depths, and that it is a part of a softness like any other."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.softness import registry
from taichisoft.softness.annealing import CosineAnnealing
from taichisoft.softness.curves import SoftnessCurves
from tests.helpers import pixel_camera, soup_setup
from tests.zoo.occlusion import ORDERS

SMOOTH = [name for name in ORDERS if name != "hard"]
LEARNED = ["mixture", "step_in_a_mixture", "spline", "spline_random", "mlp", "mlp_random"]


@pytest.fixture(params=list(ORDERS))
def name(request) -> str:
    return request.param


@pytest.fixture
def occlusion(name) -> ts.FrontToBack:
    return ORDERS[name](0.3)


def grid(occlusion: ts.FrontToBack, count: int = 4001) -> torch.Tensor:
    """Points from before the lower end to beyond the upper one, close to each other in the middle."""
    domain = occlusion.domain()
    ends = torch.linspace(domain.low - 1, domain.high + 1, count, dtype=torch.float64)
    return torch.cat([ends, torch.linspace(-5, 5, count, dtype=torch.float64)]).sort().values


@torch.no_grad()
def test_nothing_far_in_front_and_all_far_behind(occlusion):
    domain = occlusion.domain()
    ends = [
        domain.low - 1e-9,
        domain.high,
        domain.high + 1e-9,
        2 * abs(domain.high) + 1,
        -1e30,
        1e30,
    ]
    assert occlusion(torch.tensor(ends, dtype=torch.float64)).tolist() == [0, 1, 1, 1, 0, 1]


@torch.no_grad()
def test_in_zero_and_one_rising_and_without_a_jump_at_the_ends(name, occlusion):
    h = occlusion(grid(occlusion))
    assert 0 <= float(h.min()) <= float(h.max()) <= 1 + 1e-15
    if name != "mlp_random":
        assert float(h.diff().min()) >= -1e-15
    domain = occlusion.domain()
    if name != "hard":
        beside = torch.tensor([domain.low + 1e-9, domain.high - 1e-9], dtype=torch.float64)
        # The squared logistic and the exponential have slopes there, yet finite ones.
        assert occlusion(beside).tolist() == pytest.approx([0, 1], abs=1e-8)


@torch.no_grad()
def test_equal_depths_count_as_the_mean_of_both_sides(name, occlusion):
    expected = {"hard": 0.5, "one_sided": 0.0, "gumbel": math.exp(-1), "shifted_uniform": 0.25}
    found = float(occlusion.at_tie())
    if name in expected:
        # Up to the tail that is removed.
        assert found == pytest.approx(expected[name], abs=2e-4)
    elif not name.endswith("random"):
        # That of the Cauchy distribution is large.
        assert found == pytest.approx(0.5, abs=4e-3 if name == "cauchy" else 2e-4)
    curves = SoftnessCurves(ts.Softness(occlusion=occlusion)).composite(8)
    assert float(curves.at_tie[0]) == pytest.approx(found, abs=1e-9)


# Largest error of a table, about twice what was measured; where nothing is said it is below 6e-10.
TABULATION = {"cauchy": 2e-8, "step_in_a_mixture": 1.2e-8}


@torch.no_grad()
def test_error_of_tabulation(name, occlusion):
    table = SoftnessCurves(ts.Softness(occlusion=occlusion)).composite(8).order
    u = grid(occlusion, 30_011)
    found = torch.where(u >= occlusion.domain().high, 1, table(u))
    assert float((found - occlusion(u)).abs().max()) < TABULATION.get(name, 1.2e-9)


@pytest.mark.parametrize("name", SMOOTH)
def test_first_and_second_derivatives(name):
    occlusion = ORDERS[name](0.3)
    u = torch.tensor([-0.72, -0.31, 0.13, 0.44, 0.83], dtype=torch.float64)
    inputs = (u.requires_grad_(), *occlusion.order.parameters())

    def function(u, *parameters):  # which gradcheck perturbs in place
        return occlusion(u)

    assert gradcheck(function, inputs)
    if "uniform" not in name:
        assert gradgradcheck(function, inputs)


def layers(depths: list[float]) -> ts.Mesh:
    """Big triangles that cover the image, one per depth, each with a colour channel of its own."""
    corners = [[*xy, z] for z in depths for xy in ([-90.0, -90.0], [99.0, -90.0], [4.0, 99.0])]
    vertices = torch.tensor(corners, dtype=torch.float64)
    colors = torch.eye(len(depths), dtype=torch.float64)
    return ts.Mesh(vertices, torch.arange(len(vertices)).reshape(-1, 3), face_colors=colors)


def weights_of(occlusion: ts.Occlusion, depths: list[float]) -> torch.Tensor:
    renderer = ts.SoftRasterizer(ts.Uniform(0.3), occlusion=occlusion)
    return renderer(layers(depths), pixel_camera(3, 3)).color[0, 1, 1]


@torch.no_grad()
@pytest.mark.parametrize("gap", [0.0, 0.11, 0.25, 5.0])
def test_two_opaque_layers_show_what_the_order_leaves(name, occlusion, gap):
    """Behind a layer that covers the pixel, a layer adds the share of it that does not count as in front."""
    u = torch.tensor([-gap, gap], dtype=torch.float64) / 0.3
    left = 1 - (occlusion.at_tie().expand(2) if gap == 0 else occlusion(u))
    expected = left / left.sum()
    # Measured: 1e-9 in float64, and 5e-9 next to the step.
    torch.testing.assert_close(weights_of(occlusion, [1.0, 1.0 + gap]), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("fraction", [False, True])
@pytest.mark.parametrize("name", LEARNED)
def test_the_order_and_gamma_are_learned(name, fraction):
    """Against central differences of a render."""
    setup = soup_setup(3, 8, (9, 11))
    gamma = ts.Positive(0.3, learn=True)
    made = ORDERS[name](ts.DepthFraction(gamma) if fraction else gamma)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=made)
    mesh, camera = setup.build(setup.leaves)

    def loss() -> torch.Tensor:
        color = renderer(mesh, camera).color
        return (color * torch.linspace(-1, 2, color.numel()).reshape(color.shape)).sum()

    parameters = dict(made.named_parameters())
    gradients = torch.autograd.grad(loss(), list(parameters.values()))
    h = 1e-5
    for (which, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        index = int(gradient.abs().argmax())
        ends = []
        for step in (h, -2 * h):
            with torch.no_grad():
                parameter.reshape(-1)[index] += step
                ends.append(float(loss()))
        with torch.no_grad():
            parameter.reshape(-1)[index] += h
        expected = (ends[0] - ends[1]) / (2 * h)
        assert float(gradient.reshape(-1)[index]) == pytest.approx(expected, rel=2e-5), which
        assert abs(expected) > 1e-4, which


def test_a_fraction_is_of_the_extent_of_what_is_drawn(dtype):
    """Layers at 1 and 1.5, so that the extent is half a unit, whatever the unit is."""
    fixed = ts.FrontToBack(gamma=0.5 * 0.4)
    relative = ts.FrontToBack(gamma=ts.DepthFraction(0.4))
    mesh = layers([1.0, 1.5, 1.1]).to(dtype=dtype)
    images = [
        ts.SoftRasterizer(ts.Uniform(0.3), occlusion=o)(mesh, pixel_camera(3, 3, dtype)).color
        for o in (fixed, relative)
    ]
    torch.testing.assert_close(images[1], images[0], rtol=1e-5, atol=1e-6)
    assert relative.widths(torch.tensor([0.5, 2.0])).tolist() == pytest.approx([0.2, 0.8])
    assert fixed.widths(torch.tensor([0.5, 2.0])).tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize("fraction", [False, True])
def test_gamma_follows_the_progress(fraction):
    annealed = ts.AnnealedPositive(0.8, 0.05)
    occlusion = ts.FrontToBack(gamma=ts.DepthFraction(annealed) if fraction else annealed)
    renderer = ts.SoftRasterizer(ts.Uniform(0.3), occlusion=occlusion)
    # The extent is 1, so that a fraction is a depth.
    mesh, camera = layers([1.0, 2.0, 1.1]), pixel_camera(3, 3)
    curves, tables, seen = SoftnessCurves(renderer.softness), [], []
    for progress, gamma in ((0.0, 0.8), (0.5, 0.2), (1.0, 0.05)):
        renderer.set_progress(progress)
        assert float(occlusion.gamma()) == pytest.approx(gamma)
        expected = weights_of(ts.FrontToBack(gamma=gamma), [1.0, 2.0, 1.1])
        seen.append(renderer(mesh, camera).color[0, 1, 1])
        torch.testing.assert_close(seen[-1], expected, rtol=0, atol=1e-12)
        tables.append(curves.composite(3))
    assert float((seen[0] - seen[2]).abs().max()) > 0.1
    # Which makes no table anew.
    for other in tables[1:]:
        for part in ("order", "part", "inverse", "at_tie"):
            assert getattr(other, part) is getattr(tables[0], part)


def test_settings_make_an_equal_module(occlusion):
    again = type(occlusion)(**occlusion.settings())
    again.load_state_dict(occlusion.state_dict())
    u = grid(occlusion, 101)
    assert torch.equal(again(u), occlusion(u))
    assert float(again.gamma()) == float(occlusion.gamma())


@pytest.mark.parametrize("gamma", ["number", "fraction", "annealed", "annealed fraction"])
def test_it_survives_a_file(name, gamma, tmp_path):
    annealed = ts.AnnealedPositive(ts.Positive(0.4, learn=True), 0.1)
    gammas = {
        "number": 0.3,
        "fraction": ts.DepthFraction(ts.Positive(0.1, learn=True)),
        "annealed": annealed,
        "annealed fraction": ts.DepthFraction(annealed),
    }
    softness = ts.Softness(ts.Gaussian(1.0), ts.BoundedSum(), ORDERS[name](gammas[gamma]))
    softness.save(tmp_path / "softness.safetensors")
    loaded = ts.Softness.load(tmp_path / "softness.safetensors")
    assert str(loaded) == str(softness)
    assert registry.describe(loaded.occlusion) == registry.describe(softness.occlusion)
    setup = soup_setup(3, 8, (9, 11))
    with torch.no_grad():
        one, two = (
            ts.SoftRasterizer(softness=s)(*setup.build(setup.leaves)) for s in (softness, loaded)
        )
    assert torch.equal(one.color, two.color)


def test_the_units_are_those_of_gamma():
    fraction, number = ts.Softness(), ts.Softness(occlusion=ts.FrontToBack(gamma=0.2))
    assert fraction.units()["occlusion.gamma"] == "fraction of the extent in depth"
    assert number.units()["occlusion.gamma"] == "scene units"
    assert "gamma 0.02 of the extent in depth" in str(fraction)
    assert "gamma 0.2 scene units" in str(number)


def test_what_is_shipped_composites_front_to_back():
    for name in ts.pretrained_names():
        assert isinstance(ts.SoftRasterizer.pretrained(name).occlusion, ts.FrontToBack)


def learned_scale() -> ts.Gaussian:
    return ts.Gaussian(ts.Pixels(1.0, learn=True))


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (lambda: ts.FrontToBack("hard"), TypeError, "order must be a Coverage, got str"),
        (lambda: ts.FrontToBack(0.05), TypeError, "a depth difference is gamma: gamma=0.05"),
        (lambda: ts.FrontToBack(learned_scale()), ValueError, "order must have a fixed scale"),
        (
            lambda: ts.FrontToBack(ts.Gaussian(CosineAnnealing(3.0, 1.0))),
            TypeError,
            "order.scale must be a ConstantScale, got CosineAnnealing",
        ),
        (
            lambda: ts.FrontToBack(ts.StraightThrough(ts.Heaviside(), ts.Gaussian())),
            ValueError,
            "order must have its own slope, got a StraightThrough",
        ),
        (
            lambda: ts.FrontToBack(ts.ExponentialReversed()),
            ValueError,
            "order must be below 1 at equal depths, got 1",
        ),
        (
            lambda: ts.FrontToBack(ts.Uniform(shift=-1.5)),
            ValueError,
            "order must be below 1 at equal depths, got 1",
        ),
        (lambda: ts.FrontToBack(gamma=0.0), ValueError, "gamma must be finite and greater than 0"),
        (
            lambda: ts.FrontToBack(gamma="deep"),
            TypeError,
            "AnnealedPositive or DepthFraction, got str",
        ),
        (lambda: ts.DepthFraction(-1.0), ValueError, "value must be finite and greater than 0"),
        (lambda: ts.DepthFraction("deep"), TypeError, "value must be a number or a Positive"),
        (
            lambda: ts.DepthSoftmax(ts.DepthFraction(0.1)),
            TypeError,
            "gamma must be a number or a .* in scene units, got DepthFraction",
        ),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()
