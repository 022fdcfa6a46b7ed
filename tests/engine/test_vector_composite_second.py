"""Second derivatives of compositing front to back in whole vectors, against the graph over all pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck
from torch.func import functional_call

import taichisoft as ts
from taichisoft.engine import vector_composite
from taichisoft.engine.bridge import Rendered
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.vector_composite import VectorCompositePass
from taichisoft.engine.vector_composite_second import rates_of
from tests.engine.test_composite import RENDERERS, Case, cards, case_of, renderer
from tests.helpers import (
    Setup,
    assert_close,
    learned,
    normal_like,
    soup_setup,
    uniform,
    views_setup,
)
from tests.zoo.layers import LAYERED

pytestmark = pytest.mark.cpu_only

SIZE = (12, 15)
# Relative to the largest entry, by float type: float32 on both sides.
CLOSE = {torch.float64: 1e-9, torch.float32: 5e-3}
# The cells of tables stay here.
MOVING = ("points", "attributes", "width", "at_tie", "gammas")
SUMS = tuple(name for name in LAYERED if "max" not in name)


def rates_like(inputs: CompositeInputs, names: tuple[str, ...]) -> CompositeInputs:
    """Return random rates of inputs."""
    found = {}
    for number, name in enumerate(names):
        x = getattr(inputs, name)
        found[name] = normal_like(x, torch.Generator().manual_seed(number)).to(x)
    return CompositeInputs(*(found.get(name) for name in CompositeInputs._fields))


def rates_through(case: Case) -> CompositeInputs:
    """Return rates of all inputs that random rates of leaves and parameters bring about."""
    leaves = list(case.leaves.values())
    chosen = {n: x for n, x in case.inputs._asdict().items() if x.requires_grad}
    seeds = [torch.zeros_like(x).requires_grad_() for x in chosen.values()]
    back = torch.autograd.grad(
        list(chosen.values()), leaves, seeds, create_graph=True, allow_unused=True
    )
    pairs = [
        (g, normal_like(g, torch.Generator().manual_seed(n)).to(g))
        for n, g in enumerate(back)
        if g is not None
    ]
    found = torch.autograd.grad(
        [g for g, _ in pairs], seeds, [v for _, v in pairs], retain_graph=True, allow_unused=True
    )
    rates = dict(zip(chosen, found, strict=True))
    return CompositeInputs(*(rates.get(name) for name in CompositeInputs._fields))


def both(
    case: Case, opacity: bool, rates: CompositeInputs | None = None
) -> list[dict[str, Tensor]]:
    """Return all second derivatives by the kernel and by the graph; of cells those of what makes them.

    Where tables are constant it does not matter which cell a number is in.
    """
    operation = VectorCompositePass(case.job, case.curves, opacity)
    inputs = CompositeInputs(*(x.detach() for x in case.inputs))
    sums, kept = operation.values(*inputs)
    upstream = normal_like(sums, torch.Generator().manual_seed(8)).to(sums)
    rates = rates_like(inputs, MOVING) if rates is None else rates
    assert not operation._has_corners
    arguments = (upstream, kept, inputs, rates, (True,) * (1 + len(inputs)))
    found = (operation.second_order(*arguments), Rendered.second_order(operation, *arguments))
    return [named(case, of) for of in found]


def named(case: Case, gradients: tuple[Tensor | None, ...]) -> dict[str, Tensor]:
    """Return gradients by name, and those of all leaves and parameters."""
    by_upstream, *by_inputs = gradients
    of = CompositeInputs(*by_inputs)
    found = {"upstream": by_upstream, **{name: getattr(of, name) for name in MOVING}}
    pairs = [
        (x, g)
        for x, g in zip(case.inputs, by_inputs, strict=True)
        if g is not None and x.requires_grad
    ]
    through = torch.autograd.grad(
        [x for x, _ in pairs],
        list(case.leaves.values()),
        [g for _, g in pairs],
        retain_graph=True,
        allow_unused=True,
    )
    found.update({name: g for name, g in zip(case.leaves, through, strict=True) if g is not None})
    return found


def compare(
    case: Case, dtype: torch.dtype, opacity: bool, rates: CompositeInputs | None = None
) -> None:
    found, expected = both(case, opacity, rates)
    assert found.keys() == expected.keys()
    for name, right in expected.items():
        assert_close(found[name], right, CLOSE[dtype], name)


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", SUMS)
def test_soups(name, opacity, dtype):
    compare(case_of(soup_setup(32, 9, SIZE, batch=2), LAYERED[name](), dtype), dtype, opacity)


@pytest.mark.parametrize("moving", MOVING)
def test_one_input_moves(moving, dtype):
    case = case_of(soup_setup(31, 9, SIZE, batch=2), renderer(), dtype)
    compare(case, dtype, True, rates_like(case.inputs, (moving,)))


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", [name for name in RENDERERS if "max" not in name])
def test_all_that_is_learned_moves(name, opacity, dtype):
    case = case_of(soup_setup(31, 9, SIZE, batch=2), RENDERERS[name](), dtype)
    rates = rates_through(case)
    learns_tables = name.startswith(("learned", "steep"))
    assert (rates_of(rates).tables is not None) == learns_tables
    compare(case, dtype, opacity, rates)


@pytest.mark.parametrize("name", ["gaussian", "learned_order", "steep_generator"])
def test_views_of_a_ball(name, dtype):
    case = case_of(views_setup(33, SIZE, views=2), RENDERERS[name](), dtype)
    compare(case, dtype, False)


@pytest.mark.parametrize("name", ["gaussian", "hard_order", "one_sided_order"])
def test_equal_depths(name, dtype):
    depths = torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    compare(case_of(cards(depths), RENDERERS[name](), dtype), dtype, False)


def test_equal_depths_while_tables_move(dtype):
    depths = torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    case = case_of(cards(depths), RENDERERS["learned_order"](), dtype)
    rates = rates_through(case)
    assert float(rates.at_tie[1]) != 0
    compare(case, dtype, False, rates)


def test_hundreds_of_faces_at_a_pixel(dtype):
    depths = uniform(torch.Generator().manual_seed(3), 100) * 0.7 + 1
    rendering = renderer()
    # Faint ones, so that something of the last one is seen.
    rendering.coverage = ts.Logistic(learned(2000.0))
    compare(case_of(cards(depths), rendering, dtype), dtype, False)


@pytest.mark.parametrize("name", ["gaussian", "learned_order"])
def test_in_float32(name):
    # Against float64, of what is rounded to float32 before: second derivatives lose more digits than first.
    setup = soup_setup(34, 9, SIZE, batch=2)
    rounded = Setup({n: x.float().double() for n, x in setup.leaves.items()}, setup.build)
    rendering = RENDERERS[name]()
    found, _ = both(case_of(rounded, rendering, torch.float32), True)
    exact, _ = both(case_of(rounded, rendering, torch.float64), True)
    for key, right in exact.items():
        assert_close(found[key].double(), right.double(), CLOSE[torch.float32], key)


@pytest.mark.parametrize("channels", [0, 1, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (19, 2)])
def test_sizes_and_kinds_of_colours(size, channels, dtype):
    setup = soup_setup(35, 7, size, batch=3)
    colors = uniform(torch.Generator().manual_seed(1), 21, channels)
    setup = Setup({**setup.leaves, "colors": colors}, setup.build)
    compare(case_of(setup, renderer(), dtype), dtype, False)


def test_faces_without_area(dtype):
    setup = soup_setup(38, 8, SIZE, batch=2)
    vertices = setup.leaves["vertices"].clone()
    vertices[:, 3:6] = vertices[:, 3:4]
    vertices[:, 8] = vertices[:, 7]
    colors = setup.leaves["colors"].clone()
    # Which of the vertices at one place is seen is rounding: they have one colour, and stay together.
    colors[4:6], colors[8] = colors[3], colors[7]
    case = case_of(Setup({"vertices": vertices, "colors": colors}, setup.build), renderer(), dtype)
    rates = rates_like(case.inputs, MOVING)
    for rate in (rates.points, rates.attributes):
        by_image = rate.view(-1, 24, rate.shape[-1])
        by_image[:, 4:6], by_image[:, 8] = by_image[:, 3:4], by_image[:, 7]
    found, expected = both(case, False, rates)
    for name, right in expected.items():
        ours = found[name]
        if name in ("points", "attributes", "vertices", "colors"):
            ours, right = together(ours), together(right)
        assert_close(ours, right, CLOSE[dtype], name)


def test_first_derivatives_of_faces_without_area(dtype):
    setup = soup_setup(38, 8, SIZE, batch=2)
    vertices = setup.leaves["vertices"].clone()
    vertices[:, 8] = vertices[:, 7]
    colors = setup.leaves["colors"].clone()
    colors[8] = colors[7]
    case = case_of(Setup({"vertices": vertices, "colors": colors}, setup.build), renderer(), dtype)
    operation = VectorCompositePass(case.job, case.curves, False)
    gradients = [
        torch.autograd.grad(sums.square().sum(), case.leaves["vertices"], retain_graph=True)[0]
        for sums in (operation(*case.inputs), operation.render((), *case.inputs))
    ]
    assert_close(*(together(g) for g in gradients), CLOSE[dtype], "vertices")


def together(gradient: Tensor) -> Tensor:
    """Return gradients of vertices, those of the ones at one place summed."""
    by_image = gradient.clone().view(-1, 24, gradient.shape[-1])
    at_one_place = by_image[:, 3:6].sum(1), by_image[:, 7:9].sum(1)
    return torch.cat([by_image, *(x[:, None] for x in at_one_place)], 1)[
        :, [*range(3), 6, *range(9, 26)]
    ]


def test_inside_of_a_ball(dtype):
    views = views_setup(39, SIZE, views=2)
    # Into the ball.
    views = Setup({**views.leaves, "eye": views.leaves["eye"] * 0.35}, views.build)
    compare(case_of(views, renderer(), dtype), dtype, False)


def never(*arguments, **options):
    raise AssertionError("the graph is not wanted here")


def test_without_the_graph(dtype, monkeypatch):
    rendering = ts.SoftRasterizer(ts.Gaussian(learned(1.3)))
    setup = soup_setup(43, 4, (6, 7))
    leaves = {name: leaf.to(dtype).requires_grad_() for name, leaf in setup.leaves.items()}
    monkeypatch.setattr(vector_composite, "composite_fragments", never)
    mesh, camera = setup.build(leaves)
    image = rendering(mesh, camera)
    (first,) = torch.autograd.grad(
        image.color.square().sum() + image.depth.sum(), leaves["vertices"], create_graph=True
    )
    # Of learned softness too: what the gradient of the vertices depends on.
    wanted = [*leaves.values(), *(p for p in rendering.parameters() if p.requires_grad)]
    assert all(bool(g.any()) for g in torch.autograd.grad(first.square().sum(), wanted))


class Rendering(torch.nn.Module):
    """Images of a renderer, with leaves and parameters as parameters."""

    def __init__(self, rendering: ts.SoftRasterizer, setup: Setup):
        super().__init__()
        self.rendering, self.setup = rendering, setup
        for name, leaf in setup.leaves.items():
            self.register_parameter(name, torch.nn.Parameter(leaf))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return colour and depth."""
        leaves = {name: getattr(self, name) for name in self.setup.leaves}
        image = self.rendering(*self.setup.build(leaves))
        return image.color, image.depth


@pytest.mark.parametrize("name", ["gaussian", "learned_t_conorm", "absolute_gamma"])
def test_whole_renders_against_finite_differences(name):
    setups = {"absolute_gamma": views_setup(44, (5, 4), views=1, subdivisions=0)}
    setup = setups.get(name, soup_setup(42, 3, (4, 5), size=3.0))
    module = Rendering(RENDERERS[name](), setup)
    names = list(dict(module.named_parameters()))
    point = [p.detach().clone().requires_grad_() for p in module.parameters()]

    def rendered(*values):
        return functional_call(module, dict(zip(names, values, strict=True)))

    assert gradgradcheck(rendered, point, eps=1e-6, atol=1e-4, rtol=1e-4, fast_mode=True)
