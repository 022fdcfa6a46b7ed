"""Families and coverages by import path: what can be wrong with one, and settings that have them."""

from __future__ import annotations

import json
import re
import sys

import pytest
import torch
from torch import nn

from meta.config.families import OwnRun, PoseRun
from meta.config.imported import imported
from meta.config.softness import SoftnessSettings, initial_renderer
from meta.evaluation.settings import EvaluationSettings
from meta.learning.settings import TrainSettings, build_families
from meta.train import parse
from taichisoft import CustomCoverage, Logistic
from tasks import PoseFamily, TaskFamily
from tests.meta.config.test_settings import plain
from tests.meta.learning.problems import PointFamily

POINTS = "tests.meta.learning.problems:PointFamily"
MODULE = """
import torch
import taichisoft as ts
from tasks import PoseFamily, TaskFamily

far = PoseFamily(image_size=(16, 16))

class Unfinished(TaskFamily):
    name, error_unit, error_cap, learning_rate = "unfinished", "steps", 1.0, 0.1

class Demanding(PoseFamily):
    def __init__(self, size):
        super().__init__(image_size=(size, size))

class Curve(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(()))

    def forward(self, x):
        return torch.sigmoid((1 + self.weight) * x)

logistic = ts.Logistic(7.0, shift=ts.Real(0.5, learn=True))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Make modules of a user that can be imported."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "lacking.py").write_text("import nowhere_to_be_found")
    (tmp_path / "failing.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine"
    for name in ("mine", "lacking", "failing"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("mine:", ValueError, "families must be an import path as my_module:Name, got 'mine:'"),
        (":far", ValueError, "families must be an import path as my_module:Name, got ':far'"),
        ("mine:far:far", ValueError, "families must be an import path"),
        ("my/mine.py:far", ValueError, "families must be an import path"),
        (
            "not_there:far",
            ValueError,
            "not_there:far cannot be imported: there is no module not_there, n",
        ),
        (
            "mine.deeper:far",
            ValueError,
            "cannot be imported: there is no module mine.deeper, neither",
        ),
        ("lacking:far", ValueError, "lacking:far cannot be imported: No module named 'nowhere_to"),
        ("failing:far", ValueError, "failing:far cannot be imported: ZeroDivisionError: division"),
        ("mine:near", ValueError, "families: mine:near is not there: mine has no near"),
        (
            "mine:Unfinished",
            ValueError,
            "cannot be made without arguments .*abstract.*: name an object",
        ),
        (
            "mine:Demanding",
            ValueError,
            "cannot be made without arguments .*'size'.*: name an object in",
        ),
        ("mine:Curve", TypeError, "families: mine:Curve must be a TaskFamily, got the class Curve"),
        ("mine:logistic", TypeError, "families: mine:logistic must be a TaskFamily, got Logistic"),
    ],
)
def test_errors_say_what_is_wrong_with_the_path(mine, path, error, message):
    with pytest.raises(error, match=message):
        imported(path, "families", TaskFamily)


def test_a_class_is_called_and_an_object_taken(mine):
    family = imported("mine:far", "families", TaskFamily)
    assert family.image_size == (16, 16)
    assert imported("mine:far", "families", TaskFamily) is family
    assert type(imported("tasks:PoseFamily", "families", TaskFamily)) is PoseFamily


def test_own_families_are_settings(mine):
    settings = parse(["--families", "pose", POINTS, "mine:far", "--own.problems", "3"])
    assert settings.families == (PoseRun(), *(OwnRun(3, path) for path in (POINTS, "mine:far")))
    assert settings.counts == (16, 3, 3)
    described = json.loads(json.dumps(settings.to_json()))
    assert described["families"][1] == {"name": POINTS, "problems": 3}
    assert TrainSettings.from_json(described) == settings
    other = parse(["--families", "pose", POINTS, "mine:far"])
    assert settings.differences(other) == [f"{POINTS}.problems", "mine:far.problems"]
    built = build_families(settings)
    assert (type(built[1]), built[2].image_size) == (PointFamily, (16, 16))


def test_own_coverage_is_made_with_the_scale_of_the_settings(mine):
    settings = SoftnessSettings(
        coverage="mine:Curve", learn=("coverage",), scale=3.0, scale_end=3.0
    )
    before = torch.get_rng_state()
    made = [initial_renderer(settings, seed).coverage for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    weights = [float(coverage.module.weight.detach()) for coverage in made]
    assert weights[0] == weights[1] != weights[2]
    assert isinstance(made[0], CustomCoverage)
    assert float(made[0].scale.in_pixels(64).detach()) == pytest.approx(3.0)
    settings = SoftnessSettings(coverage="mine:logistic", learn=("coverage",), slope="gaussian")
    value = initial_renderer(settings, 0).coverage.value
    given = imported("mine:logistic", "coverage", nn.Module)
    assert (type(value), float(value.shift().detach())) == (Logistic, 0.5)
    widths = [float(one.scale.in_pixels(64).detach()) for one in (value, given)]
    assert widths == pytest.approx([1.0, 7.0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--coverage", "cubes"], "invalid choice 'cubes' for argument '--coverage'"),
        (["--families", "cubes"], "occlusion, or an import path as my_module:Name"),
        (["--families", "pose", "--own.problems", "3"], "--own.problems has no effect without own"),
        (["--families", POINTS, POINTS], "families must be one or more different names"),
        (["--coverage", POINTS, "--reach", "4"], "reach must be 0 unless the coverage"),
    ],
)
def test_wrong_options(words, message, capsys):
    with pytest.raises(SystemExit):
        parse(words)
    assert message in plain(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TrainSettings(families=(PointFamily(),)),
            "objects are learned from by meta.learn",
        ),
        (
            lambda: TrainSettings(families=[PointFamily()]),
            "objects are learned from by meta.learn",
        ),
        (
            lambda: TrainSettings(families=PointFamily),
            "objects are learned from by meta.learn",
        ),
        (
            lambda: TrainSettings(softness=SoftnessSettings(coverage=Logistic())),
            "coverage must be a name or an import path as my_module:MyCoverage, got Logistic: an object is "
            "learned by meta.learn",
        ),
        (
            lambda: TrainSettings(coverage=Logistic()),
            "coverage must be a name or an import path as my_module:MyCoverage, got Logistic: an object is "
            "learned by meta.learn",
        ),
        (
            lambda: TrainSettings(coverage=torch.nn),
            "got module: an object is learned by meta.learn",
        ),
        (
            lambda: TrainSettings(coverage="mine:Curve"),
            r"got coverage: give softness=SoftnessSettings\(coverage=...\)$",
        ),
    ],
)
def test_objects_are_told_where_they_are_taken(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_coverage_that_is_no_name_is_refused():
    with pytest.raises(ValueError, match="or an import path as my_module:MyCoverage, got 'cubes'"):
        TrainSettings(softness=SoftnessSettings(coverage="cubes"))


def test_a_comparison_by_command_is_of_the_library():
    settings = EvaluationSettings()
    own = parse(["--families", "pose", POINTS])
    with pytest.raises(ValueError, match=re.escape(f"{POINTS} is not of the library")):
        settings.problems_of(own)
    named = EvaluationSettings(families=("pose",))
    assert named.problems_of(own).families == (PoseRun(),)
    with pytest.raises(ValueError, match="mine:Curve is not of the library"):
        named.problems_of(parse(["--coverage", "mine:Curve"]))
