"""The pictures show what they say."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from meta.evaluation.candidates import FIXED, Choice
from meta.evaluation.comparison import Comparison
from meta.report import animation, plots
from tasks import Split
from tests.forks import Program
from tests.meta.evaluation.evaluation_cases import PROTOCOL, made_up, points
from tests.meta.learning.problems import PointFamily, PointTask


class Disc(PointTask):
    """Points whose picture is a step, so that progress can be seen."""

    def views(self, unknowns, problem):
        """Return ones up to the point."""
        column = (torch.arange(8.0) + 0.5) / 4
        return (column < unknowns["x"][problem]).double().expand(6, 8)

    def target(self, problem):
        """Return ones up to the goal."""
        return self.views({"x": self.goal}, problem)


class DiscFamily(PointFamily):
    """A family of such points."""

    def sample(self, seed, count, split):
        """Return the same points, with pictures."""
        task = super().sample(seed, count, split)
        return Disc(task.start, task.goal)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    fixed = tuple(key for key in FIXED if not key.endswith("-annealed"))
    return points(tmp_path_factory.mktemp("discs"), family=DiscFamily(), fixed=fixed)


@pytest.mark.parametrize("key", [key for key in FIXED if key != "straight-through"])
def test_curves_are_those_of_the_renderer_in_pixels(key):
    renderer = FIXED[key].renderer(Choice(2.5, 0.05, 0.1))
    d, value, slope = plots.pixel_curve(renderer, 10)
    coverage = renderer.coverage
    s = d / 2.5
    assert torch.allclose(value, coverage.without_tail(s), rtol=0, atol=1e-9)
    assert value[0] == 0
    assert value[-1] == pytest.approx(1, abs=1e-5)
    h = 1e-6
    central = (coverage.without_tail(s + h) - coverage.without_tail(s - h)) / (2 * h * 2.5)
    # Not at kinks, nor where the slope of the gamma function goes to infinity.
    close = (slope - central).abs() < 1e-4
    assert close.double().mean() > 0.99


def test_curve_of_a_straight_through_softness_has_the_slope_that_is_followed():
    _, value, slope = plots.pixel_curve(
        FIXED["straight-through"].renderer(Choice(2.5, 0.05, 1)), 10
    )
    assert set(value[1:-1].round(decimals=4).tolist()) == {0.0, 1.0}
    _, _, followed = plots.pixel_curve(FIXED["gaussian"].renderer(Choice(2.5, 0.05, 1)), 10)
    assert float(slope.max()) == pytest.approx(float(followed.max()), rel=1e-4)


def test_every_softness_has_its_own_look(comparison):
    drawn = plots.looks(comparison)
    assert len({look["color"] for look in drawn.values()}) == len(drawn) == 7


def test_the_best_of_many_are_drawn():
    keys = list(FIXED)[:9]
    solved = {"learned": 3, "general": 2, "scale": 1, "other": 9}
    crowd = made_up(solved | {key: 10 + i for i, key in enumerate(keys)})
    drawn = [result.key for result in plots.drawn_results(crowd)]
    assert drawn == ["learned", "general", "scale", *keys[-6:]]
    looks = plots.looks(crowd)
    assert len({look["color"] for look in looks.values()}) == len(looks) == 9


def test_curves_and_convergence_are_drawn(comparison, tmp_path):
    plots.save_softness_curves([comparison, comparison], tmp_path / "softness.png", 10)
    plots.save_convergence([comparison, comparison], tmp_path / "convergence.png")
    for name in ("softness.png", "convergence.png"):
        with Image.open(tmp_path / name) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert picture.height > 900
        learned = np.array([0xD1, 0x35, 0x0F])
        # Each of the four panels has a line in the colour of the learned softness.
        hits = np.abs(pixels - learned).sum(-1) < 20
        middle = [half for rows in np.array_split(hits, 2) for half in np.array_split(rows, 2, 1)]
        assert all(panel.sum() > 100 for panel in middle)


def test_drawing_leaves_the_global_state_of_matplotlib_alone():
    code = (
        "import sys, meta.report.plots, meta.report.animation; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert Program(code, dict(os.environ)).finished().returncode == 0


def test_animation_has_a_frame_per_measurement_and_moves(comparison, tmp_path):
    path = tmp_path / "examples.gif"
    animation.save_examples([comparison], path)
    with Image.open(path) as picture:
        assert picture.n_frames == len(comparison.learned[0].outcome.steps) == 7
        frames = []
        for i in range(picture.n_frames):
            picture.seek(i)
            frames.append(np.asarray(picture.convert("RGB")))
    assert all((a != b).any() for a, b in pairwise(frames))
    # Solved at the end: nothing is left over in the learned panel.
    assert _count(frames[0], animation.EXCESS) > 0
    assert _count(frames[-1], animation.EXCESS) == 0


def test_pictures_in_colour_keep_their_colours(comparison, tmp_path, monkeypatch):
    stripes = torch.rand(6, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    shown = stripes.repeat_interleave(2, 1)
    monkeypatch.setattr(Disc, "views", lambda self, unknowns, problem: shown)
    path = tmp_path / "examples.gif"
    animation.save_examples([comparison], path)
    with Image.open(path) as picture:
        frame = np.asarray(picture.convert("RGB")).astype(int)
    wanted = (255 * stripes).round().numpy().reshape(-1, 3)
    nearest = [np.abs(frame - color).max(-1).min() for color in wanted]
    assert max(nearest) <= 8


def test_overlay_tells_missing_from_excess():
    state, target = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    pixels = np.asarray(animation.overlay(state, target))[0]
    wanted = [animation.BOTH, animation.EXCESS, animation.MISSING, animation.EMPTY]
    assert np.array_equal(pixels, np.array(wanted, dtype=np.uint8))


@pytest.mark.parametrize(("size", "rows"), [((4, 8), 1), ((4, 16), 3)])
def test_wide_pictures_are_stacked(comparison, monkeypatch, size, rows):
    blank = torch.zeros(size)
    task = DiscFamily().sample(0, PROTOCOL.problems, Split.HELD_OUT)
    monkeypatch.setattr(Disc, "views", lambda self, unknowns, problem: blank)
    strip = animation.Strip(comparison, task, 0)
    assert [len(row) for row in strip.rows(0)] == [3 // rows] * rows


def test_example_is_of_median_difficulty(comparison):
    count = PROTOCOL.problems
    errors = torch.stack([r.outcome.errors[-1, :count] for r in comparison.held_out])
    ranks = errors.argsort(1).argsort(1).double().mean(0)
    chosen = ranks[comparison.median_problem()]
    assert (ranks < chosen).sum() <= count // 2
    assert (ranks > chosen).sum() <= count // 2


def _count(frame: np.ndarray, color: np.ndarray) -> int:
    # The legend has the colour too, so only what is above it counts.
    return int((np.abs(frame[: -animation.FOOT].astype(int) - color).sum(-1) < 30).sum())
