"""Functions of whole vectors against torch."""

import pytest
import torch

from taichisoft.base.backend import kernel_dtype
from taichisoft.engine.kernels.kernel import Vectors, vector_kernel
from taichisoft.engine.kernels.vectors import lanes_of, vector_functions

pytestmark = pytest.mark.cpu_only


def exponentials(real):
    """Return a kernel that writes ``exp(-x)`` and ``1 - exp(-x)``."""
    of = vector_functions(real)

    @vector_kernel(real)
    def run(count: int, x: Vectors, passed_out: Vectors, rest_out: Vectors):
        for i in range(count):
            passed, rest = of.exp_and_rest(x[i])
            passed_out[i] = passed
            rest_out[i] = rest

    return run


def test_exponentials_are_as_exact_as_they_say(dtype):
    lanes = lanes_of(kernel_dtype(dtype))
    x = torch.cat([torch.logspace(-30, 1.9, 4000), torch.linspace(0, 80, 4000)]).to(dtype)
    x = x.reshape(-1, lanes)
    passed, rest = torch.empty_like(x), torch.empty_like(x)
    exponentials(kernel_dtype(dtype))(len(x), x, passed, rest)
    exact = -x.double()
    epsilon = torch.finfo(dtype).eps
    assert ((passed.double() / torch.exp(exact) - 1).abs() <= (4 + x.double()) * epsilon).all()
    expected = -torch.expm1(exact)
    assert ((rest.double() - expected).abs() <= 4 * epsilon * expected).all()


def test_beyond_the_range_of_the_numbers_nothing_passes(dtype):
    x = torch.full((1, lanes_of(kernel_dtype(dtype))), 1e4, dtype=dtype)
    passed, rest = torch.empty_like(x), torch.empty_like(x)
    exponentials(kernel_dtype(dtype))(1, x, passed, rest)
    assert (passed >= 0).all()
    assert (passed < 1e-34).all()
    assert torch.equal(rest, torch.ones_like(rest))
