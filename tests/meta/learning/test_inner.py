"""The inner step of Adam: that of torch, for all unknowns at once, and differentiable."""

from __future__ import annotations

import torch

from meta.learning.inner import AdamState, InnerSettings, adam_step
from tasks import Split
from tasks.hard import hard_renderer
from tasks.pose import PoseFamily

SETTINGS = InnerSettings(steps=5, learning_rate=0.1)
SHAPES = {"a": (3, 2), "b": (3,), "c": (3, 0), "d": (3, 1, 4)}


def unknowns(dtypes: dict[str, torch.dtype], seed: int) -> dict[str, torch.Tensor]:
    """Return random unknowns."""
    random = torch.Generator().manual_seed(seed)
    return {k: torch.randn(SHAPES[k], generator=random).to(dtype) for k, dtype in dtypes.items()}


def test_steps_are_those_of_torch_for_unknowns_of_any_shape_and_dtype():
    dtypes = dict.fromkeys(SHAPES, torch.float32) | {"b": torch.float64}
    start = unknowns(dtypes, 0)
    zeros = {k: torch.zeros_like(v) for k, v in start.items()}
    state = AdamState(start, zeros, dict(zeros), 0)
    parameters = {k: torch.nn.Parameter(v.clone()) for k, v in start.items()}
    peer = torch.optim.Adam(parameters.values(), lr=0.1, betas=SETTINGS.betas)
    for step in range(4):
        gradients = unknowns(dtypes, 1 + step)
        state = adam_step(state, gradients, SETTINGS)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        peer.step()
        assert state.step == step + 1
        assert list(state.unknowns) == list(start)
        for name, parameter in parameters.items():
            assert state.unknowns[name].dtype == dtypes[name]
            torch.testing.assert_close(state.unknowns[name], parameter.detach())
            torch.testing.assert_close(state.second[name], peer.state[parameter]["exp_avg_sq"])


def test_a_gradient_that_is_not_finite_stops_its_element_alone():
    dtypes = dict.fromkeys(("a", "b"), torch.float64)
    start = unknowns(dtypes, 0)
    zeros = {k: torch.zeros_like(v) for k, v in start.items()}
    state = AdamState(start, zeros, dict(zeros), 0)
    gradients = unknowns(dtypes, 1)
    whole = adam_step(state, gradients, SETTINGS)
    gradients["a"][1, 0], gradients["b"][2] = float("nan"), float("inf")
    part = adam_step(state, gradients, SETTINGS)
    for name, where in (("a", (1, 0)), ("b", (2,))):
        stays = torch.zeros_like(start[name], dtype=torch.bool)
        stays[where] = True
        for found, full, before in (
            (part.unknowns, whole.unknowns, start),
            (part.first, whole.first, zeros),
            (part.second, whole.second, zeros),
        ):
            assert torch.equal(found[name], torch.where(stays, before[name], full[name]))


def test_a_step_has_derivatives_in_all_that_it_depends_on():
    dtypes = dict.fromkeys(("a", "b"), torch.float64)
    parts = [unknowns(dtypes, seed) for seed in range(4)]
    parts[3] = {k: v.square() + 0.1 for k, v in parts[3].items()}
    leaves = [v.requires_grad_() for part in parts for v in part.values()]

    def after(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        value, gradient, first, second = (
            dict(zip(dtypes, values[i : i + 2], strict=True)) for i in range(0, 8, 2)
        )
        state = adam_step(AdamState(value, first, second, 2), gradient, SETTINGS)
        found = (state.unknowns, state.first, state.second)
        return tuple(part[name] for part in found for name in dtypes)

    assert torch.autograd.gradcheck(after, leaves)
    assert torch.autograd.gradgradcheck(after, leaves)


def test_an_error_in_inference_mode_leaves_its_gradient_alone():
    task = PoseFamily(image_size=(8, 8)).sample(0, 2, Split.TRAIN)
    with torch.inference_mode():
        inside = task.error(task.init())
    leaves = {k: v.requires_grad_() for k, v in task.init().items()}
    error = task.error(leaves)
    assert torch.equal(error.detach(), inside)
    (slope,) = torch.autograd.grad(error.sum(), leaves["rotation"])
    assert bool((slope != 0).any())


def test_there_is_one_hard_renderer():
    assert hard_renderer() is hard_renderer()
    assert not any(p.requires_grad for p in hard_renderer().parameters())
