"""A problem of any family is drawn while it is being solved."""

from __future__ import annotations

import pytest
import torch

from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from meta.report.filmstrip import draw_solving
from tasks import Split
from tests.zoo.tasks import CASES, soft


@pytest.mark.parametrize("name", CASES)
def test_states_and_errors_are_those_of_the_solution(name):
    task = CASES[name].sample(3, 2, Split.TRAIN)
    settings = InnerSettings(4, CASES[name].learning_rate)
    figure = draw_solving(task, soft(), settings, problem=1, frames=3, unit="things")
    *pictures, target, curve = figure.axes
    assert [axes.get_title().splitlines()[0] for axes in pictures] == ["step 0", "step 2", "step 4"]
    shown = torch.from_numpy(target.images[0].get_array().filled())
    assert torch.equal(shown, task.target(1).clamp(0, 1))
    errors = solve(task, Method(soft()), settings).errors[:, 1]
    assert torch.equal(torch.tensor(curve.lines[0].get_ydata()), errors)
    assert curve.get_ylabel() == "error [things]"
    figure.canvas.draw()


def test_wrong_arguments():
    family = CASES["pose"]
    task = family.sample(0, 1, Split.TRAIN)
    settings = InnerSettings(1, 0.1)
    with pytest.raises(ValueError, match="frames must be at least 2, got 1"):
        draw_solving(task, soft(), settings, frames=1)
    with pytest.raises(ValueError, match="problem must be less than 1, got 1"):
        draw_solving(task, soft(), settings, problem=1)
