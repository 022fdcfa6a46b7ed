"""Kernels with bundles: every field arrives where it belongs."""

from typing import NamedTuple

import pytest
import torch

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, kernel


class Pair(NamedTuple):
    """Arrays."""

    values: Floats
    order: Ints


class Inputs(NamedTuple):
    """A bundle with a bundle."""

    doubled: Constant
    pair: Pair
    offset: float
    count: int


@kernel(ti.f32)
def reordered(inputs: Inputs, factor: float, pair_out: Pair):
    for i in range(inputs.count):
        at = inputs.pair.order[i]
        pair_out.values[i] = added(inputs, at) * factor
        pair_out.order[i] = at
        if ti.static(inputs.doubled):
            pair_out.values[i] = pair_out.values[i] * 2


@ti.func
def added(inputs: ti.template(), at):
    return inputs.pair.values[at] + inputs.offset


@pytest.mark.parametrize("doubled", [False, True])
def test_fields_of_bundles_in_bundles(doubled):
    values, order = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 1], dtype=torch.int32)
    for factor in (10.0, 20.0):  # compiled, and once more without Taichi's front door
        out = Pair(torch.zeros(3), torch.zeros(3, dtype=torch.int32))
        reordered(Inputs(doubled, Pair(values, order), 0.5, 3), factor, out)
        expected = (values[order.long()] + 0.5) * factor * (2 if doubled else 1)
        assert out.values.tolist() == expected.tolist()
        assert out.order.tolist() == order.tolist()


def test_wrong_number_of_arguments():
    with pytest.raises(TypeError, match="pair_out"):
        reordered(Inputs(False, Pair(torch.zeros(1), torch.zeros(1)), 0.0, 1), 1.0)
