"""What takes part in the published pose protocol, and learning a softness jointly with the poses."""

from __future__ import annotations

import copy

import pytest
import torch

import taichisoft as ts
from benchmarks.joint import solve_jointly
from benchmarks.pose_candidates import JOINT_RATE, all_candidates
from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidates import Grid
from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from tasks import Split
from tasks.look_at_pose import LookAtPoseFamily

FAMILY = LookAtPoseFamily(ts.shapes.hammer(), (16, 16))
GRID = Grid((), (), (0.3,))


@pytest.fixture
def weights(tmp_path):
    """Return a folder with one softness."""
    folder = tmp_path / "weights"
    folder.mkdir()
    ts.Softness(ts.MonotoneSpline(0.2)).save(folder / "pose.safetensors", trained={"by": "hand"})
    return folder


def test_every_softness_takes_part(weights):
    candidates = all_candidates(weights)
    fixed = {key for name in BASELINES for key in (name, f"{name}-annealed")}
    assert candidates.keys() == fixed | {
        "pretrained-pose",
        "joint-mlp",
        "joint-spline",
        "gamma-published",
    }
    for key, candidate in candidates.items():
        assert key == candidate.key
        choices = candidate.choices(GRID)
        texts = [choice.text for choice in choices]
        assert len(texts) == len(set(texts)) == (7 if key in fixed else 1)
        assert {choice.learning_rate for choice in choices} == {0.3}
        for choice in choices:
            renderer = candidate.renderer(choice)
            assert isinstance(renderer.aggregation, ts.Probabilistic)
            learns = any(p.requires_grad for p in renderer.parameters())
            assert learns == key.startswith("joint") == (choice.softness_rate > 0)
    assert len({candidate.label for candidate in candidates.values()}) == len(candidates)


def test_a_changed_weight_file_is_another_choice(weights):
    (before,) = all_candidates(weights)["pretrained-pose"].makers
    ts.Softness(ts.MonotoneSpline(0.3)).save(weights / "pose.safetensors")
    (after,) = all_candidates(weights)["pretrained-pose"].makers
    assert after != before


def test_a_rate_that_was_learned_with_a_softness_counts(weights):
    ts.Softness(ts.MonotoneSpline(0.2)).save(weights / "pose.safetensors", trained={"rate": 2.0})
    (choice,) = all_candidates(weights)["pretrained-pose"].choices(GRID)
    assert choice.learning_rate == pytest.approx(0.6)


def test_scales_are_those_of_the_protocol(weights):
    candidates = all_candidates(weights)

    def pixels(key: str, choice: int, progress: float) -> float:
        renderer = candidates[key].renderer(candidates[key].choices(GRID)[choice])
        renderer.set_progress(progress)
        return float(renderer.coverage.scale.in_pixels(64))

    published = [pixels("gamma-published", 0, progress) for progress in (0, 0.5, 1)]
    assert published == pytest.approx([3.2, 3.2e-3, 3.2e-6])
    assert [pixels("uniform", i, 0.5) for i in (0, 6)] == pytest.approx([0.01, 1.0])
    assert [pixels("uniform-annealed", 2, p) for p in (0, 1)] == pytest.approx([1.0, 0.01])
    half_way = [choice.scale for choice in candidates["uniform-annealed"].choices(GRID)]
    assert half_way[2] == pytest.approx(0.1)


def learning(weights, key: str, seed: int = 0) -> ts.SoftRasterizer:
    """Return the renderer of a softness that is learned with the poses of a seed."""
    candidate = all_candidates(weights)[key]
    (choice,) = candidate.choices(GRID)
    return candidate.on_seed(choice, seed).renderer(choice)


@pytest.mark.parametrize("key", ["joint-mlp", "joint-spline"])
def test_learned_with_the_poses_have_the_published_cut_off(key, weights):
    coverage = learning(weights, key).coverage
    reach = -coverage.domain().low * coverage.scale.in_pixels(64)
    assert float(reach) == pytest.approx(3.2)
    assert not any(p.requires_grad for p in coverage.scale.parameters())


def test_the_network_starts_as_published(weights):
    renderers = [learning(weights, "joint-mlp", seed) for seed in (0, 0, 1)]
    networks = [list(renderer.coverage.layers.parameters()) for renderer in renderers]
    assert [tuple(p.shape) for p in networks[0]] == [(4, 1), (4, 4), (4, 4), (4, 4), (1, 4)]
    values = [torch.cat([p.detach().flatten() for p in network]) for network in networks]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    assert 0 <= values[0].min() < 0.1
    assert 0.9 < values[0].max() <= 1


def test_jointly_is_one_adam_with_two_rates(weights):
    """The same numbers as torch's Adam with the poses and the softness as two groups."""
    task = FAMILY.sample(0, 3, Split.TRAIN)
    renderer = learning(weights, "joint-mlp")
    expected, poses = copy.deepcopy(renderer), task.init()
    groups = [
        {"params": [value.requires_grad_() for value in poses.values()], "lr": 0.3},
        {"params": list(expected.coverage.parameters()), "lr": JOINT_RATE},
    ]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
    losses = []
    for _ in range(3):
        adam.zero_grad()
        loss = task.loss(poses, expected)
        loss.sum().backward()
        adam.step()
        losses.append(loss.detach())
    states = []
    candidate = all_candidates(weights)["joint-mlp"]
    outcome = candidate.solve(task, renderer, InnerSettings(3, 0.3), states.append)
    assert [state.step for state in states] == [0, 1, 2, 3]
    errors = [task.error(state.unknowns) for state in states]
    assert torch.equal(torch.stack(errors), outcome.errors)
    torch.testing.assert_close(outcome.losses, torch.stack(losses))
    assert outcome.errors.shape == (4, 3)
    assert torch.equal(outcome.errors[0], task.error(task.init()))
    for name, value in poses.items():
        torch.testing.assert_close(outcome.unknowns[name], value.detach())
    learned = renderer.state_dict()
    assert any("layers" in name for name in learned)
    for name, value in expected.state_dict().items():
        # The weights are float64, their gradients are those of images in float32.
        torch.testing.assert_close(learned[name], value, rtol=1e-6, atol=1e-6)


def test_jointly_without_a_rate_is_solving():
    task = FAMILY.sample(0, 2, Split.TRAIN)
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True)))
    settings = InnerSettings(3, 0.3)
    joint = solve_jointly(task, renderer, settings, rate=0.0)
    alone = solve(task, Method(renderer), settings)
    torch.testing.assert_close(joint.errors, alone.errors)
    torch.testing.assert_close(joint.losses, alone.losses)


def test_what_is_not_finite_leaves_the_softness_alone(monkeypatch):
    task = FAMILY.sample(0, 2, Split.TRAIN)
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True)))
    before = copy.deepcopy(renderer.state_dict())
    loss = type(task).loss
    monkeypatch.setattr(type(task), "loss", lambda *inputs: loss(*inputs) * torch.nan)
    outcome = solve_jointly(task, renderer, InnerSettings(2, 0.3), rate=0.1)
    assert outcome.losses.isinf().all()
    assert torch.equal(outcome.errors[0], outcome.errors[-1])
    assert all(torch.equal(value, before[name]) for name, value in renderer.state_dict().items())
