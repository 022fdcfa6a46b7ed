"""Training: deterministic, resumable, and safe to stop at any moment."""

from __future__ import annotations

import json
import os
import sys
import types

import pytest
import torch

import taichisoft
from meta import checkpoint, history, scalars, train, trainer
from meta.checkpoint import Checkpoint
from meta.config import to_json
from meta.gradients import Estimate, MetaGradient
from meta.history import Record
from meta.objective import Outcome
from meta.outer import OuterOptimizer
from meta.run_folder import RunFolder
from meta.softness import load_renderer, scale_in_pixels
from meta.trainer import Trainer, derived_seed
from tests.meta_problems import PointFamily, spline_renderer, tiny


@pytest.fixture
def points(monkeypatch):
    """Replace rendered problems by exact ones."""
    monkeypatch.setattr(trainer, "build_families", lambda settings: [PointFamily()])


def steps_of(folder: RunFolder) -> list[dict]:
    """Return the history without what may differ between equal runs."""
    return [
        {k: v for k, v in row.items() if k != "seconds"} for row in history.read(folder.history)
    ]


def weights_of(folder: RunFolder) -> list[torch.Tensor]:
    """Return the softness that was saved."""
    return [p.detach() for p in taichisoft.Softness.load(folder.softness).parameters()]


def assert_same(one: RunFolder, two: RunFolder) -> None:
    """Check that two runs are equal to the last bit."""
    assert steps_of(one) == steps_of(two)
    for a, b in zip(weights_of(one), weights_of(two), strict=True):
        assert torch.equal(a, b)


def stop_at(monkeypatch, step: int, error: type[BaseException]) -> None:
    """Make the given step fail after it has changed the softness."""
    original = OuterOptimizer.step

    def failing(self, estimate, index):
        original(self, estimate, index)
        if index + 1 == step:
            raise error

    monkeypatch.setattr(OuterOptimizer, "step", failing)


@pytest.mark.parametrize("gradient", trainer.GRADIENTS)
@pytest.mark.parametrize("coverage", ["mlp", "spline"])
def test_three_steps_on_rendered_problems(gradient, coverage, tmp_path):
    settings = tiny(
        families=("pose", "shape3d"),
        gradient=gradient,
        coverage=coverage,
        image_size=12,
        problems=2,
        shape_problems=1,
        shape_views=2,
        shape_subdivisions=1,
        inner_steps=3,
        es_pairs=1,
    )
    folders = [train.train(tiny_out(settings, tmp_path / name)) for name in "ab"]
    assert_same(*folders)
    rows = history.read(folders[0].history)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(0 < row["objective"] < 1 and row["seconds"] > 0 for row in rows)
    assert all(row["gradient_norm"] > 0 and row["skipped"] == 0 for row in rows)
    start = [p.detach() for p in Trainer(settings).renderer.parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(start, weights_of(folders[0]), strict=True)]
    assert all(moved)
    other = train.train(tiny_out(settings, tmp_path / "c", seed=1))
    assert steps_of(other) != steps_of(folders[0])


def tiny_out(settings, path, **changes):
    """Return the settings with another folder."""
    return type(settings)(**{**vars(settings), "out": str(path), **changes})


def test_learning_lowers_the_error(points, tmp_path):
    # The scale starts at 0.3 and all problems are solved at 1.
    folder = train.train(tiny(out=str(tmp_path), outer_steps=40, inner_steps=50, es_sigma=0.02))
    rows = history.read(folder.history)
    assert rows[0]["objective"] > 0.5
    assert rows[-1]["objective"] < 0.2
    assert rows[-1]["scale"] == pytest.approx(1.0, abs=0.15)
    assert (rows[0]["success"], rows[-1]["success"]) == (0.0, 1.0)


def test_run_folder_contents(points, tmp_path):
    settings = tiny(out=str(tmp_path / "new" / "run"))
    run = train.create(settings, ["python", "-m", "meta.train"])
    run.finish()
    assert run.folder.read_settings() == settings
    config = json.loads(run.folder.config.read_text())
    assert config["versions"].keys() == {"taichisoft", "torch", "taichi", "python"}
    assert config["backend"] == taichisoft.backend()
    assert config["command"] == ["python", "-m", "meta.train"]
    assert config["started"].startswith("20")
    names = {path.name for path in run.folder.path.iterdir()}
    assert names == {"config.json", "history.jsonl", "checkpoint.pt", "softness.safetensors"}
    renderer = load_renderer(run.folder.softness)
    assert renderer.softness.trained == {"step": 3, "settings": to_json(settings)}
    last = history.read(run.folder.history)[-1]
    assert last.keys() == {field for field in Record.__dataclass_fields__}
    assert scale_in_pixels(renderer, 64) == pytest.approx(last["scale"], rel=1e-12)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_interrupted_and_resumed_is_uninterrupted(points, stop, tmp_path, monkeypatch, capsys):
    settings = tiny(out=str(tmp_path / "whole"), outer_steps=5)
    whole = train.train(settings)
    path = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_at(patch, stop, KeyboardInterrupt)
        words = [
            f"--{k}={v}" for k, v in {"coverage": "spline", "scale": 0.3, "problems": 4}.items()
        ]
        words += ["--es-pairs=2", "--inner-steps=8", "--outer-steps=5", "--checkpoint-every=2"]
        words += ["--learning-rate=0.1", "--families=pose", f"--out={path}"]
        assert train.main(words) == 130
    assert f"python -m meta.train --resume {path}" in capsys.readouterr().err
    stopped = RunFolder(path)
    assert Checkpoint.load(stopped.checkpoint).step == stop - 1
    assert len(steps_of(stopped)) == stop - 1
    assert train.main(["--resume", str(path)]) == 0
    assert_same(stopped, whole)
    assert f"python -m meta.evaluate {path}" in capsys.readouterr().out
    # Nothing is left to do, and nothing changes.
    assert train.main(["--resume", str(path)]) == 0
    assert_same(stopped, whole)


def test_killed_between_checkpoints(points, tmp_path):
    whole = train.train(tiny(out=str(tmp_path / "whole"), outer_steps=5))
    run = train.create(tiny(out=str(tmp_path / "killed"), outer_steps=5))
    # What a kill leaves: a checkpoint of step 2, three and a half lines of history.
    for step in (1, 2, 3):
        history.append(run.folder.history, run.trainer.step())
        if step == 2:
            run.save(run.trainer.checkpoint())
    with run.folder.history.open("a") as file:
        file.write('{"step": 4, "objec')
    again = train.reopen(run.folder.path)
    assert again.trainer.done == 2
    again.finish()
    assert_same(again.folder, whole)


@pytest.mark.parametrize("module", [checkpoint.torch, os])
def test_killed_while_a_checkpoint_is_written(points, module, tmp_path, monkeypatch):
    run = train.create(tiny(out=str(tmp_path)))
    history.append(run.folder.history, run.trainer.step())
    run.save(run.trainer.checkpoint())
    run.trainer.step()

    def killed(source, target):
        raise SystemExit

    def torn(value, target):
        target.write_bytes(b"half a file")
        raise SystemExit

    with monkeypatch.context() as patch:
        if module is os:
            patch.setattr(checkpoint.os, "replace", killed)
        else:
            patch.setattr(checkpoint.torch, "save", torn)
        with pytest.raises(SystemExit):
            run.trainer.checkpoint().save(run.folder.checkpoint)
    assert (tmp_path / "checkpoint.pt.partial").exists()
    assert Checkpoint.load(run.folder.checkpoint).step == 1
    assert train.reopen(tmp_path).trainer.done == 1


def test_any_failure_leaves_a_checkpoint(points, tmp_path, monkeypatch):
    run = train.create(tiny(out=str(tmp_path), checkpoint_every=100))
    stop_at(monkeypatch, 3, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        run.finish()
    assert Checkpoint.load(run.folder.checkpoint).step == 2


def test_checkpoints_are_copies(points):
    learner = Trainer(tiny())
    learner.step()
    kept = learner.checkpoint()
    learner.restore(kept)
    first = learner.step()
    learner.restore(kept)
    again = learner.step()
    assert (first.objective, first.scale) == (again.objective, again.scale)


def test_existing_run_is_not_overwritten(points, tmp_path, capsys):
    folder = train.train(tiny(out=str(tmp_path)))
    before = folder.history.read_text()
    assert train.main(["--out", str(tmp_path)]) == 1
    assert "holds a run already: continue it with --resume" in capsys.readouterr().err
    assert folder.history.read_text() == before


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda folder: folder.config.unlink(), "no training run in"),
        (lambda folder: folder.checkpoint.unlink(), "no checkpoint"),
        (lambda folder: folder.checkpoint.write_bytes(b"nonsense"), "is damaged"),
        (lambda folder: torch.save({"step": 1}, folder.checkpoint), "is no checkpoint"),
        (lambda folder: folder.history.write_text(""), "at least the 3 steps"),
    ],
)
def test_resuming_what_is_no_run(points, break_, message, tmp_path, capsys):
    folder = train.train(tiny(out=str(tmp_path)))
    break_(folder)
    assert train.main(["--resume", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


class Constant(MetaGradient):
    """Always the same gradient."""

    def __init__(self, gradient: float):
        self.gradient = gradient

    def estimate(self, objective, renderer, generator) -> Estimate:
        """Return it for every parameter."""
        parts = {n: torch.full_like(p, self.gradient) for n, p in renderer.named_parameters()}
        return Estimate(Outcome(0.5, 0.5, 0.0), parts)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_gradients_that_are_not_finite_are_skipped_and_counted(points, bad, tmp_path):
    run = train.create(tiny(out=str(tmp_path)))
    before = run.trainer.checkpoint().softness
    run.trainer.gradient = Constant(bad)
    run.finish()
    rows = history.read(run.folder.history)
    assert [row["skipped"] for row in rows] == [1, 2, 3]
    assert [row["gradient_norm"] for row in rows] == [None] * 3
    for name, value in run.trainer.renderer.state_dict().items():
        assert torch.equal(value, before[name])
    assert train.reopen(tmp_path).trainer.outer.skipped == 3


def test_outer_steps_are_clipped_and_get_smaller():
    moves = {}
    for size in (1e-9, 1.0, 1e6):
        renderer = spline_renderer()
        outer = OuterOptimizer(renderer, learning_rate=0.1, steps=4, clip=1e-8)
        before = renderer.coverage.weight.detach().clone()
        outer.step(Constant(size).estimate(None, renderer, None), 0)
        moves[size] = float((before - renderer.coverage.weight.detach()).abs().max())
    # Adam's step depends on the size of a gradient only where it is as small as its epsilon of 1e-8.
    assert moves[1.0] == pytest.approx(moves[1e6], rel=1e-9)
    clipped = 1e-8 / 5**0.5
    assert moves[1.0] == pytest.approx(0.1 * clipped / (clipped + 1e-8), rel=1e-6)
    assert moves[1e-9] == pytest.approx(0.1 / 11, rel=1e-6)
    rates = [outer.rate(index) for index in range(5)]
    assert rates == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447, 0.0], abs=1e-6)


def test_seeds_differ():
    seeds = {
        derived_seed(seed, step, purpose)
        for seed in range(20)
        for step in range(20)
        for purpose in ("problems", "perturbations")
    }
    assert len(seeds) == 800
    assert derived_seed(0, 0, "problems") == derived_seed(0, 0, "problems")
    assert all(0 <= seed < 2**48 for seed in seeds)


def test_tensorboard(points, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(scalars.importlib.util, "find_spec", lambda name: name == "tensorboard")
    folder = train.train(tiny(out=str(tmp_path)))
    rows = history.read(folder.history)
    assert written[0] == (str(tmp_path / "tensorboard"), 1)
    assert written[-1] == "closed"
    assert ("objective", rows[1]["objective"], 2) in written
    assert len(written) == 2 + 3 * len(scalars.CURVES)


def test_progress_shows_loss_and_remaining_time(points, tmp_path, capsys):
    folder = train.train(tiny(out=str(tmp_path)))
    shown = capsys.readouterr().err
    assert f"loss={history.read(folder.history)[-1]['objective']:.4f}" in shown
    assert "3/3 [" in shown
    assert "<" in shown
