"""Faces that are equally deep where they meet: what rounding tells of their order must not show."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import error, outcome, views_setup

# An occlusion curve whose slope has no bound at the front, and one whose slope there is not 0.
CURVES = {
    "gamma_reversed": lambda: ts.GammaReversed(shape=0.5),
    "wild_gamma": lambda: ts.GammaReversed(shape=0.25),
    "wigner": lambda: ts.Wigner(shift=-1.0),
    "squared": lambda: ts.Gaussian(squared=True),
}


def of(name: str) -> ts.SoftRasterizer:
    occlusion = ts.DepthCurve(CURVES[name](), ts.Positive(0.3, learn=True))
    return ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=occlusion)


@pytest.mark.cpu_only
@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("gradient", ["fused", "autodiff"])
def test_gradients_of_vertices_that_faces_share(name, gradient):
    renderer = of(name)
    renderer.gradient = gradient
    setup = views_setup(3, (24, 24), subdivisions=2)

    def twin(*arguments):
        return reference.render(renderer, *arguments, tabulated=True)

    exact = outcome(setup, renderer, torch.float64, twin)
    found = outcome(setup, renderer, torch.float64, renderer, exact.values["alpha"])
    for leaf, value in exact.gradients.items():
        assert error(found.gradients[leaf], value) < 1e-10, leaf


@pytest.mark.parametrize("name", ["gamma_reversed", "wild_gamma"])
def test_a_curve_that_is_steep_at_the_front_has_a_bounded_slope_there(name):
    occlusion = of(name).occlusion
    u = torch.linspace(-2e-3, 0, 2001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(occlusion(u).sum(), u)
    assert slope.isfinite().all()
    assert slope.max() < 1.5 / 1e-3
    assert float(occlusion(u[-1:]).detach()) == 1.0
    # Beyond that it is the curve itself.
    beyond = torch.tensor([-0.5, -1.5, -3.0], dtype=torch.float64)
    curve = CURVES[name]()
    tail, top = (curve(torch.tensor([x], dtype=torch.float64)) for x in (float(curve.low()), 0.0))
    expected = (curve(beyond) - tail) / (top - tail)
    assert torch.allclose(occlusion(beyond), expected, atol=1e-12)
