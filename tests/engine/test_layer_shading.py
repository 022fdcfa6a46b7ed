"""Compositing of shaded fragments: weights by kernels, against the graph over all pairs of fragments."""

from __future__ import annotations

import contextlib
import gc

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from taichisoft.base import memory
from taichisoft.engine import layers
from taichisoft.engine.compositing import composite_fragments
from taichisoft.engine.layer_shading import shade_layers
from tests.engine.test_composite import (
    GRADIENT,
    RENDERERS,
    SIZE,
    STRAIGHT,
    VALUE,
    case_of,
    gradients,
)
from tests.helpers import assert_close, soup_setup, views_setup

NAMES = ["gaussian", "learned_order", "learned_t_conorm", "hard_order", "max", "max_hard_order"]


def shaded(rows: Tensor, image: Tensor) -> Tensor:
    """Return three colours and something between 0 and 1 that depend on attributes and image."""
    waves = torch.sin(3 * rows[:, :1] + rows[:, 1:2] + image[:, None])
    last = torch.sigmoid(rows.sum(-1, keepdim=True))
    return torch.cat([waves, waves.square(), rows[:, :1], last], -1)


def compare(setup, rendering, dtype, opacity: bool) -> None:
    """Assert that both agree, in values and gradients of everything."""
    case = case_of(setup, rendering, dtype)
    arguments = (case.job, case.curves, case.inputs)
    found = shade_layers(*arguments, shaded, opacity)
    exact = composite_fragments(*arguments, opacity=opacity, shader=shaded)
    assert_close(found.detach(), exact.detach(), VALUE[dtype], "sums")
    expected = gradients(case, exact)
    for name, gradient in gradients(case, found).items():
        assert_close(gradient, expected[name], GRADIENT[dtype], f"gradient of {name}")


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_soups(name, opacity, dtype):
    compare(soup_setup(51, 9, SIZE, batch=2), RENDERERS[name](), dtype, opacity)


@pytest.mark.cpu_only
@pytest.mark.parametrize("name", STRAIGHT)
def test_slopes_of_their_own(name):
    rendering = STRAIGHT[name]().requires_grad_(False)
    rendering.coverage.scale.requires_grad_(True)
    compare(soup_setup(52, 9, SIZE, batch=2), rendering, torch.float64, False)


@pytest.mark.parametrize("most", [1, 3000, 2**20])
def test_bands(most, dtype, monkeypatch):
    monkeypatch.setattr(layers, "BAND_NUMBERS", most)
    # Above and below the ball there is nothing.
    compare(views_setup(53, (20, 9), views=2), RENDERERS["gaussian"](), dtype, False)


def test_nothing_in_sight(dtype):
    setup = soup_setup(54, 3, SIZE)
    away = {**setup.leaves, "vertices": setup.leaves["vertices"] + 1000}
    case = case_of(type(setup)(away, setup.build), RENDERERS["gaussian"](), dtype)
    sums = shade_layers(case.job, case.curves, case.inputs, shaded, True)
    assert sums.shape == (1, *SIZE, 6)
    assert not bool(sums.any())


@pytest.mark.parametrize("opacity", [False, True])
@pytest.mark.parametrize("name", ["gaussian", "learned_order", "max"])
def test_second_derivatives(name, opacity, dtype, monkeypatch):
    # Each row is a band: all but the last are computed again.
    monkeypatch.setattr(layers, "BAND_NUMBERS", 1)
    case = case_of(soup_setup(55, 4, (6, 7)), RENDERERS[name](), dtype)
    arguments = (case.job, case.curves, case.inputs)
    leaves = list(case.leaves.values())
    found = []
    for sums in (
        shade_layers(*arguments, shaded, opacity),
        composite_fragments(*arguments, opacity=opacity, shader=shaded),
    ):
        (first,) = torch.autograd.grad(sums.square().sum(), leaves[:1], create_graph=True)
        second = torch.autograd.grad(
            first.square().sum(), leaves, retain_graph=True, materialize_grads=True
        )
        found.append(second)
    for leaf, one, other in zip(case.leaves, *found, strict=True):
        assert_close(one, other, GRADIENT[dtype], leaf)


@pytest.mark.cpu_only
def test_third_derivatives_say_what_to_do(monkeypatch):
    monkeypatch.setattr(layers, "BAND_NUMBERS", 1)
    case = case_of(soup_setup(56, 4, (6, 7)), RENDERERS["gaussian"](), torch.float64)
    vertices = case.leaves["vertices"]
    sums = shade_layers(case.job, case.curves, case.inputs, shaded, False)
    (first,) = torch.autograd.grad(sums.square().sum(), vertices, create_graph=True)
    with pytest.raises(RuntimeError, match="third derivatives of the rasterizer are not available"):
        torch.autograd.grad(first.square().sum(), vertices, create_graph=True)


def storages() -> dict[int, int]:
    """Return the bytes of the memory of all tensors that Python knows of, by where it is."""
    found = {}
    for x in gc.get_objects():
        # Some kinds of tensors have none.
        with contextlib.suppress(NotImplementedError):
            if type(x) is Tensor:
                found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
    return found


@pytest.mark.cpu_only
def test_no_more_is_kept_than_a_band(monkeypatch):
    case = case_of(soup_setup(57, 200, (24, 9)), RENDERERS["gaussian"](), torch.float64)

    def kept(most: int) -> int:
        monkeypatch.setattr(layers, "BAND_NUMBERS", most)
        before = storages()
        saved: list[Tensor] = []
        with saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
            sums = shade_layers(case.job, case.curves, case.inputs, shaded, False)
        assert sums.requires_grad
        return sum(size for where, size in storages().items() if where not in before)

    kept(1)  # what is made once
    assert kept(1) < kept(2**24) / 8


@pytest.mark.cpu_only
def test_what_does_not_fit_at_once_fits_in_bands(monkeypatch):
    case = case_of(soup_setup(57, 200, (24, 9)), RENDERERS["gaussian"](), torch.float64)
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 250_000)
    arguments = (case.job, case.curves, case.inputs, shaded, False)
    with pytest.raises(MemoryError, match=r"compositing [0-9]+ faces in a row of 9 pixels needs"):
        shade_layers(*arguments)
    monkeypatch.setattr(layers, "BAND_NUMBERS", 1)
    assert shade_layers(*arguments).requires_grad
