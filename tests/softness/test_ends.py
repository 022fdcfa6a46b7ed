"""Gradients of coverage with respect to its parameters, inside, near and beyond both ends of its domain.

Where full coverage is reached in a corner, the corner moves with a parameter, and what lies beyond it stays
as it is. The oracle is a central difference of the exact function in float64.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import taichisoft as ts
from taichisoft import Mesh, SoftRasterizer
from taichisoft.render import reference
from taichisoft.softness.coverage import (
    Coverage,
    CubicHermite,
    Exponential,
    ExponentialReversed,
    Gaussian,
    Heaviside,
    Laplace,
    Mixture,
    MonotoneSpline,
    StraightThrough,
    Uniform,
    Wigner,
)
from taichisoft.softness.coverage.mixture import Mixture as AnyMixture
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.parameters import Real
from taichisoft.softness.scale import Pixels
from taichisoft.softness.softness import Softness
from tests.helpers import pixel_camera
from tests.zoo.coverage import FAMILIES, OTHERS, numbers

STEP = 1e-6
# A domain may end where F is 1e-6 short of full, and moves over that as its cells are aligned with a kink:
# measured, by at most 1.3e-5, which follows no derivative.
SHORT_OF_FULL = 2e-5


def wide(width: float) -> Pixels:
    """Return a learned relative width."""
    return Pixels(width, learn=True)


def moving(shift: float) -> Real:
    """Return a learned shift."""
    return Real(shift, learn=True)


MADE = {
    **{
        f"{name}{'_squared' * squared}_{shift:g}_{reach}": (
            lambda f=family, q=squared, s=shift, r=reach: f.kind(
                squared=q, shift=moving(s), reach=r
            )
        )
        for name, family in FAMILIES.items()
        for squared in (False, True)
        # Numbers whose sums with the ends are rounded up, down, and not.
        for shift, reach in ((0.1, None), (-1.2, None), (0.5, 1.7))
    },
    **{name: (lambda c=case: c.make(1.0)) for name, case in OTHERS.items()},
    "two_widths": lambda: Mixture([Uniform(wide(1.3)), Gaussian(0.2)]),
    "same_ends": lambda: Mixture([Uniform(wide(0.7)), CubicHermite(wide(0.7)), Wigner(wide(0.7))]),
    "ends_inside": lambda: Mixture(
        [ExponentialReversed(wide(0.3), shift=moving(0.1)), Uniform(wide(1.1)), Heaviside()]
    ),
    "begins": lambda: Mixture([Exponential(wide(0.3), shift=moving(-1.7)), Uniform(wide(0.9))]),
    "straight_through": lambda: StraightThrough(
        Uniform(wide(1.3), shift=moving(0.1)), Gaussian(wide(0.7))
    ),
    "straight_through_spline": lambda: StraightThrough(MonotoneSpline(wide(0.7)), Laplace()),
}


def learned(module: nn.Module) -> list[Tensor]:
    """Return what is learned of a module."""
    return [p for p in module.parameters() if p.requires_grad]


def around_ends(coverage: Coverage) -> Tensor:
    """Return distances inside, near and beyond both ends, and near all inner corners, but on none."""
    domain = coverage.domain()
    inside = torch.linspace(domain.low, domain.high, 13, dtype=torch.float64)[1:-1] + 1.234e-3
    corners = [domain.low, domain.high, *domain.kinks, *(at for at, _ in domain.graded), 0.0]
    if isinstance(coverage, AnyMixture):
        corners += [float(f.domain().high * f.scale.length().detach()) for f in coverage.components]
        corners += [float(f.domain().low * f.scale.length().detach()) for f in coverage.components]
    steps = numbers(-30, -0.3, -2e-3, -5e-5, 5e-5, 2e-3, 0.3, 30)
    near = (numbers(*corners).unsqueeze(-1) + steps).reshape(-1)
    s = torch.cat([inside, near])
    far = (s.unsqueeze(-1) - numbers(*corners)).abs().min(-1).values > 2e-5
    return s[far]


def differences(function, parameter: Tensor, step: float = STEP) -> list[Tensor]:
    """Return central differences of a function with respect to each element of a parameter."""
    found = []
    flat = parameter.data.reshape(-1)
    for index in range(len(flat)):
        kept, ends = float(flat[index]), []
        for sign in (1, -1):
            flat[index] = kept + sign * step
            with torch.no_grad():
                ends.append(function().clone())
        flat[index] = kept
        found.append((ends[0] - ends[1]) / (2 * step))
    return found


def derivatives(function, parameter: Tensor) -> list[Tensor]:
    """Return the same by reverse mode, value for value."""
    values = function()
    if not values.requires_grad:
        return [torch.zeros_like(values)] * parameter.numel()
    (jacobian,) = torch.autograd.grad(
        values,
        parameter,
        torch.eye(len(values), dtype=values.dtype),
        is_grads_batched=True,
        allow_unused=True,
    )
    if jacobian is None:
        return [torch.zeros_like(values)] * parameter.numel()
    return list(jacobian.reshape(len(values), -1).unbind(1))


@pytest.mark.parametrize("name", MADE)
def test_gradients_of_parameters_on_both_sides_of_both_ends(name):
    coverage = MADE[name]()
    s = around_ends(coverage)
    for parameter in learned(coverage):
        found = derivatives(lambda: coverage.without_tail(s), parameter)
        expected = differences(lambda: coverage.without_tail(s), parameter)
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=2e-3, atol=SHORT_OF_FULL)


@pytest.mark.parametrize("name", MADE)
def test_nothing_follows_below_the_cut_off_and_beyond_full_coverage(name):
    coverage = MADE[name]()
    domain = coverage.domain()
    below, above = numbers(domain.low - 1e-3, domain.low - 50), numbers(domain.high + 1e-9, 1e9)
    for parameter in learned(coverage):
        for gradient in derivatives(lambda: coverage.without_tail(below), parameter):
            assert gradient.tolist() == [0, 0]
        top = float(coverage.without_tail(above[:1]).detach())
        if top == 1:
            for gradient in derivatives(lambda: coverage.without_tail(above), parameter):
                assert gradient.tolist() == [0, 0]


@pytest.mark.parametrize("name", [name for name in MADE if "squared" not in name])
@pytest.mark.parametrize("of", ["generator", "coverage"])
def test_the_constants_around_a_table_have_the_gradients_of_what_they_stand_for(name, of):
    softness = Softness(MADE[name]())
    coverage = softness.coverage
    domain = coverage.domain()
    beyond = numbers(domain.low - 3.0, domain.high + 3.0)

    def of_table() -> Tensor:
        return getattr(SoftnessCurves(softness), of)(1).table(beyond)

    for parameter in learned(coverage):
        found = derivatives(of_table, parameter)
        expected = differences(of_table, parameter)
        # As alpha: the optical depth of full coverage is magnified without bound.
        missing = torch.exp(-of_table().detach()) if of == "generator" else 1.0
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one * missing, two * missing, rtol=1e-4, atol=SHORT_OF_FULL)


def two_faces() -> tuple[Mesh, ts.Camera]:
    """Return two faces with a common edge, no pixel at a corner of what is rendered."""
    corners = numbers(2, 2, 10.37, 3, 9, 10, 3, 11).reshape(4, 2)
    points = torch.cat([corners, torch.ones_like(corners[:, :1])], 1)
    return Mesh(points, torch.tensor([[0, 1, 2], [0, 2, 3]])), pixel_camera(12, 13, torch.float64)


RENDERED = {
    "mixture": lambda: Mixture([Uniform(wide(1.3)), Gaussian(0.2)]),
    "exponential_reversed": lambda: ExponentialReversed(2.0, shift=moving(0.1)),
    "uniform": lambda: Uniform(shift=moving(-1.2)),
    "uniform_squared": lambda: Uniform(2.0, shift=moving(0.1), squared=True),
    "exponential": lambda: Exponential(shift=moving(-1.2)),
    "straight_through": lambda: StraightThrough(Uniform(wide(1.3), shift=moving(0.1)), Gaussian()),
}


@pytest.mark.parametrize("name", RENDERED)
def test_gradients_of_parameters_through_a_render(name):
    mesh, camera = two_faces()
    colors = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(4, 3)
    renderer = SoftRasterizer(RENDERED[name](), occlusion=ts.DepthSoftmax(1.0))
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(12, 13, generator=generator, dtype=torch.float64)

    def loss(render) -> Tensor:
        image = render(mesh, camera, colors)
        return (image.alpha * weight).sum() + (image.color[..., 1] * weight).sum()

    renders = {"engine": renderer, "twin": lambda *scene: reference.render(renderer, *scene)}
    if name == "straight_through":
        del renders["twin"]
    for kind, render in renders.items():
        for parameter in learned(renderer.coverage):
            (found,) = torch.autograd.grad(loss(render), parameter)
            # Smaller than the distance of any pixel to a corner.
            expected = differences(lambda render=render: loss(render), parameter, 1e-5)
            assert found.reshape(-1).tolist() == pytest.approx(
                [float(one) for one in expected], rel=2e-3, abs=1e-4
            ), kind
