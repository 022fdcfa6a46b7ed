"""Opacity in pictures of layers that can be written down, and in the twin."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import Leaves, Setup, assert_close, outcome, soup_setup
from tests.render.cards import WITHIN_A_PIXEL, camera, card, scene
from tests.zoo.layers import LAYERED, layered

pytestmark = pytest.mark.cpu_only

KIND = torch.float64
SIZE = 32
RED_AND_GREEN = torch.eye(2, dtype=KIND)


def opacities(*values: float | Tensor) -> Tensor:
    """Return the opacity of each face of cards."""
    numbers = [torch.as_tensor(x, dtype=KIND) for x in values]
    return torch.stack(numbers).repeat_interleave(2)


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("opacity", [0.05, 0.3, 0.95])
def test_edge_of_glass_before_a_wall(opacity, hard):
    """Its edge moves as much of the colour and the depth as the glass hides of the wall."""
    edge = (16 + WITHIN_A_PIXEL).requires_grad_()
    glass = torch.tensor(opacity, dtype=KIND, requires_grad=True)
    # Its diagonal is beside the glass: behind glass two faces that meet leave each other too little.
    wall = card(-9, -99, SIZE + 9, SIZE + 9, 7.0)
    mesh = scene([card(6.15, 6, edge, 26, 2), wall], RED_AND_GREEN)
    order = ts.FrontToBack(ts.Heaviside()) if hard else ts.FrontToBack()
    renderer = ts.SoftRasterizer(ts.Gaussian(0.4), ts.BoundedSum(), order)
    image = renderer(mesh, camera(SIZE), opacity=opacities(glass, 1.0))
    red, depth = image.color[..., 0].sum((1, 2)).mean(), image.depth.sum((1, 2)).mean()
    area = (edge.mean().item() - 6.15) * 20
    assert float(red.detach()) == pytest.approx(opacity * area, rel=0.02)
    by_edge, by_glass = torch.autograd.grad(red, (edge, glass), retain_graph=True)
    assert float(by_edge.sum()) == pytest.approx(20 * opacity, rel=0.03)
    assert float(by_glass) == pytest.approx(area, rel=0.03)
    (by_edge,) = torch.autograd.grad(depth, edge)
    assert float(by_edge.sum()) == pytest.approx(20 * opacity * (2 - 7), rel=0.03)
    # The tails of coverages are cut off at 1e-4.
    assert float((image.alpha - 1).detach().abs().max()) < 2e-4


@pytest.mark.parametrize("conorm", [ts.Probabilistic, ts.BoundedSum, ts.Max])
def test_three_layers_of_glass(conorm):
    """What is left after each is what the T-conorm says; the order of the faces does not count."""
    cards = [card(-9, -9, 17, 17, z) for z in (3.0, 1.0, 2.0)]
    share = torch.tensor([0.6, 0.2, 0.4], dtype=KIND, requires_grad=True)
    mesh = scene(cards, torch.eye(3, dtype=KIND))
    renderer = ts.SoftRasterizer(ts.Heaviside(), conorm(), ts.FrontToBack(ts.Heaviside()))
    image = renderer(mesh, camera(8), opacity=opacities(*share))
    back, front, middle = share
    if conorm is ts.Probabilistic:
        weights = [front, (1 - front) * middle, (1 - front) * (1 - middle) * back]
    elif conorm is ts.BoundedSum:
        weights = [front, middle, 1 - front - middle]
    else:
        weights = [front, middle - front, back - middle]
    color = torch.stack([weights[2], weights[0], weights[1]])
    # Beside the diagonal, where two faces meet.
    found = image.color[0, 2, 5]
    # But for the error of the tables.
    torch.testing.assert_close(found, color, rtol=0, atol=2e-8)
    torch.testing.assert_close(image.alpha[0, 2, 5], color.sum(), rtol=0, atol=2e-8)
    cotangent = torch.tensor([1.0, -2.0, 0.5], dtype=KIND)
    ours, theirs = (
        torch.autograd.grad((x * cotangent).sum(), share, retain_graph=True)[0]
        for x in (found, color)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def glassy(setup: Setup, faces: int) -> Setup:
    """Return the setup with an opacity of each face."""
    share = torch.rand(faces, generator=torch.Generator().manual_seed(3), dtype=KIND)
    leaves = {**setup.leaves, "opacity": 0.1 + 0.8 * share}

    def build(x: Leaves) -> tuple:
        mesh, view = setup.build(x)
        return mesh, view, x["opacity"]

    return Setup(leaves, build)


@pytest.mark.parametrize("name", ["default", "logistic", "frank", "yager", "monotone", "max soft"])
def test_engine_agrees_with_the_twin(name):
    setup, renderer = glassy(soup_setup(5, 6, (9, 11)), 6), LAYERED[name]()

    def twin(mesh, view, opacity):
        return reference.render(renderer, mesh, view, opacity=opacity, tabulated=True)

    def engine(mesh, view, opacity):
        return renderer(mesh, view, opacity=opacity)

    exact = outcome(setup, renderer, KIND, twin)
    fused = outcome(setup, renderer, KIND, engine)
    for what, value in exact.values.items():
        assert_close(fused.values[what], value, 1e-12, what)
    for what, gradient in exact.gradients.items():
        assert_close(fused.gradients[what], gradient, 1e-10, f"gradient of {what}")


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_derivatives_are_those_of_differences(check):
    renderer = layered("logistic", order=ts.Logistic())
    setup = glassy(soup_setup(11, 3, (4, 5), size=4.0), 3)

    def images(*values: Tensor) -> tuple[Tensor, ...]:
        mesh, view, opacity = setup.build(dict(zip(setup.leaves, values, strict=True)))
        image = renderer(mesh, view, opacity=opacity)
        return image.alpha, image.alpha * image.depth, image.color

    inputs = [x.clone().requires_grad_() for x in setup.leaves.values()]
    assert check(images, inputs, fast_mode=True, atol=1e-6, rtol=1e-4)
