"""Another library's renderer in the place of ours, and the race between them."""

from __future__ import annotations

import itertools
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import taichisoft as ts
from benchmarks import clock, entrants, other_renderers, race, renderers
from benchmarks.clock import Clock
from benchmarks.deodr_renderer import Deodr
from benchmarks.entrants import DEODR, WIDTHS
from benchmarks.other_renderer import solve_with
from benchmarks.other_renderers_report import verdicts
from benchmarks.race import Lap, Solving
from benchmarks.race_rows import Finish, Race
from benchmarks.scenes import Scene
from meta.evaluation.candidates import Choice, Grid, annealed
from meta.evaluation.measurements import solve_unmeasured
from meta.evaluation.tuning import Tuned
from meta.learning.inner import InnerSettings
from taichisoft.geometry.rotations import from_axis_angle
from tasks import PoseFamily, Shape3DFamily, Split
from tasks.hard import hard_renderer
from tests.zoo.tasks import SIZE, SOME_MESHES

POSE = PoseFamily(image_size=SIZE, meshes=SOME_MESHES, dtype=torch.float64)
SHAPE = Shape3DFamily(SIZE, 2, 1, meshes=SOME_MESHES, dtype=torch.float64)


class Seen:
    """Draws nothing new: keeps what a task would have drawn."""

    def silhouette(self, mesh, camera):
        """Keep mesh and camera."""
        self.mesh, self.camera = mesh, camera
        return hard_renderer().silhouette(mesh, camera)


def scene_of(family):
    """Return mesh and camera of two problems of a family at their start."""
    task, seen = family.sample(0, 2, Split.TRAIN), Seen()
    task.loss(task.init(), seen)
    return seen.mesh, seen.camera


@pytest.mark.parametrize("family", [POSE, SHAPE], ids=["pose", "shape3d"])
def test_without_a_ramp_silhouettes_are_the_hard_ones(family):
    mesh, camera = scene_of(family)
    hard = hard_renderer().silhouette(mesh, camera)
    assert 0 < hard.mean() < 1
    torch.testing.assert_close(Deodr(1e-9).silhouette(mesh, camera), hard, rtol=0, atol=1e-9)
    ramp = Deodr(2.0).silhouette(mesh, camera)
    assert ramp.dtype == mesh.dtype
    assert (ramp > hard - 1e-9).all()
    between = (ramp > 0.01) & (ramp < 0.99)
    # The ramp ends two pixels from a face, whose nearest pixel may lie one more away.
    near = torch.nn.functional.max_pool2d(hard[:, None], 7, 1, 3)[:, 0]
    assert between.any()
    assert (near[between] == 1).all()


def test_pictures_and_derivatives_are_those_of_its_own_scenes():
    # The rotation is the mesh's: with a camera that is turned, the peer's derivatives by vertices are not
    # those of finite differences. No face is seen edge-on, as its side would be a matter of rounding.
    mesh = ts.shapes.chair().to(dtype=torch.float64)
    mesh = mesh.with_vertices(
        mesh.vertices @ from_axis_angle(torch.tensor([0.3, 0.5, 0.7]).double())
    )
    camera = ts.Camera.look_at(torch.tensor([0.0, 0, 4]).double(), image_size=(32, 32))
    peer = renderers.deodr(SimpleNamespace(scene=Scene(mesh, camera), size=32))
    vertices = mesh.vertices.clone().requires_grad_()
    images = Deodr(1.0).silhouette(mesh.with_vertices(vertices), camera)
    expected = np.stack(peer.forward())[..., 0]
    np.testing.assert_allclose(images.detach().numpy(), expected, atol=1e-9)
    images.sum().backward()
    np.testing.assert_allclose(vertices.grad.numpy(), peer.both(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", [POSE, SHAPE], ids=["pose", "shape3d"])
def test_the_loss_has_the_derivative_of_finite_differences(family):
    task, renderer = family.sample(0, 2, Split.TRAIN), Deodr(1.5)
    generator = torch.Generator().manual_seed(1)

    def near(value, step):
        return value + step * torch.randn(value.shape, generator=generator, dtype=value.dtype)

    leaves = {name: near(value, 0.02).requires_grad_() for name, value in task.init().items()}
    gradients = torch.autograd.grad(task.loss(leaves, renderer).sum(), list(leaves.values()))
    for (name, value), gradient in zip(leaves.items(), gradients, strict=True):
        direction = near(torch.zeros_like(value), 1.0)
        # A longer step would take pixels across the edge of a face, where a ramp ends abruptly.
        with torch.no_grad():
            high, low = (
                task.loss({**leaves, name: value + h * direction}, renderer).sum()
                for h in (1e-7, -1e-7)
            )
        slope = float((gradient * direction).sum())
        assert abs(slope) > 1e-3
        assert float(high - low) / 2e-7 == pytest.approx(slope, rel=1e-4)


def test_solving_comes_closer_and_the_width_follows():
    task = POSE.sample(0, 2, Split.TRAIN)
    (candidate,) = [one for one in DEODR if one.key == "deodr-annealed"]
    choices = candidate.choices(Grid((), (0.1,), (0.05, 0.08)))
    assert [(c.scale, c.learning_rate) for c in choices] == [
        *itertools.product(WIDTHS, (0.05, 0.08))
    ]
    renderer, states = candidate.renderer(Choice(2.0, 0.1, 0.08)), []
    solved = candidate.solve(task, renderer, InnerSettings(12, 0.08), states.append)
    assert [state.step for state in states] == [*range(13)]
    assert (solved.losses[-1] < solved.losses[0]).all()
    assert float(renderer.width.in_pixels(24)) == pytest.approx(2 / 10**0.5)


def test_solving_with_others_is_solving():
    family = PoseFamily(image_size=SIZE, meshes=SOME_MESHES)
    task, settings = family.sample(0, 2, Split.TRAIN), InnerSettings(4, 0.08)
    renderer = ts.SoftRasterizer(ts.Gaussian(annealed(0.5))).requires_grad_(False)
    ours, theirs = (
        solver(task, renderer, settings, lambda state: None)
        for solver in (solve_unmeasured, solve_with)
    )
    assert torch.equal(ours.losses, theirs.losses)
    assert torch.equal(ours.errors, theirs.errors)


def test_without_deodr_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "deodr.differentiable_renderer", None)
    with pytest.raises(ImportError, match=r"taichisoft\[bench\]"):
        Deodr(1.0)


def test_the_clock_leaves_measuring_out(monkeypatch):
    marks = iter([10.0, 11.0, 13.0, 99.0])
    fake = SimpleNamespace(process_time=lambda: next(marks), perf_counter=lambda: 0.0)
    monkeypatch.setattr(clock, "time", fake)
    timed = Clock(solve_with)
    task = POSE.sample(0, 1, Split.TRAIN)
    timed(task, Deodr(1.0), InnerSettings(3, 0.0), lambda state: None)
    assert timed.seconds[:, 0].tolist() == [0, 1, 3, 5]


def finish(key: str, steps: int, seconds: float, solved: list[list[bool]]) -> Finish:
    """Return an entrant that takes so long a step, with what two problems had come to at every step."""
    solved = torch.tensor(solved)
    times = seconds * torch.arange(steps + 1, dtype=torch.float64)[:, None].expand(-1, 2)
    lap = Lap(torch.arange(steps + 1), 1.0 - solved.double(), solved, solved.shape[1] * times)
    candidate = SimpleNamespace(key=key, label=key.upper())
    entrant = SimpleNamespace(candidate=candidate, steps=steps)
    return Finish(entrant, Tuned(Choice(1.0, 0.1, 0.5), (), ()), lap)


def test_entrants_are_compared_at_equal_steps_and_at_equal_seconds():
    no, one, both = [False, False], [True, False], [True, True]
    run = Race(
        [
            finish("peer", 2, 1.0, [no, no, one]),
            finish("peer", 8, 1.0, [no, one, one, one, one, one, both, both, both]),
            finish("ours", 2, 3.0, [no, one, both]),
        ],
        ("peer",),
        seed=0,
    )
    assert run.unit == 2.0
    short, long, ours = run.rows()
    assert short.ahead is None
    assert short.at_end.ahead is None
    assert (short.processor_ms, ours.processor_ms) == (1000, 3000)
    # After two steps both problems against one; in six seconds the peer has solved both, too.
    assert ours.ahead.estimate == 0.5
    assert (ours.at_end.share, ours.at_end.step, ours.at_end.ahead.estimate) == (3.0, 2, 0.0)
    assert [then.step for then in ours.by_then] == [0, 0, 0, 1, 2]
    assert [then.success.estimate for then in long.by_then] == [0, 0.5, 0.5, 0.5, 1]
    assert [then.ahead.estimate for then in ours.by_then] == [0, -0.5, -0.5, 0, 0]


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch, capsys):
    """Also that all comes out: a file of numbers and one to read."""
    monkeypatch.setattr(other_renderers, "BATCH", 1)
    monkeypatch.setattr(race, "code_digest", lambda modules: "")
    done, work = [], Solving.result
    monkeypatch.setattr(Solving, "result", lambda job: done.append(job.name) or work(job))
    out = tmp_path / "others"
    command = ["--quick", "--problems", "2", "--out", str(out)]
    other_renderers.main([*command, "--minutes", "0"])
    first = json.loads(out.with_suffix(".json").read_text())
    assert [family["problems"] for family in first["families"]] == [1, 1]
    other_renderers.main(command)
    result = json.loads(out.with_suffix(".json").read_text())
    assert [family["problems"] for family in result["families"]] == [2, 2]
    assert len(done) == len(set(done)) == 2 * 2 * 7
    assert result["about"]["peers"]["deodr"]
    text = out.with_suffix(".md").read_text()
    assert text in capsys.readouterr().out
    for family in result["families"]:
        assert family["rows"][0]["key"] == "deodr"
        assert len(list(verdicts(family))) == 3
        for row in family["rows"]:
            assert row["label"] in text
            assert row["processor_ms"] > 0
            assert (row["ahead"] is None) == row["key"].startswith("deodr")


def test_learned_softness_has_the_rate_that_was_learned_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(entrants, "shipped", lambda: tmp_path)
    for trained, expected in (({"rate": 2.5}, 2.5), ({}, 1.0)):
        ts.Softness().save(tmp_path / "general.safetensors", trained)
        rate = entrants.general(POSE, 64).learning_rate
        assert rate == pytest.approx(expected * POSE.learning_rate)
