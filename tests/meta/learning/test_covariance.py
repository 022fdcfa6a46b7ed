"""CMA-ES on functions whose minimum is known, and as part of a run that stops and goes on."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from meta import train
from meta.learning.gradients import CovarianceAdaptation
from meta.learning.outer import OuterOptimizer
from tests.meta.learning.problems import ParameterObjective, flat, spline_method, tiny
from tests.meta.learning.test_evolution import CURVATURE, SLOPE, quadratic, seeded
from tests.meta.runs.run_cases import assert_same, points, stop_at, words_of

__all__ = ["points"]

MINIMUM = -torch.linalg.solve(CURVATURE, SLOPE)


def walked(estimator, method, steps: range, function=quadratic) -> OuterOptimizer:
    """Take outer steps, each with a seed of its own."""
    outer = OuterOptimizer(method, learning_rate=0.1, steps=9, clip=1e-9)
    for step in steps:
        objective = ParameterObjective(lambda p, step=step: function(p) + step)
        outer.step(estimator.estimate(objective, method, seeded(step)), step)
    return outer


@pytest.mark.parametrize("adapt", [False, True])
def test_it_finds_the_minimum_of_a_quadratic(adapt):
    method = spline_method()
    outer = walked(CovarianceAdaptation(0.5, 12, adapt=adapt), method, range(150))
    assert float((flat(method).detach() - MINIMUM).norm()) < 1e-2
    assert (outer.skipped, outer.clipped) == (0, 0)


@pytest.mark.parametrize("adapt", [False, True])
def test_it_goes_on_from_a_file_as_if_it_had_not_stopped(adapt, tmp_path):
    whole, parted = spline_method(), spline_method()
    walked(CovarianceAdaptation(0.3, adapt=adapt), whole, range(7))
    first, second = (CovarianceAdaptation(0.3, adapt=adapt) for _ in range(2))
    walked(first, parted, range(4))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    walked(second, parted, range(4, 7))
    assert torch.equal(flat(parted), flat(whole))
    # Its state matters.
    forgetful = spline_method()
    walked(CovarianceAdaptation(0.3, adapt=adapt), forgetful, range(4))
    walked(CovarianceAdaptation(0.3, adapt=adapt), forgetful, range(4, 7))
    assert not torch.equal(flat(forgetful), flat(whole))


def test_the_usual_population_and_the_mean_outcome():
    objective, method = ParameterObjective(quadratic), spline_method()
    estimate = CovarianceAdaptation(1e-9).estimate(objective, method, seeded())
    assert objective.count == 4 + math.floor(3 * math.log(5))
    value = float(quadratic(flat(method).detach()))
    assert estimate.outcome.value == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_candidate_that_is_not_finite_is_the_last(bad):
    """As if its value were large, of which the ranks alone count."""
    start = flat(spline_method()).detach()[0]
    found = []
    for lost in (bad, 1e9):
        objective = ParameterObjective(lambda p, v=lost: v if p[0] > start + 0.3 else quadratic(p))
        estimator = CovarianceAdaptation(0.3, 8)
        found.append(estimator.estimate(objective, spline_method(), seeded()))
    for name, step in found[0].steps.items():
        assert torch.equal(step, found[1].steps[name])
    assert found[0].outcome.value < 1e3 < found[1].outcome.value


def test_a_lost_generation_is_skipped():
    estimator, method = CovarianceAdaptation(0.3), spline_method()
    walked(estimator, method, range(2))
    before, state = flat(method).detach().clone(), estimator.state_dict()
    outer = walked(estimator, method, range(2, 3), lambda p: math.nan)
    assert outer.skipped == 1
    assert torch.equal(flat(method), before)
    assert all(value is state[name] for name, value in estimator.state_dict().items())


def test_the_state_of_another_softness_is_refused():
    estimator = CovarianceAdaptation(0.3)
    walked(estimator, spline_method(), range(1))
    state = estimator.state_dict()
    with pytest.raises(ValueError, match=r"state must be of 4 parameters, .* got one of 5"):
        walked(estimator, spline_method(3), range(1))
    with pytest.raises(ValueError, match=r"state must have .*mean_rate.*, got covariance"):
        CovarianceAdaptation(0.3, adapt=True).load_state_dict(state)
    with pytest.raises(ValueError, match=r"state\.step_path must be finite"):
        estimator.load_state_dict(state | {"step_path": state["step_path"] * math.nan})


def test_a_run_on_the_command_line_stops_and_goes_on(points, tmp_path, monkeypatch):
    settings = [tiny(out=str(tmp_path / name), gradient="cma") for name in ("whole", "cut")]
    words = [words_of(setting) for setting in settings]
    assert train.main(words[0]) == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt)
        assert train.main(words[1]) == train.INTERRUPTED
    assert train.main(["--resume", settings[1].out]) == 0
    whole, cut = (train.RunFolder(tmp_path / name) for name in ("whole", "cut"))
    assert_same(cut, whole)


def test_without_its_package_it_says_how_to_get_it(points, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(
        ImportError, match=r"CMA-ES needs cmaes.*: pip install 'taichisoft\[train\]'"
    ):
        CovarianceAdaptation(0.3)
    assert train.main(["--gradient", "cma", "--out", str(tmp_path)]) == train.FAILED
    assert "error: CMA-ES needs cmaes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sigma": 0.0}, ValueError, "sigma must be finite and greater"),
        ({"population": 3}, ValueError, "population must be 0 or at least 4, got 3"),
        ({"population": 4.0}, TypeError, "population must be an int"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        CovarianceAdaptation(**{"sigma": 0.3, **options})
