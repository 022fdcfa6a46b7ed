"""The measurement of estimators: short runs, exact cases, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from meta.estimators import (
    EstimatorSettings,
    Reference,
    estimate_all,
    main,
    measure,
    problem,
)
from meta.learning.gradients import ESTIMATORS, EvolutionStrategies, PersistentEvolution
from meta.report.estimators import EstimatorStatistics, draw, markdown
from taichisoft.base.backend import backend
from tests.meta.learning.problems import ParameterObjective, flat, spline_method

SHORT = EstimatorSettings(
    problems=1, image_size=12, inner_steps=3, horizon=2, pairs=1, draws=2, reference=1, knots=2
)


GRADIENTS = {name: kind for name, kind in ESTIMATORS.items() if name != "cma"}


def test_every_estimator_of_a_gradient_gets_a_row():
    rows = estimate_all(SHORT)
    assert [row.name for row in rows] == list(GRADIENTS)
    by_name = {row.name: row for row in rows}
    exact = by_name["unrolled"]
    assert exact.cosine_exact == pytest.approx(1, abs=1e-12)
    assert exact.bias_exact == exact.spread == exact.bias_error == 0
    assert exact.bias_smooth > 0
    for name, row in by_name.items():
        random = name.startswith("es")
        assert row.draws == (2 if random else 1)
        assert (row.spread > 0) == random
        assert row.bias_error == pytest.approx(row.spread / 2**0.5)
        assert -1 <= row.cosine_smooth <= 1
        assert row.seconds > 0
        assert row.trajectories > 0
    # Three steps in segments of two leave an error of the first one to neither.
    assert by_name["truncated"].bias_exact > 0


def test_rows_of_a_linear_objective():
    slope = torch.tensor([3.0, -4.0, 0.0]).double()
    objective, solver = ParameterObjective(lambda p: slope @ p), spline_method(2)
    assert flat(solver).shape == (3,)
    against = Reference(exact=2 * slope, smooth=slope, seconds=0.5)
    settings = replace(SHORT, draws=400)
    all_pairs, one_pair = (
        measure("es", "some", method, objective, solver, settings, against)
        for method in (EvolutionStrategies(0.1, 3), EvolutionStrategies(0.1, 1))
    )
    assert all_pairs.norm == pytest.approx(1)
    assert all_pairs.bias_exact == pytest.approx(1)
    assert all_pairs.cosine_exact == pytest.approx(1)
    assert all_pairs.bias_smooth < 1e-9
    assert all_pairs.spread < 1e-9
    assert all_pairs.trajectories == pytest.approx(all_pairs.seconds / 0.5)
    # A direction e of length sqrt(3) gives (slope . e) e, whose mean square is 3 times that of the mean.
    assert one_pair.spread == pytest.approx(2**0.5, rel=0.05)
    assert one_pair.bias_smooth < 4 * one_pair.bias_error


def test_an_episode_is_one_estimate():
    objective, solver = problem(SHORT)
    against = Reference(torch.ones(3).double(), torch.ones(3).double(), 1.0)
    method = PersistentEvolution(0.1, 1, horizon=1, steps=3)
    row = measure("es-persistent", "", method, objective, solver, SHORT, against)
    assert row.draws == 2
    assert method.state_dict() == {}
    generator = torch.Generator().manual_seed(SHORT.seed + 1)
    parts = [method.estimate(objective, solver, generator) for _ in range(6)]
    vectors = [torch.cat([g.flatten() for g in part.gradients.values()]) for part in parts]
    assert row.norm == pytest.approx(float(torch.stack(vectors).mean(0).norm() / 3**0.5), rel=1e-5)


def test_the_command_writes_table_and_figure(tmp_path, capsys):
    options = ["--problems", "1", "--image-size", "8", "--inner-steps", "2", "--knots", "2"]
    options += ["--horizon", "1", "--pairs", "1", "--draws", "2", "--reference", "1"]
    code = main([*options, "--backend", backend(), "--out", str(tmp_path / "new")])
    assert code == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "new/estimators.json").read_text())
    assert result["settings"]["inner_steps"] == 2
    assert result["command"].startswith("python -m meta.estimators --problems 1")
    assert {"taichisoft", "torch"} <= result["versions"].keys()
    assert [row["name"] for row in result["rows"]] == list(GRADIENTS)
    text = (tmp_path / "new/estimators.md").read_text()
    assert all(f"| {kind.label} |" in text for kind in GRADIENTS.values())
    assert (tmp_path / "new/estimators.png").read_bytes().startswith(b"\x89PNG")


def row(**changes) -> EstimatorStatistics:
    values = dict.fromkeys(("norm", "cosine_exact", "cosine_smooth", "bias_smooth"), 0.5)
    zeros = dict.fromkeys(("bias_exact", "bias_error", "spread"), 0.0)
    given = {"name": "unrolled", "label": "exact", "draws": 1, "seconds": 2.0, "trajectories": 3.0}
    return EstimatorStatistics(**(values | zeros | given | changes))


def test_table_shows_errors_of_random_estimators_alone():
    settings = {**vars(SHORT)}
    text = markdown([row(), row(label="noisy", draws=9, bias_error=0.25)], settings, "command")
    assert "| exact | 0.500 | 0.500 | 0 | 0.5 | 0 | 3.0 | 2.00 |" in text
    assert "| noisy | 0.500 | 0.500 | 0 ± 0.25 | 0.5 ± 0.25 | 0 | 3.0 | 2.00 |" in text


def test_figure_has_a_line_for_each_estimator():
    figure = draw([row(), row(label="other"), row(label="third")])
    assert len(figure.axes) == 4
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["exact", "other", "third"]
    assert [axes.get_xlim()[0] for axes in figure.axes[1:]] == [0, 0, 0]
    assert "derivative" in figure.legends[0].get_texts()[0].get_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": 1}, "draws must be at least 2, got 1"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"sigma": 0.0}, "sigma must be finite and greater than 0"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SHORT, **changes)
