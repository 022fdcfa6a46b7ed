"""A softness in float32, and one whose image is on another device than itself."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.softness.curves import SoftnessCurves
from tests.zoo import aggregation as aggregation_cases
from tests.zoo import coverage as coverage_cases
from tests.zoo.occlusion import OCCLUSIONS

# Curves whose parameters are rounded to float32 may differ from the exact ones by this, about twice what was
# measured.
ROUNDING = 1e-6


def numbers(low: float, high: float) -> torch.Tensor:
    return torch.linspace(low, high, 201, dtype=torch.float64)


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.detach(), expected.detach(), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", coverage_cases.CASES)
def test_coverage_in_float32(name):
    exact, single = (coverage_cases.CASES[name].make(ts.Pixels(1.0)) for _ in range(2))
    single.float()
    # Not where a slope is infinite, and a rounded shift moves a coverage by much more.
    s = numbers(-6.01, 6.02)
    assert_close(single(s), exact(s))
    assert_close(single.without_tail(s), exact.without_tail(s))


@pytest.mark.parametrize("name", aggregation_cases.CASES)
def test_aggregation_in_float32(name):
    exact, single = (aggregation_cases.CASES[name].make() for _ in range(2))
    single.float()
    coverage = numbers(0, 0.999)
    total = exact.generator(coverage).detach()
    relative = (single.generator(coverage).detach() / total - 1)[1:]
    assert float(relative.abs().max()) < ROUNDING
    assert_close(single.inverse(total), exact.inverse(total))
    assert single.inverse(total.float()).dtype == torch.float32


@pytest.mark.parametrize("name", OCCLUSIONS)
def test_occlusion_in_float32(name):
    exact, single = (OCCLUSIONS[name](0.3) for _ in range(2))
    single.float()
    u = numbers(-6, 0)
    assert_close(single(u), exact(u))
    assert float(single(u[-1:]).detach()) == 1


@pytest.mark.parametrize(
    "softness",
    [
        ts.Softness(
            ts.MLPCoverage(), aggregation_cases.random_generator(0.5, 1), ts.MLPOcclusion()
        ),
        ts.Softness(
            ts.MonotoneSpline(), ts.Dombi(ts.Positive(1.5, learn=True)), ts.MonotoneDepth()
        ),
        ts.Softness(
            ts.Mixture([ts.Gaussian(ts.Pixels(1.3, learn=True)), ts.Uniform(shift=0.3)]),
            occlusion=ts.DepthSoftmax(),
        ),
        ts.Softness(
            ts.MLPCoverage(),
            aggregation_cases.random_generator(0.5, 1),
            ts.FrontToBack(ts.MonotoneSpline(), ts.DepthFraction(0.1)),
        ),
    ],
    ids=["networks", "splines", "mixture", "front to back"],
)
def test_curves_and_their_gradients_in_float32(softness):
    softness = softness.float()
    curves = SoftnessCurves(softness)
    tables = [curves.generator(64).table, curves.coverage(64).table]
    if isinstance(softness.occlusion, ts.FrontToBack):
        composite = curves.composite(64)
        tables += [composite.order, composite.part, composite.inverse]
    else:
        tables += [curves.occlusion().table]
    sum(table.cells.sum() for table in tables).backward()
    for name, parameter in softness.named_parameters():
        if "scale" not in name and "gamma" not in name:
            assert parameter.grad.dtype == torch.float32, name
            assert bool(parameter.grad.isfinite().all()), name


@pytest.mark.parametrize("name", aggregation_cases.CASES)
def test_totals_on_another_device(name):
    # The softness stays on the CPU, wherever the image is; the meta device computes shapes and types alone.
    total = torch.empty(2, 5, dtype=torch.float32, device="meta", requires_grad=True)
    aggregation = aggregation_cases.CASES[name].make()
    alpha = aggregation.inverse(total)
    assert (alpha.device.type, alpha.dtype, alpha.shape) == ("meta", total.dtype, total.shape)
