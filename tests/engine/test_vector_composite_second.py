"""Second derivatives of compositing front to back in whole vectors, against the graph over all pairs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck

import taichisoft as ts
from taichisoft.engine.bridge import Rendered
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.vector_composite import VectorCompositePass
from tests.engine.test_composite import Case, cards, case_of, renderer
from tests.helpers import Setup, assert_close, normal_like, soup_setup, views_setup
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


def both(case: Case, opacity: bool, names: tuple[str, ...] = MOVING) -> list[dict[str, Tensor]]:
    """Return all second derivatives by the kernel and by the graph; of cells those of what makes them.

    Where tables are constant it does not matter which cell a number is in.
    """
    operation = VectorCompositePass(case.job, case.curves, opacity)
    inputs = CompositeInputs(*(x.detach() for x in case.inputs))
    sums, kept = operation.values(*inputs)
    upstream = normal_like(sums, torch.Generator().manual_seed(8)).to(sums)
    rates = rates_like(inputs, names)
    assert operation._rates(rates) is not None
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


def compare(case: Case, dtype: torch.dtype, opacity: bool, names: tuple[str, ...] = MOVING) -> None:
    found, expected = both(case, opacity, names)
    assert found.keys() == expected.keys()
    for name, right in expected.items():
        assert_close(found[name], right, CLOSE[dtype], f"{name} by {names}")


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", SUMS)
def test_soups(name, opacity, dtype):
    compare(case_of(soup_setup(31, 9, SIZE, batch=2), LAYERED[name](), dtype), dtype, opacity)


@pytest.mark.parametrize("moving", MOVING)
def test_one_input_moves(moving, dtype):
    case = case_of(soup_setup(31, 9, SIZE, batch=2), renderer(), dtype)
    compare(case, dtype, True, (moving,))
