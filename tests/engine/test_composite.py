"""Compositing by kernels: against the graph over all pairs of fragments, and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

import taichisoft as ts
from taichisoft.base.backend import in_debug_mode
from taichisoft.engine import layers, vector_bands, vector_composite
from taichisoft.engine.bridge import Rendered
from taichisoft.engine.composite import CompositePass
from taichisoft.engine.compositing import composite_fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.vector_composite import VectorCompositePass
from taichisoft.softness.curves import CompositeCurves
from tests.helpers import (
    Setup,
    assert_close,
    learned,
    mlp,
    normal_like,
    pixel_camera,
    soup_faces,
    soup_setup,
    uniform,
    views_setup,
)

SIZE = (12, 15)
# Relative to the largest entry, by float type. In float32 both sides round, each at other places.
VALUE = {torch.float64: 1e-12, torch.float32: 2e-5}
GRADIENT = {torch.float64: 1e-10, torch.float32: 2e-3}


def gamma(value: float = 0.05) -> ts.DepthFraction:
    return ts.DepthFraction(ts.Positive(value, learn=True))


def renderer(coverage=None, aggregation=None, order=None, width=None) -> ts.SoftRasterizer:
    """Return a renderer of which all can be learned."""
    coverage = coverage or ts.Gaussian(learned(1.3))
    return ts.SoftRasterizer(coverage, aggregation, ts.FrontToBack(order, width or gamma()))


def straight(value: ts.Coverage) -> ts.StraightThrough:
    return ts.StraightThrough(value, ts.Gaussian(1.0), learned(1.3))


# Orders, T-conorms and coverages of every kind of table: one piece and many, smooth and not.
RENDERERS: dict[str, Callable[[], ts.SoftRasterizer]] = {
    "gaussian": renderer,
    "hard_order": lambda: renderer(order=ts.Heaviside()),
    "gaussian_order": lambda: renderer(order=ts.Gaussian(1.0), aggregation=ts.Hamacher(0.5)),
    "one_sided_order": lambda: renderer(order=ts.Exponential(1.0)),
    "learned_order": lambda: renderer(order=ts.MLPCoverage(1.0), aggregation=ts.Frank(100.0)),
    "learned_coverage": lambda: renderer(coverage=mlp(1.3, 3)),
    "learned_t_conorm": lambda: renderer(aggregation=ts.Frank(ts.Positive(3.0, learn=True))),
    "learned_generator": lambda: renderer(aggregation=ts.MonotoneGenerator()),
    "steep_generator": lambda: renderer(aggregation=ts.Yager(ts.Positive(2.5, learn=True))),
    "max": lambda: renderer(aggregation=ts.Max()),
    "max_hard_order": lambda: renderer(aggregation=ts.Max(), order=ts.Heaviside()),
    "absolute_gamma": lambda: renderer(width=ts.Positive(0.3, learn=True)),
}
STRAIGHT = {
    "straight_through": lambda: renderer(coverage=straight(ts.Logistic(0.3))),
    "straight_through_frank": lambda: renderer(straight(ts.Logistic(0.3)), ts.Frank(10.0)),
    "straight_through_max": lambda: renderer(straight(ts.Logistic(0.3)), ts.Max()),
}


@dataclass(frozen=True)
class Case:
    """A render, and what its sums are differentiable in, by name."""

    job: RasterJob
    curves: CompositeCurves
    inputs: CompositeInputs
    leaves: dict[str, Tensor]


def case_of(setup: Setup, rendering: ts.SoftRasterizer, dtype: torch.dtype) -> Case:
    leaves = {name: leaf.to(dtype).requires_grad_() for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(leaves)
    _, scene = rendering.scene(mesh, camera)
    job = RasterJob(scene)
    curves = rendering.composite_curves(camera.image_size[0])
    inputs = CompositeInputs.of(job, curves)
    parameters = {n: p for n, p in rendering.named_parameters() if p.requires_grad}
    return Case(job, curves, inputs, {**leaves, **parameters})


PASSES = [pytest.param(CompositePass, id="pixels")]
# Whole vectors go into no kernel that checks its array bounds.
if not in_debug_mode():
    PASSES.append(pytest.param(VectorCompositePass, id="blocks", marks=pytest.mark.cpu_only))


@pytest.fixture(params=PASSES, autouse=True)
def kernels(request, monkeypatch):
    """Choose what composites: one pixel at a time, or blocks of them in whole vectors."""
    monkeypatch.setattr(Kernels, "operation", request.param)
    return request.param


class Kernels:
    """The operation that is tested."""

    operation: Callable[..., Rendered] = CompositePass


def of_kernels(case: Case, inputs: CompositeInputs | None = None, opacity: bool = False) -> Tensor:
    return Kernels.operation(case.job, case.curves, opacity)(*(inputs or case.inputs))


def of_graph(case: Case, inputs: CompositeInputs | None = None, opacity: bool = False) -> Tensor:
    return composite_fragments(case.job, case.curves, inputs or case.inputs, opacity=opacity)


def gradients(case: Case, sums: Tensor) -> dict[str, Tensor]:
    """Return the gradients of a random contraction."""
    cotangent = normal_like(sums, torch.Generator().manual_seed(4)).to(sums)
    found = torch.autograd.grad(
        sums, list(case.leaves.values()), cotangent, retain_graph=True, allow_unused=True
    )
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(case.leaves.items(), found, strict=True)
    }


def compare(setup: Setup, rendering: ts.SoftRasterizer, dtype: torch.dtype, opacity: bool) -> Case:
    """Assert that kernels and graph agree, in values and gradients of everything."""
    case = case_of(setup, rendering, dtype)
    fused, exact = of_kernels(case, opacity=opacity), of_graph(case, opacity=opacity)
    assert_close(fused.detach(), exact.detach(), VALUE[dtype], "sums")
    expected = gradients(case, exact)
    for name, gradient in gradients(case, fused).items():
        assert_close(gradient, expected[name], GRADIENT[dtype], f"gradient of {name}")
    return case


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", RENDERERS)
def test_soups(name, opacity, dtype):
    compare(soup_setup(31, 9, SIZE, batch=2), RENDERERS[name](), dtype, opacity)


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", STRAIGHT)
@pytest.mark.cpu_only
def test_slopes_of_their_own(name, opacity):
    # Coverages of 1e-6 lose ten digits as a difference to 1: what they cancel to is not asked for.
    rendering = STRAIGHT[name]().requires_grad_(False)
    rendering.coverage.scale.requires_grad_(True)
    compare(soup_setup(32, 9, SIZE, batch=2), rendering, torch.float64, opacity)


# Where neighbours touch they are equally deep, and which of two equal maxima comes first is rounding.
SEAMLESS = [name for name in RENDERERS if not name.startswith("max")]


@pytest.mark.parametrize("name", SEAMLESS)
def test_views_of_a_ball(name, dtype):
    compare(views_setup(33, SIZE, views=2), RENDERERS[name](), dtype, False)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    "name", ["gaussian", "one_sided_order", "hard_order", "learned_order", "max"]
)
@pytest.mark.parametrize("opacity", [False, True])
def test_in_float32(name, opacity):
    compare(soup_setup(34, 9, SIZE, batch=2), RENDERERS[name](), torch.float32, opacity)


@pytest.mark.parametrize("channels", [0, 1, 2, 5, 8])
def test_kinds_of_colours(channels, dtype):
    setup = soup_setup(35, 6, SIZE)
    colors = uniform(torch.Generator().manual_seed(1), 18, channels)
    compare(Setup({**setup.leaves, "colors": colors}, setup.build), renderer(), dtype, False)


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (19, 2)])
@pytest.mark.parametrize("most", [1, 2**20])
def test_image_sizes_and_bands(size, most, dtype, monkeypatch):
    setup = soup_setup(36, 7, size, batch=3)
    whole = of_kernels(case_of(setup, renderer(), dtype))
    monkeypatch.setattr(layers, "BAND_NUMBERS", most)
    monkeypatch.setattr(vector_composite, "PLACES", most)
    monkeypatch.setattr(vector_bands, "PARTS", most)
    case = compare(setup, renderer(), dtype, True)
    assert torch.equal(of_kernels(case), whole)


def test_bands_of_pixels_without_faces(dtype, monkeypatch):
    monkeypatch.setattr(layers, "BAND_PIXELS", 30)
    monkeypatch.setattr(vector_bands, "BLOCKS", 15)
    setup = soup_setup(37, 3, (40, 11), batch=2, size=2.0)
    compare(setup, renderer(), dtype, False)


def cards(depths: Tensor, size: float = 20.0) -> Setup:
    """Return triangles over the whole image, parallel to it."""
    corners = torch.tensor([(-size, -size), (3 * size, -size), (-size, 3 * size)])
    flat = corners.double().repeat(len(depths), 1)
    vertices = torch.cat([flat, depths.repeat_interleave(3)[:, None]], 1)
    colors = uniform(torch.Generator().manual_seed(2), len(vertices), 3)

    def build(leaves):
        mesh = ts.Mesh(leaves["vertices"], soup_faces(len(depths)), leaves["colors"])
        return mesh, pixel_camera(4, 5, leaves["vertices"].dtype)

    return Setup({"vertices": vertices, "colors": colors}, build)


@pytest.mark.parametrize("name", ["gaussian", "hard_order", "max_hard_order"])
def test_hundreds_of_faces_at_a_pixel(name, dtype):
    depths = uniform(torch.Generator().manual_seed(3), 300) * 0.7 + 1
    rendering = RENDERERS[name]()
    # Faint ones, so that something of the last one is seen.
    rendering.coverage = ts.Logistic(learned(2000.0))
    compare(cards(depths), rendering, dtype, False)


@pytest.mark.parametrize("name", ["gaussian", "hard_order", "one_sided_order", "max_hard_order"])
def test_equal_depths(name, dtype):
    depths = torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    compare(cards(depths), RENDERERS[name](), dtype, False)


def test_level_faces_that_are_all_hidden(dtype):
    """Six are full in front of each other, and hide those behind them."""
    depths = torch.tensor([1.0] * 6 + [2.0] * 2, dtype=torch.float64)
    rendering = renderer(aggregation=ts.Yager(ts.Positive(1.3, learn=True)))
    case = compare(cards(depths), rendering, dtype, False)
    _, weight, by_depth = of_kernels(case).detach()[..., :3].unbind(-1)
    assert 0 < float(weight.min()) < 1e-8
    assert float((by_depth / weight - 1).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["hard_order", "gaussian"])
def test_depths_that_are_equal_but_for_rounding(name, dtype):
    # In either order the same.
    depth = 1 + torch.tensor([0.0, 1.0, -1.0], dtype=dtype) * torch.finfo(dtype).eps
    far = torch.tensor([5.0], dtype=dtype)
    sums = []
    for depths in (torch.cat([depth, far]), torch.cat([depth.flip(0), far])):
        setup = cards(depths.double())
        setup = Setup({**setup.leaves, "colors": torch.ones(12, 1).double()}, setup.build)
        sums.append(of_kernels(case_of(setup, RENDERERS[name](), dtype)))
    assert_close(sums[0].detach(), sums[1].detach(), 4 * torch.finfo(dtype).eps, "sums")


def test_faces_without_area_behind_the_camera_and_none(dtype):
    setup = soup_setup(38, 8, SIZE, batch=2)
    vertices = setup.leaves["vertices"].clone()
    vertices[:, 3:6] = vertices[:, 3:4]

    def build(leaves):
        # Which of two corners at one place is the nearest is rounding: here they are one leaf.
        twice = [*range(8), 7, *range(9, vertices.shape[1])]
        return setup.build(
            {"vertices": leaves["vertices"][:, twice], "colors": leaves["colors"][twice]}
        )

    leaves = {"vertices": vertices, "colors": setup.leaves["colors"]}
    compare(Setup(leaves, build), renderer(), dtype, False)
    views = views_setup(39, SIZE, views=2)
    # Into the ball.
    views = Setup({**views.leaves, "eye": views.leaves["eye"] * 0.35}, views.build)
    compare(views, renderer(), dtype, False)

    empty = ts.Mesh(torch.zeros(3, 3, dtype=dtype), torch.zeros(0, 3, dtype=torch.int64))
    rendering = renderer()
    _, scene = rendering.scene(empty, pixel_camera(3, 4, dtype))
    curves = rendering.composite_curves(3)
    job = RasterJob(scene)
    inputs = CompositeInputs.of(job, curves)
    sums = CompositePass(job, curves)(*inputs)  # as an engine does it without faces
    assert sums.shape == (1, 3, 4, 3)
    assert not bool(sums.any())
    sums.sum().backward()


def test_twice_the_same(dtype):
    case = case_of(views_setup(40, SIZE, views=2, subdivisions=2), renderer(), dtype)
    first, again = of_kernels(case), of_kernels(case)
    assert torch.equal(first, again)
    before, after = gradients(case, first), gradients(case, again)
    for name, gradient in before.items():
        assert torch.equal(gradient, after[name]), name


def test_only_what_is_asked_for(dtype):
    case = case_of(soup_setup(41, 5, SIZE), renderer(), dtype)
    inputs = [x.detach() for x in case.inputs]
    inputs[0].requires_grad_()
    seen: list[tuple] = []

    class Watched(Kernels.operation):
        def adjoint(self, upstream, kept, inputs, needed):
            seen.append(super().adjoint(upstream, kept, inputs, needed))
            return seen[-1]

    Watched(case.job, case.curves, False)(*inputs).sum().backward()
    found = CompositeInputs(*seen[0])
    assert found.order_cells is None
    assert found.cells is None


@pytest.mark.parametrize("name", ["gaussian", "steep_generator", "max"])
def test_the_gradient_of_alpha_alone_is_a_part_of_all(name, dtype):
    case = case_of(soup_setup(31, 9, SIZE, batch=2), RENDERERS[name](), dtype)
    sums, leaves = of_kernels(case), list(case.leaves.values())
    up = normal_like(sums, torch.Generator().manual_seed(4)).to(sums)
    total = torch.zeros_like(up)
    total[..., 0] = up[..., 0]
    by_all, by_total, by_rest = (
        torch.autograd.grad(sums, leaves, x, retain_graph=True, materialize_grads=True)
        for x in (up, total, up - total)
    )
    for leaf, whole, part, rest in zip(case.leaves, by_all, by_total, by_rest, strict=True):
        # The total alone takes a shorter way.
        assert_close(part + rest, whole, GRADIENT[dtype], f"gradient of {leaf}")
    assert bool(by_total[0].any())


def small(name: str, opacity: bool) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """Return a contraction of the sums as a function of leaves and parameters, and a point."""
    setup = soup_setup(42, 3, (4, 5), size=3.0)
    rendering = RENDERERS[name]()
    names = [*setup.leaves, *dict(rendering.named_parameters())]
    point = [*setup.leaves.values(), *rendering.parameters()]

    def contracted(*values):
        given = dict(zip(names, values, strict=True))
        sums = functional_call(_Sums(rendering, setup, opacity), given)
        return (sums * normal_like(sums, torch.Generator().manual_seed(6))).sum()

    return contracted, [x.detach().clone().requires_grad_() for x in point]


class _Sums(torch.nn.Module):
    """Sums by the kernels, with leaves and parameters as parameters."""

    def __init__(self, rendering: ts.SoftRasterizer, setup: Setup, opacity: bool):
        super().__init__()
        self.softness, self.setup, self.opacity = rendering.softness, setup, opacity
        for name, leaf in setup.leaves.items():
            self.register_parameter(name, torch.nn.Parameter(leaf))

    def forward(self) -> Tensor:
        rendering = ts.SoftRasterizer(softness=self.softness)
        mesh, camera = self.setup.build({name: getattr(self, name) for name in self.setup.leaves})
        _, scene = rendering.scene(mesh, camera)
        job = RasterJob(scene)
        curves = rendering.composite_curves(camera.image_size[0])
        inputs = CompositeInputs.of(job, curves)
        return Kernels.operation(job, curves, self.opacity)(*inputs)


@pytest.mark.cpu_only
@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", ["gaussian", "hard_order", "max", "steep_generator"])
def test_against_finite_differences(name, opacity):
    contracted, point = small(name, opacity)
    assert gradcheck(contracted, point, eps=1e-6, atol=2e-6, rtol=1e-5)


@pytest.mark.cpu_only
@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", ["gaussian", "gaussian_order"])
def test_second_derivatives(name, opacity):
    contracted, point = small(name, opacity)
    assert gradgradcheck(contracted, point, eps=1e-6, atol=2e-5, rtol=1e-4)


def test_second_derivatives_are_those_of_the_graph(dtype):
    case = case_of(soup_setup(43, 4, (6, 7)), renderer(), dtype)
    found = []
    for sums in (of_kernels(case), of_graph(case)):
        (first,) = torch.autograd.grad(
            sums.square().sum(), case.leaves["vertices"], create_graph=True
        )
        leaves = list(case.leaves.values())
        found.append(torch.autograd.grad(first.square().sum(), leaves, retain_graph=True))
    for name, one, other in zip(case.leaves, *found, strict=True):
        assert_close(one, other, GRADIENT[dtype], name)
