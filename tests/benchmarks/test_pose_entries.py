"""What takes part in the published pose protocol, and learning a softness jointly with the poses."""

from __future__ import annotations

import copy

import pytest
import torch

import taichisoft as ts
from benchmarks.joint import solve_jointly
from benchmarks.pose_entries import JOINT_RATE, all_entries, solve_learning
from meta.evaluation.baselines import BASELINES
from meta.learning.inner import InnerSettings, solve
from tasks import Split
from tasks.look_at_pose import LookAtPoseFamily

FAMILY = LookAtPoseFamily(ts.shapes.hammer(), (16, 16))


@pytest.fixture
def weights(tmp_path):
    """Return a folder with one softness."""
    folder = tmp_path / "weights"
    folder.mkdir()
    ts.Softness(ts.MonotoneSpline(0.2)).save(folder / "pose.safetensors", trained={"by": "hand"})
    return folder


def test_every_softness_takes_part(weights):
    entries = all_entries(weights)
    fixed = {key for name in BASELINES for key in (name, f"{name}-annealed")}
    assert entries.keys() == fixed | {
        "pretrained-pose",
        "joint-mlp",
        "joint-spline",
        "gamma-published",
    }
    for key, entry in entries.items():
        assert key == entry.key
        texts = [choice.text for choice in entry.choices]
        assert len(texts) == len(set(texts)) == (7 if key in fixed else 1)
        for choice in entry.choices:
            assert isinstance(choice.make(0).aggregation, ts.Probabilistic)
    assert len({entry.label for entry in entries.values()}) == len(entries)


def test_a_changed_weight_file_is_another_choice(weights):
    before = all_entries(weights)["pretrained-pose"].choices[0].text
    ts.Softness(ts.MonotoneSpline(0.3)).save(weights / "pose.safetensors")
    assert all_entries(weights)["pretrained-pose"].choices[0].text != before


def test_scales_are_those_of_the_entries(weights):
    entries = all_entries(weights)

    def pixels(key: str, choice: int, progress: float) -> float:
        renderer = entries[key].choices[choice].make(0)
        renderer.set_progress(progress)
        return float(renderer.coverage.scale.in_pixels(64))

    published = [pixels("gamma-published", 0, progress) for progress in (0, 0.5, 1)]
    assert published == pytest.approx([3.2, 3.2e-3, 3.2e-6])
    assert [pixels("uniform", i, 0.5) for i in (0, 6)] == pytest.approx([0.01, 1.0])
    assert [pixels("uniform-annealed", 2, p) for p in (0, 1)] == pytest.approx([1.0, 0.01])


@pytest.mark.parametrize("key", ["joint-mlp", "joint-spline"])
def test_learned_with_the_poses_have_the_published_cut_off(key, weights):
    coverage = all_entries(weights)[key].choices[0].make(0).coverage
    reach = -coverage.domain().low * coverage.scale.in_pixels(64)
    assert float(reach) == pytest.approx(3.2)
    assert not any(p.requires_grad for p in coverage.scale.parameters())


def test_the_network_starts_as_published(weights):
    make = all_entries(weights)["joint-mlp"].choices[0].make
    networks = [list(make(seed).coverage.layers.parameters()) for seed in (0, 0, 1)]
    assert [tuple(p.shape) for p in networks[0]] == [(4, 1), (4, 4), (4, 4), (4, 4), (1, 4)]
    values = [torch.cat([p.detach().flatten() for p in network]) for network in networks]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    assert 0 <= values[0].min() < 0.1
    assert 0.9 < values[0].max() <= 1


def test_jointly_is_one_adam_with_two_rates(weights):
    """The same numbers as torch's Adam with the poses and the softness as two groups."""
    task = FAMILY.sample(0, 3, Split.TRAIN)
    renderer = all_entries(weights)["joint-mlp"].choices[0].make(0)
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
    outcome = solve_learning(task, renderer, InnerSettings(3, 0.3))
    torch.testing.assert_close(outcome.losses, torch.stack(losses))
    assert outcome.errors.shape == (4, 3)
    assert torch.equal(outcome.errors[0], task.error(task.init()))
    for name, value in poses.items():
        torch.testing.assert_close(outcome.unknowns[name], value.detach())
    learned = renderer.state_dict()
    assert any("layers" in name for name in learned)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(learned[name], value)


def test_jointly_without_a_rate_is_solving():
    task = FAMILY.sample(0, 2, Split.TRAIN)
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True)))
    settings = InnerSettings(3, 0.3)
    joint = solve_jointly(task, renderer, settings, rate=0.0)
    alone = solve(task, renderer, settings)
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
