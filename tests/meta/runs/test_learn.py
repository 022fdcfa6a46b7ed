"""`meta.learn`: softness and problems of the user, by the same loop as settings."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

import meta
import taichisoft as ts
from meta import train
from meta.config.softness import initial_renderer
from meta.evaluate import evaluate
from meta.evaluation.settings import EvaluationSettings
from meta.learning.gradients import AntitheticSettings, UnrolledSettings
from meta.learning.inner import solve
from meta.learning.method import Method
from meta.learning.settings import (
    InnerLoop,
    OuterLoop,
    TrainSettings,
    ValidationSettings,
    build_families,
)
from meta.runs import history
from meta.runs.folder import RunFolder
from meta.runs.history import Record
from tasks import Split, Task, TaskFamily
from tests.meta.learning.problems import PointFamily, PointTask, tiny
from tests.meta.runs.run_cases import points, rendered, stop_at

__all__ = ["points"]


class Steepness(nn.Module):
    """A module of a user, with a number that is learned."""

    def __init__(self, value: float = 0.3):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, distance: Tensor) -> Tensor:
        """Return a logistic curve."""
        return torch.sigmoid(self.value * distance)


@dataclass(frozen=True, eq=False)
class SteepTask(PointTask):
    """Points that go to where the steepness is."""

    def loss(self, unknowns, renderer: ts.SoftRasterizer) -> Tensor:
        """Return the squared distance from it."""
        return (unknowns["x"] - renderer.coverage.module.value) ** 2


class SteepFamily(TaskFamily):
    """Points whose goal is 1: a steepness of 1 solves them all."""

    name, error_unit, error_cap, learning_rate = "steep", "steps", 2.0, 0.1

    def draw(self, count: int, split: Split, generator: torch.Generator) -> Task:
        """Return points beyond the goal."""
        begin = 1 + torch.rand(count, generator=generator, dtype=torch.float64)
        return SteepTask(begin, torch.ones(count, dtype=torch.float64))


def steep() -> ts.Softness:
    return ts.Softness(ts.CustomCoverage(Steepness(), 1.0))


def spline() -> ts.SoftRasterizer:
    return ts.SoftRasterizer(ts.MonotoneSpline(ts.Pixels(0.3, learn=True), knots=4))


QUICK = {
    "gradient": AntitheticSettings(sigma=0.3, pairs=2),
    "inner": InnerLoop(steps=8),
    "outer": OuterLoop(steps=3, learning_rate=0.1, checkpoint_every=2),
    "on_step": lambda record: None,
}


def without_times(records) -> list[dict]:
    times = ("seconds", "validation_seconds")
    rows = [json.loads(record.line()) for record in records]
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


def test_classes_of_the_user_are_learned():
    given = steep()
    changes = {"inner": InnerLoop(steps=25), "outer": OuterLoop(steps=12, learning_rate=0.2)}
    gradient = AntitheticSettings(sigma=0.02, pairs=2)
    learned = meta.learn(given, [SteepFamily()], **QUICK | changes | {"gradient": gradient})
    first, last = learned.history[0], learned.history[-1]
    assert (first.step, last.step) == (1, 12)
    assert last.objective < first.objective / 2
    # What was given stays as it was, and what comes back is frozen.
    assert float(given.coverage.module.value.detach()) == pytest.approx(0.3)
    value = learned.softness.coverage.module.value
    assert float(value) == last.parameters["coverage.module.value"] == pytest.approx(1, abs=0.2)
    assert not value.requires_grad
    assert (learned.verdict, learned.rate) == (None, 1.0)
    assert "learned: 12 outer steps on steep; gradient es" in learned.softness.describe()


def test_the_first_step_goes_down_the_exact_gradient():
    outer, inner = OuterLoop(steps=1, learning_rate=0.1), InnerLoop(steps=30, objective="final")
    learned = meta.learn(
        *(steep(), [SteepFamily()]),
        **QUICK | {"gradient": UnrolledSettings(), "outer": outer, "inner": inner},
    )
    # All points come from above the goal, and go too far.
    assert float(learned.softness.coverage.module.value) == pytest.approx(0.4)
    assert learned.history[0].gradient_norm > 0


def assert_learned_alike(settings: TrainSettings, families: list[TaskFamily]) -> None:
    """Check that objects are learned from as settings that describe them are, to the last bit."""
    folder = train.train(settings)
    learned = meta.learn(
        initial_renderer(settings.softness, settings.seed),
        families,
        problems=settings.counts,
        learn_rate="rate" in settings.softness.learn,
        gradient=settings.gradient,
        inner=settings.inner,
        outer=settings.outer,
        validation=settings.validation,
        seed=settings.seed,
        on_step=lambda record: None,
    )
    assert without_times(learned.history) == without_times(
        map(Record.of_row, history.read(folder.history))
    )
    saved = ts.Softness.load(folder.softness)
    for name, value in saved.state_dict().items():
        assert torch.equal(learned.softness.state_dict()[name], value)
    told = {name: saved.trained[name] for name in saved.trained if name != "settings"}
    assert {name: learned.softness.trained[name] for name in told} == told
    assert learned.rate == told.get("rate", 1.0)
    assert learned.verdict.to_json() == told["validation"]


def test_history_is_that_of_settings(points, tmp_path, monkeypatch):
    monkeypatch.setattr(PointTask, "target", lambda task, problem: torch.ones(16, 16))
    settings = tiny(out=str(tmp_path), image_size=16, seed=3, learn=("coverage", "rate"))
    settings = replace(settings, validation=ValidationSettings(problems=5, every=2))
    assert_learned_alike(settings, [PointFamily()])


def test_history_is_that_of_settings_on_rendered_problems(tmp_path):
    settings = rendered(families=("pose",), out=str(tmp_path))
    settings = replace(settings, validation=ValidationSettings(problems=3, every=3))
    assert_learned_alike(settings, build_families(settings))


def test_validation_keeps_the_best_softness():
    validation = ValidationSettings(problems=5, every=1)
    learned = meta.learn(steep(), [SteepFamily()], **QUICK, validation=validation)
    values = {0: learned.verdict.start.objective}
    values |= {record.step: record.validation_objective for record in learned.history}
    kept = min(values, key=values.get)
    assert learned.verdict.kept.step == learned.softness.trained["step"] == kept
    method = Method(learned.renderer)
    task = SteepFamily().sample(7, 4, Split.HELD_OUT)
    assert solve(task, method, QUICK["inner"].of(SteepFamily())).errors.isfinite().all()


class Stop(Exception):
    """Raised in the middle of a learning."""


def test_a_folder_goes_on_with_the_same_call(tmp_path):
    options = QUICK | {"validation": ValidationSettings(problems=5, every=2)}
    whole = meta.learn(steep(), [SteepFamily()], **options)

    def stop(record: Record) -> None:
        if record.step == 2:
            raise Stop

    with pytest.raises(Stop):
        meta.learn(steep(), [SteepFamily()], **options | {"on_step": stop}, out=tmp_path)
    seen = []
    go_on = options | {"on_step": seen.append}
    learned = meta.learn(steep(), [SteepFamily()], **go_on, out=tmp_path)
    assert [record.step for record in seen] == [2, 3]
    again = meta.learn(steep(), [SteepFamily()], **go_on, out=tmp_path)
    assert len(seen) == 2
    for one in (learned, again):
        assert without_times(one.history) == without_times(whole.history)
        assert one.verdict == whole.verdict
        for ours, theirs in zip(
            one.softness.parameters(), whole.softness.parameters(), strict=True
        ):
            assert torch.equal(ours, theirs)
    # No file can hold a class of the user.
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "history.jsonl", "checkpoint.pt"}


def test_a_folder_has_a_softness_of_the_library(tmp_path):
    learned = meta.learn(spline(), [PointFamily()], **QUICK, learn_rate=True, out=tmp_path)
    saved = ts.Softness.load(RunFolder(tmp_path).softness)
    assert saved.trained == learned.softness.trained
    assert saved.trained["rate"] == learned.rate != 1
    for name, value in saved.state_dict().items():
        assert torch.equal(learned.softness.state_dict()[name], value)


def test_another_run_in_the_folder_is_refused(tmp_path, capsys, monkeypatch):
    given, families = spline(), [PointFamily()]
    meta.learn(given, families, **QUICK, out=tmp_path / "a")
    longer = QUICK | {"outer": OuterLoop(steps=4)}
    with pytest.raises(ValueError, match="a holds a run with another outer: go on with what"):
        meta.learn(given, families, **longer, out=tmp_path / "a")
    other = ts.SoftRasterizer(ts.MonotoneSpline(ts.Pixels(0.4, learn=True), knots=4))
    with pytest.raises(ValueError, match="holds a run with another problems, start"):
        meta.learn(other, families, **QUICK, problems=3, out=tmp_path / "a")
    assert train.main(["--resume", str(tmp_path / "a")]) == 1
    assert "holds a run of meta.learn, of objects that are in no file" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("meta.runs.trainer.build_families", lambda settings: families)
        train.train(tiny(out=str(tmp_path / "b")))
    with pytest.raises(ValueError, match="name another folder"):
        meta.learn(given, families, **QUICK, out=tmp_path / "b")


def test_a_record_is_read_as_it_was_written():
    unjudged = Record(1, 0.5, 0.5, 0.0, float("nan"), 1, 0, 0.3, 1.0, {"a": [1.0]})
    names = ("objective", "error_mean", "success", "ahead", "seconds")
    judged = replace(unjudged, **{f"validation_{name}": 0.25 for name in names})
    for record in (unjudged, replace(judged, validation_noise=float("nan"))):
        again = Record.of_row(json.loads(record.line()))
        # A NaN is not equal to itself.
        assert repr(again) == repr(record)


class Nothing(SteepFamily):
    """A family whose problems are none."""

    def draw(self, count: int, split: Split, generator: torch.Generator) -> None:
        """Forget to return a task."""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"renderer": Steepness()},
            TypeError,
            "renderer must be a SoftRasterizer or Softness, got St",
        ),
        ({"renderer": ts.Softness()}, ValueError, "must have a parameter that requires a gradient"),
        ({"families": SteepFamily()}, TypeError, "families must be a Sequence, got SteepFamily"),
        (
            {"families": []},
            ValueError,
            "families must hold at least one family of problems, got none",
        ),
        (
            {"families": [SteepFamily]},
            TypeError,
            r"families\[0\] must be a TaskFamily, got the class",
        ),
        ({"families": ["pose"]}, TypeError, r"families\[0\] must be a TaskFamily, got str"),
        ({"families": [Nothing()]}, TypeError, "what steep draws must be a Task, got NoneType"),
        ({"problems": 0}, ValueError, "problems must be at least 1, got 0"),
        ({"problems": (2, 2)}, ValueError, "problems must be one or 1 numbers, got 2"),
        ({"problems": (0,)}, ValueError, r"problems\[0\] must be at least 1, got 0"),
        ({"learn_rate": 1}, TypeError, "learn_rate must be a bool, got int"),
        ({"gradient": "es"}, TypeError, "gradient must be a MetaGradientSettings, got str"),
        ({"outer": 24}, TypeError, "outer must be an OuterLoop, got int"),
        ({"outer": OuterLoop(steps=0)}, ValueError, "outer_steps must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_errors_name_the_argument(changes, error, message):
    arguments = {"renderer": steep(), "families": [SteepFamily()], **QUICK, **changes}
    with pytest.raises(error, match=message):
        meta.learn(**arguments)


def test_what_was_learned_is_learned_further():
    once = meta.learn(spline(), [PointFamily()], **QUICK)
    with pytest.raises(ValueError, match="must have a parameter that requires a gradient"):
        meta.learn(once.renderer, [PointFamily()], **QUICK)
    start = copy.deepcopy(once.renderer).requires_grad_()
    twice = meta.learn(start, [PointFamily()], **QUICK)
    assert twice.history[-1].scale > once.history[-1].scale
    assert once.softness.trained["step"] == 3


OWN = [
    *("--families", f"{__name__}:SteepFamily", "--own.problems", "4", "--learn", "coverage"),
    *("--coverage", f"{__name__}:Steepness", "--schedule", "constant", "--scale", "1"),
    *("--inner-steps", "8", "--outer-steps", "3", "--learning-rate", "0.1"),
    *("--es.sigma", "0.3", "--es.pairs", "2", "--checkpoint-every", "2"),
    *("--validation-problems", "5", "--validation-every", "2"),
]


def test_a_run_by_import_paths_goes_on_and_is_loaded(tmp_path, monkeypatch, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train.main([*OWN, "--out", str(whole)]) == 0
    told = capsys.readouterr().out
    assert f'softness: meta.load("{whole}") in Python' in told
    assert "compare:  docs/own-problems.md" in told
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt)
        assert train.main([*OWN, "--out", str(cut)]) == 130
    stopped = meta.load(cut)
    assert (len(stopped.history), stopped.softness.trained["step"]) == (1, 0)
    assert train.main(["--resume", str(cut)]) == 0
    one, other = meta.load(whole), meta.load(cut)
    assert without_times(one.history) == without_times(other.history)
    assert one.verdict == other.verdict
    value = one.softness.coverage.module.value
    assert torch.equal(value, other.softness.coverage.module.value)
    assert not RunFolder(whole).softness.exists()
    with pytest.raises(ValueError, match="SteepFamily is not of the library"):
        evaluate(whole, EvaluationSettings())


def test_a_run_by_an_import_path_with_a_softness_of_the_library(tmp_path, capsys):
    words = ["--families", f"{PointFamily.__module__}:PointFamily", "--coverage", "gaussian"]
    budget = ["--learn", "scale", "--inner-steps", "2", "--outer-steps", "1", "--es.pairs", "1"]
    assert train.main([*words, *budget, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert f"softness: {RunFolder(tmp_path).softness}\n" in told
    # What meta.evaluate refuses is not advised.
    assert "compare:  docs/own-problems.md" in told
    assert "meta.evaluate" not in told


def test_a_run_whose_module_is_gone_says_so(tmp_path):
    assert train.main([*OWN, "--out", str(tmp_path)]) == 0
    config = RunFolder(tmp_path).config
    config.write_text(config.read_text().replace(f"{__name__}:SteepFamily", "gone_since:Steep"))
    message = r"config.json cannot be made again: families: gone_since:Steep cannot be imported"
    with pytest.raises(ValueError, match=message):
        meta.load(tmp_path)
    with pytest.raises(ValueError, match=message):
        train.reopen(tmp_path)


def test_a_run_by_import_paths_that_are_wrong_does_not_begin(tmp_path, capsys):
    words = ["--families", f"{__name__}:Flat", "--out", str(tmp_path)]
    assert train.main(words) == 1
    assert (
        f"families: {__name__}:Flat is not there: {__name__} has no Flat" in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


def test_a_run_of_the_library_is_loaded(tmp_path):
    folder = train.train(rendered(families=("pose",), out=str(tmp_path), outer_steps=1))
    loaded, saved = meta.load(tmp_path), ts.Softness.load(folder.softness)
    assert loaded.softness.trained == saved.trained
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.softness.state_dict()[name], value)
    with pytest.raises(FileNotFoundError, match="no training run in"):
        meta.load(tmp_path / "elsewhere")
