"""Images made by one kernel: against the graph of torch that does the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from taichisoft.engine.image import ComposedImages, Ground, compose
from taichisoft.render.image import ratio_or_zero
from tests.helpers import assert_close, normal_like, uniform

BACKGROUND = torch.tensor([0.2, 0.7], dtype=torch.float64)


def exact(alpha: Tensor, sums: Tensor) -> ComposedImages:
    means = ratio_or_zero(sums[..., -3:], sums[..., -4:-3])
    premultiplied = alpha[..., None] * means[..., 1:]
    color = premultiplied + (1 - alpha[..., None]) * BACKGROUND
    return alpha, means[..., 0], premultiplied, color


def inputs() -> tuple[Tensor, Tensor]:
    """Return totals from nothing to much, and sums; of a pixel without a weight, and with a faint one."""
    generator = torch.Generator().manual_seed(3)
    total = torch.tensor([0.0, 0.3, 1.0, 4.0, 30.0, 2.0], dtype=torch.float64).view(1, 2, 3)
    sums = uniform(generator, 1, 2, 3, 4, low=0.1)
    sums[0, 0, 0] = 0
    sums[0, 1, 2] *= 1e-300
    return total, sums


def made(through_total: bool, total: Tensor, sums: Tensor, of: str) -> tuple[ComposedImages, list]:
    """Return images and their leaves, of the kernel or of the graph; alpha depends on the total."""
    total, sums = total.clone().requires_grad_(), sums.clone().requires_grad_()
    alpha = -torch.expm1(-total)
    planes = torch.cat([total[..., None], sums], -1)
    ground = Ground(BACKGROUND, through_total, exact)
    images = compose(ground, alpha, planes) if of == "kernel" else exact(alpha, planes)
    return images, [total, sums]


@pytest.mark.cpu_only
@pytest.mark.parametrize("through_total", [False, True])
@pytest.mark.parametrize("chosen", [(0, 1, 2, 3), (3,), (0,), (1, 2)])
def test_images_and_gradients_are_those_of_the_graph(through_total, chosen):
    found, leaves = made(through_total, *inputs(), of="kernel")
    expected, other = made(through_total, *inputs(), of="graph")
    for image, right in zip(found, expected, strict=True):
        assert_close(image.detach(), right.detach(), 1e-15, "image")
    generator = torch.Generator().manual_seed(5)
    ups = [normal_like(x.detach(), generator) for x in expected]

    def gradients(images: ComposedImages, wanted: list[Tensor], graph: bool) -> tuple[Tensor, ...]:
        loss = sum((images[i] * ups[i]).sum() for i in chosen)
        return torch.autograd.grad(
            loss, wanted, create_graph=graph, allow_unused=True, materialize_grads=True
        )

    for graph in (True, False):
        by = gradients(found, leaves, graph)
        right = gradients(expected, other, graph)
        for ours, theirs, what in zip(by, right, ("total", "sums"), strict=True):
            assert_close(ours.detach(), theirs.detach(), 1e-14, what)
        if graph:
            second = torch.autograd.grad(by[0].square().sum(), leaves[0], retain_graph=True)[0]
            twice = torch.autograd.grad(right[0].square().sum(), other[0], retain_graph=True)[0]
            assert_close(second, twice, 1e-14, "second derivative")
