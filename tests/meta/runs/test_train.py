"""Training: deterministic, resumable, and safe to stop at any moment."""

from __future__ import annotations

import copy
import json
import sys
import types
from dataclasses import replace

import pytest
import torch

import taichisoft
from meta import train
from meta.config.softness import load_renderer, scale_in_pixels, with_parameters
from meta.learning.gradients import ESTIMATORS, MetaGradient, Slope, trainable
from meta.learning.gradients.covariance import CovarianceSettings
from meta.learning.objective import Outcome
from meta.learning.outer import OuterOptimizer
from meta.learning.settings import ValidationSettings
from meta.runs import history, scalars
from meta.runs.folder import write_json_atomically
from meta.runs.history import Record
from meta.runs.seeds import derived_seed
from meta.runs.trainer import Trainer
from tests.meta.learning.problems import TINY, spline_method, tiny
from tests.meta.runs.run_cases import assert_same, points, rendered, steps_of, stop_at

__all__ = ["points"]


# The usual number of candidates is for many parameters.
FEW = {"cma": CovarianceSettings(population=4)}


@pytest.mark.parametrize(
    ("gradient", "coverage"), [("es", "mlp"), *((name, "spline") for name in ESTIMATORS)]
)
def test_three_steps_on_rendered_problems(gradient, coverage, tmp_path):
    settings = rendered(gradient=gradient, coverage=coverage)
    settings = replace(settings, gradient=FEW.get(gradient, settings.gradient))
    folders = [train.train(tiny_out(settings, tmp_path / name)) for name in "ab"]
    assert_same(*folders)
    rows = history.read(folders[0].history)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(0 < row["objective"] < 1 and row["seconds"] > 0 for row in rows)
    assert all(row["gradient_norm"] > 0 and row["skipped"] == 0 for row in rows)
    start, end = trainable(Trainer(settings).renderer), load_renderer(folders[0].softness)
    assert all(not torch.equal(p, end.get_parameter(name)) for name, p in start.items())
    other = train.train(tiny_out(settings, tmp_path / "c", seed=1))
    assert steps_of(other) != steps_of(folders[0])


SHADED = {"occlusion": "front_to_back", "gamma_unit": "extent", "gamma": 0.1, "pose_shaded": True}
# What a run can learn besides the numbers of closed forms, and of which part it is.
CURVES = {
    "network": ({"coverage": "mlp"}, "coverage"),
    "spline": ({"coverage": "spline"}, "coverage"),
    "generator": ({"aggregation": "generator"}, "aggregation"),
    "order, spline": (SHADED | {"order": "spline"}, "occlusion"),
    "order, network": (SHADED | {"order": "mlp"}, "occlusion"),
    "shift": ({"coverage": "logistic", "shift_schedule": "knots"}, "coverage"),
    "p": ({"aggregation": "frank", "aggregation_schedule": "knots"}, "aggregation"),
    "gamma": (SHADED | {"gamma_schedule": "knots", "conditioned": True}, "gamma"),
}


@pytest.mark.parametrize("curve", CURVES)
def test_a_run_learns_every_curve(curve, tmp_path):
    changes, part = CURVES[curve]
    settings = rendered(
        **{"families": ("pose",), "inner_steps": 2, "outer_steps": 1, "checkpoint_every": 1},
        **{"learn": (part,), "out": str(tmp_path), **changes},
    )
    folder = train.train(settings)
    (row,) = history.read(folder.history)
    # It is 0 if the images do not depend on the part.
    assert (row["gradient_norm"] > 0, row["skipped"]) == (True, 0)
    start, end = Trainer(settings).renderer.softness, load_renderer(folder.softness).softness
    learned = [name for name, p in start.named_parameters() if p.requires_grad]
    assert learned
    assert {name for name, p in start.named_parameters()} == {n for n, _ in end.named_parameters()}
    for name, parameter in start.named_parameters():
        assert torch.equal(parameter, end.get_parameter(name)) == (name not in learned), name
    assert row["parameters"].keys() == set(learned)
    # But for how it was trained, it is described as the one that it began as.
    assert end.describe().splitlines()[0].split("(")[0] in start.describe()


def tiny_out(settings, path, **changes):
    """Return the settings with another folder."""
    return replace(settings, out=str(path), **changes)


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
    names = {"taichisoft", "torch", taichisoft.engine_name(), "python", "processor"}
    assert config["versions"].keys() == names
    assert config["backend"] == taichisoft.backend()
    assert config["command"] == ["python", "-m", "meta.train"]
    assert config["started"].startswith("20")
    names = {path.name for path in run.folder.path.iterdir()}
    assert names == {"config.json", "history.jsonl", "checkpoint.pt", "softness.safetensors"}
    renderer = load_renderer(run.folder.softness)
    assert renderer.softness.trained == {"step": 3, "settings": settings.to_json()}
    last = history.read(run.folder.history)[-1]
    assert last.keys() == {field for field in Record.__dataclass_fields__}
    assert scale_in_pixels(renderer, 64) == pytest.approx(last["scale"], rel=1e-12)


@pytest.mark.parametrize("coverage", ["spline", "mlp", "gaussian"])
def test_history_has_the_softness_of_every_step(points, coverage, tmp_path):
    settings = tiny(out=str(tmp_path), coverage=coverage, learn=("coverage", "scale"))
    run = train.create(settings)
    seen = []
    original = run.trainer.step

    def step():
        record = original()
        seen.append(copy.deepcopy(run.trainer.renderer.softness.state_dict()))
        return record

    run.trainer.step = step
    run.finish()
    final = load_renderer(run.folder.softness).softness
    rows = history.read(run.folder.history)
    assert len(rows) == len(seen) == 3
    for row, expected in zip(rows, seen, strict=True):
        assert row["parameters"].keys() == trainable(run.trainer.renderer.softness).keys()
        found = with_parameters(final, row["parameters"]).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not all(torch.equal(value, seen[-1][name]) for name, value in seen[0].items())


def test_parameters_of_another_softness_are_refused():
    softness = taichisoft.Softness(taichisoft.MonotoneSpline(1.0))
    weights = softness.coverage.weight.tolist()
    for wrong, message in (
        ({"coverage.bias": 1.0}, "no 'coverage.bias'"),
        ({"coverage.weight": 1.0}, r"'coverage.weight'\] must have shape \(12,\), got \(\)"),
        ({"coverage.weight": ["a"] * 12}, "must hold numbers"),
        ({"coverage.weight": [*weights[:-1], float("nan")]}, "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            with_parameters(softness, wrong)
    assert softness.coverage.weight.tolist() == weights


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


def test_run_from_before_settings_nested_goes_on(points, tmp_path, monkeypatch):
    whole = train.train(tiny(out=str(tmp_path / "whole")))
    run = train.create(tiny(out=str(tmp_path / "flat")))
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            run.finish()
    config = json.loads(run.folder.config.read_text())
    config["settings"] = TINY | {"out": str(tmp_path / "flat"), "occlusion_problems": 8}
    write_json_atomically(run.folder.config, config)
    assert len(steps_of(run.folder)) == 1
    assert train.main(["--resume", str(run.folder.path)]) == 0
    assert_same(run.folder, whole)


class Constant(MetaGradient):
    """Always the same gradient."""

    def __init__(self, gradient: float):
        self.gradient = gradient

    def estimate(self, objective, method, generator) -> Slope:
        """Return it for every parameter."""
        parts = {n: torch.full_like(p, self.gradient) for n, p in trainable(method).items()}
        return Slope(Outcome(0.5, 0.5, 0.0), parts)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_gradients_that_are_not_finite_are_skipped_and_counted(points, bad, tmp_path):
    run = train.create(tiny(out=str(tmp_path)))
    before = run.trainer.checkpoint().softness
    run.trainer.gradient = Constant(bad)
    run.finish()
    rows = history.read(run.folder.history)
    assert [row["skipped"] for row in rows] == [1, 2, 3]
    assert [row["clipped"] for row in rows] == [0, 0, 0]
    assert [row["gradient_norm"] for row in rows] == [None] * 3
    for name, value in run.trainer.renderer.state_dict().items():
        assert torch.equal(value, before[name])
    assert train.reopen(tmp_path).trainer.outer.skipped == 3


@pytest.mark.parametrize(("size", "clipped"), [(0.5, [0, 0, 0]), (0.6, [1, 2, 3])])
def test_clipped_gradients_are_counted(points, size, clipped, tmp_path):
    # Twelve weights and a scale are learned: the norm of ones is sqrt(13).
    run = train.create(tiny(out=str(tmp_path), clip=0.55 * 13**0.5))
    run.trainer.gradient = Constant(size)
    run.finish()
    rows = history.read(run.folder.history)
    assert [row["clipped"] for row in rows] == clipped
    assert [row["skipped"] for row in rows] == [0, 0, 0]
    assert [row["gradient_norm"] for row in rows] == pytest.approx([size * 13**0.5] * 3)
    assert train.reopen(tmp_path).trainer.outer.clipped == clipped[-1]


def test_outer_steps_are_clipped_and_get_smaller():
    moves = {}
    for size in (1e-9, 1.0, 1e6):
        method = spline_method()
        weight = method.renderer.coverage.weight
        outer = OuterOptimizer(method, learning_rate=0.1, steps=4, clip=1e-8)
        before = weight.detach().clone()
        outer.step(Constant(size).estimate(None, method, None), 0)
        moves[size] = float((before - weight.detach()).abs().max())
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
    settings = replace(tiny(out=str(tmp_path)), validation=ValidationSettings(2, every=2))
    rows = history.read(train.train(settings).history)
    assert written[0] == (str(tmp_path / "tensorboard"), 1)
    assert written[-1] == "closed"
    assert ("objective", rows[1]["objective"], 2) in written
    assert ("validation/success", rows[1]["validation_success"], 2) in written
    # Of three steps the second and the last are judged.
    assert len(written) == 2 + 3 * len(scalars.CURVES) + 2 * len(scalars.JUDGED)


def test_progress_shows_loss_and_remaining_time(points, tmp_path, capsys):
    folder = train.train(tiny(out=str(tmp_path)))
    errors = capsys.readouterr().err
    assert f"loss={history.read(folder.history)[-1]['objective']:.4f}" in errors
    assert "3/3 [" in errors
    assert "<" in errors
