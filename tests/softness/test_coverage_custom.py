"""Any module as a coverage: what is accepted, and what is refused with a message."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from taichisoft.softness.coverage import CustomCoverage, Gaussian
from taichisoft.softness.tables.table import tabulate
from tests.zoo.coverage import small_network

S = torch.linspace(-3, 3, 13, dtype=torch.float64)


class Apply(nn.Module):
    """A module made of a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        """Apply the function."""
        return self.function(x)


@pytest.mark.parametrize("float_type", [torch.float32, torch.float64])
def test_a_network_in_a_column_keeps_its_dtype(float_type):
    network = small_network().to(float_type)
    coverage = CustomCoverage(network, 2.0, reach=3.0)
    with torch.no_grad():
        expected = network(S.to(float_type).unsqueeze(-1)).squeeze(-1).double()
    found = coverage(S)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=0)
    assert (coverage.domain().low, coverage.domain().high) == (-3, 3)
    found.sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in network.parameters())


def test_a_function_of_each_number_is_called_flat_in_float64():
    seen = []

    def function(x):
        seen.append((x.shape, x.dtype))
        return torch.sigmoid(x)

    coverage = CustomCoverage(Apply(function))
    found = coverage(S.reshape(1, 13))
    assert found.shape == (1, 13)
    torch.testing.assert_close(found[0], torch.sigmoid(S), rtol=0, atol=0)
    assert all(len(shape) == 1 and kind == torch.float64 for shape, kind in seen)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("module", [small_network(), nn.Sigmoid()])
def test_any_shape(shape, module):
    s = torch.linspace(-1, 1, max(1, torch.Size(shape).numel()), dtype=torch.float64)
    found = CustomCoverage(module)(s.reshape(shape))
    assert found.shape == shape
    torch.testing.assert_close(found.reshape(-1), CustomCoverage(module)(s), rtol=0, atol=0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x > 0).to(x.dtype),
        lambda x: (torch.sign(x) + 1) / 2,
        lambda x: torch.full_like(x, 0.5),
        lambda x: (x / 6 + 0.5).clamp(0, 1),
        lambda x: nn.functional.relu6(x + 3) / 6,
        torch.sigmoid,
    ],
    ids=["step", "sign", "constant", "clamp", "relu6", "sigmoid"],
)
def test_modules_with_any_slope_can_be_tabulated(function):
    coverage = CustomCoverage(Apply(function))
    table = tabulate(
        coverage.without_tail, coverage.without_tail(S.new_tensor([4.0])), coverage.domain()
    )
    # Not near the corners of the step and the ramp.
    s = torch.tensor([-3.9, -2.5, -0.3, 0.1, 2.2, 3.9], dtype=torch.float64)
    torch.testing.assert_close(table(s), coverage.without_tail(s), rtol=0, atol=1e-9)


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad])
def test_a_module_without_a_second_derivative(context):
    message = "module must be differentiable twice, but torch cannot: .*hardsigmoid_backward"
    with context(), pytest.raises(ValueError, match=message):
        CustomCoverage(nn.Hardsigmoid())


def test_it_cannot_be_saved():
    with pytest.raises(TypeError, match="CustomCoverage of a Sequential cannot be saved"):
        CustomCoverage(small_network()).settings()


def test_rounding_beyond_one_is_accepted_and_clipped():
    coverage = CustomCoverage(Apply(lambda x: torch.sigmoid(x) * (1 + 5e-7) - 2e-7), reach=20.0)
    assert float(coverage.without_tail(S.new_tensor([20.0]))) == 1


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (torch.sigmoid, TypeError, "module must be a Module"),
        (Gaussian(), TypeError, "module must not be a Coverage.* got Gaussian"),
        (nn.Linear(3, 1), ValueError, r"module must map a tensor \(N,\).* cannot be multiplied"),
        (nn.Linear(1, 2), ValueError, r"module must map .* the shape \(257, 2\)"),
        (Apply(lambda x: x.sum()), ValueError, r"module must map .* the shape \(\)"),
        (Apply(lambda x: (x, x)), ValueError, "module must map .* a tuple and AttributeError"),
        (Apply(lambda x: (x > 0).long()), TypeError, "module must return floating-point numbers"),
        (nn.Identity(), ValueError, r"module must return numbers in \[0, 1\], got -4 at -4"),
        (Apply(lambda x: 1.01 * torch.sigmoid(9 * x)), ValueError, r"got 1\.00\d+ at"),
        (
            Apply(lambda x: x / x),
            ValueError,
            r"module must return numbers in \[0, 1\], got nan at 0",
        ),
        (
            Apply(lambda x: torch.sigmoid(x - x[-1])),
            ValueError,
            "module must map each number on its own",
        ),
        (
            nn.Sequential(nn.Sigmoid(), nn.Dropout(0.5), nn.Hardtanh(0, 1)),
            ValueError,
            "module must map each number on its own",
        ),
    ],
)
def test_bad_modules(module, error, message):
    with pytest.raises(error, match=message):
        CustomCoverage(module)


def test_bad_reach():
    with pytest.raises(ValueError, match="reach must be finite and greater than 0"):
        CustomCoverage(nn.Sigmoid(), reach=0.0)
