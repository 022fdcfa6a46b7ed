"""Adam with one step size: against its formula, and within a fit of several problems."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts


def steps_of(gradients: list[torch.Tensor], **options) -> torch.Tensor:
    """Return a parameter that starts at 0 after steps with these gradients."""
    x = torch.zeros_like(gradients[0], requires_grad=True)
    optimizer = ts.AdamUniform([x], lr=0.1, **options)
    for gradient in gradients:
        x.grad = gradient.clone()
        optimizer.step()
    return x.detach()


def random_gradients(*shape: int, count: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def test_it_is_the_formula():
    gradients = random_gradients(3, 2)
    x = first = second = torch.zeros(3, 2, dtype=torch.float64)
    for k, g in enumerate(gradients, 1):
        first, second = 0.8 * first + 0.2 * g, 0.9 * second + 0.1 * g**2
        largest = (second / (1 - 0.9**k)).max().sqrt()
        x = x - 0.1 * first / (1 - 0.8**k) / largest
    torch.testing.assert_close(steps_of(gradients, betas=(0.8, 0.9)), x)


def test_of_one_number_it_is_adam():
    gradients = random_gradients(1)
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.1, eps=1e-12)
    for gradient in gradients:
        x.grad = gradient.clone()
        adam.step()
    torch.testing.assert_close(steps_of(gradients), x.detach())


def test_problems_of_a_batch_do_not_know_each_other():
    gradients = random_gradients(2, 3)
    gradients = [g * torch.tensor([[1.0], [1e6]], dtype=torch.float64) for g in gradients]
    alone = [steps_of([g[i] for g in gradients]) for i in range(2)]
    torch.testing.assert_close(steps_of(gradients, batched=True), torch.stack(alone))
    assert steps_of(gradients)[0].abs().max() < 1e-4


@pytest.mark.parametrize("eps", [1e-12, 0.0])
def test_without_a_gradient_there_is_no_step(eps):
    assert not steps_of([torch.zeros(2, 3)] * 2, eps=eps).any()
    still = torch.ones(2, requires_grad=True)
    ts.AdamUniform([still]).step()
    assert torch.equal(still, torch.ones(2))


def test_a_state_dict_goes_on():
    gradients = random_gradients(2)
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = ts.AdamUniform([x], lr=0.1)
    for gradient in gradients:
        saved = optimizer.state_dict()
        optimizer = ts.AdamUniform([x], lr=0.3)
        optimizer.load_state_dict(saved)
        x.grad = gradient.clone()
        assert optimizer.step(lambda: 3.0) == 3.0
    torch.testing.assert_close(steps_of(gradients), x.detach())


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"lr": 0.0}, ValueError, "lr must be finite and greater than 0"),
        ({"betas": 0.9}, TypeError, "betas must be a pair"),
        (
            {"betas": (0.9, 1.0)},
            ValueError,
            r"betas\[1\] must be at least 0 and less than 1, got 1",
        ),
        ({"eps": -1.0}, ValueError, "eps must not be negative"),
        ({"batched": 1}, TypeError, "batched must be a bool"),
    ],
)
def test_bad_arguments(given, error, match):
    with pytest.raises(error, match=match):
        ts.AdamUniform([torch.zeros(2, requires_grad=True)], **given)


def test_a_sphere_becomes_an_ellipsoid_with_large_steps():
    mesh = ts.shapes.icosphere(2)
    wanted = mesh.vertices * torch.tensor([1.5, 1.0, 0.5])
    large = ts.LargeSteps(mesh.faces)
    found = ts.fit(
        lambda p: (large.from_differential(p["u"]) - wanted).square().sum(),
        {"u": large.to_differential(mesh.vertices)},
        120,
        optimizer=lambda p: ts.AdamUniform(p, lr=0.1),
        progress=False,
    )
    vertices = large.from_differential(found.parameters["u"])
    assert (vertices - wanted).abs().max() < 0.02
