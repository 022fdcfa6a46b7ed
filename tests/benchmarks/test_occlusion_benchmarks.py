"""What is measured about T-conorms and the order of depths: short runs, and balls whose size is known."""

from __future__ import annotations

import json
import math

import pytest
import torch

import taichisoft as ts
from benchmarks import conorms, occlusion_order
from benchmarks.learned_conorm import ESTIMATOR, LEARNING_RATE, START, Learning, learn
from benchmarks.learned_conorm import FIRST_SEED as FIRST_LEARNING_SEED
from benchmarks.solved import FIRST_SEED, Solved, draw, solve_all
from benchmarks.surfaces import HEIGHT, IMAGE_SIZE, areas, flats, leaks, smooth_disc
from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from meta.learning.objective import compressed
from tasks import OcclusionFamily, Split

SMALL = OcclusionFamily(image_size=(12, 12), planes=3, displacement=(0.0, 0.0))


def test_conorms_smoke(tmp_path, capsys):
    out = tmp_path / "conorms"
    conorms.main(["--out", str(out), "--quick", "--steps", "2"])
    parts = json.loads(out.with_suffix(".json").read_text())["parts"]
    learned = conorms.learned_parts(conorms.QUICK_FAMILIES)
    assert set(parts) == {*conorms.SURFACES, *conorms.QUICK_FAMILIES, *learned}
    for name, part in parts.items():
        assert part["about"]["steps"] == 2
        expected = {conorms.LEARNED} if name in learned else set(conorms.CONORMS)
        assert {row["conorm"] for row in part["rows"]} == expected
    text = out.with_suffix(".md").read_text()
    assert text in capsys.readouterr().out
    assert all(name in text for name in (*conorms.CONORMS, conorms.LEARNED))
    conorms.main(["--out", str(out), "--quick", "--steps", "3", "--only", "flats"])
    again = json.loads(out.with_suffix(".json").read_text())["parts"]
    assert again["flats"]["about"]["steps"] == 3
    assert again | {"flats": parts["flats"]} == parts


def test_occlusion_order_smoke(tmp_path, capsys):
    out = tmp_path / "order"
    occlusion_order.main(
        ["--out", str(out), "--quick", "--steps", "2", "--problems", "2", "3", "4"]
    )
    result = json.loads(out.with_suffix(".json").read_text())
    final = [row for row in result["rows"] if row["stage"] == "final"]
    models = (occlusion_order.FRONT_TO_BACK, occlusion_order.REFERENCE_DEPTH)
    for model in models:
        walls = [row["wall"] for row in final if row["setting"]["model"] == model]
        # One setting of each model is tried at all.
        assert sorted(walls) == sorted(occlusion_order.WALLS)
    assert {row["result"]["problems"] for row in final} == {4}
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


def test_settings_are_those_of_their_words():
    tried = occlusion_order.settings()
    assert len({one.text() for one in tried}) == len(tried)
    for one in tried:
        occlusion = one.renderer(ts.Probabilistic()).occlusion
        new = one.model == occlusion_order.FRONT_TO_BACK
        assert isinstance(occlusion, ts.FrontToBack) is new
        if new:
            assert isinstance(occlusion.order, ts.Heaviside) is (one.order == "hard")
        else:
            assert math.isclose(float(occlusion.gamma()), float(one.gamma), rel_tol=1e-6)


def test_a_ball_of_many_faces_under_a_narrow_maximum_has_its_size():
    """Under `Max` alpha is that of the nearest edge, so that a ball is a smooth disc, but for its seams."""
    (found,) = areas({"max": ts.Max()}, (3,), (0.002,))
    assert found.faces == 1280
    assert abs(found.bias) < 0.005
    assert abs(found.front_bias) < 0.005
    assert found.least >= 0.5 - 1e-6


def test_a_smooth_disc_is_larger_by_its_curvature():
    """Against the integral of a blurred step over the plane, in polar coordinates."""
    radius = IMAGE_SIZE / HEIGHT
    r = torch.linspace(0, 2 * radius, 200_001, dtype=torch.float64)
    inside = torch.special.ndtr((radius - r) / 4.0)
    area = torch.trapezoid(2 * math.pi * r * inside, r)
    assert smooth_disc(4.0) == pytest.approx(float(area) / (math.pi * radius**2) - 1, rel=1e-4)


def test_nothing_shines_through_a_ball_without_seams():
    order = {"hard": ts.FrontToBack(ts.Heaviside())}
    found = leaks({"some": ts.Probabilistic(), "none": ts.Yager(1.0)}, order, (0.5,), (0.3,))
    some, none = (leak.share for leak in found)
    assert some > 0.01
    assert none < 1e-3


def test_a_quarter_is_open_where_two_faces_of_a_flat_wall_meet():
    order = {"hard": ts.FrontToBack(ts.Heaviside())}
    (found,) = flats({"some": ts.Probabilistic()}, order, (0.3,))
    # Each face covers half of what is left, and in the middle of a face nothing is open.
    assert found.least == pytest.approx(0.75, abs=1e-3)
    assert found.least < found.mean < 1


def test_problems_of_a_batch_are_those_of_its_seed():
    first, second = draw(SMALL, 27, 1)
    assert (first.count, second.count) == (25, 2)
    again = SMALL.sample(FIRST_SEED + 10_001, 2, Split.TRAIN)
    assert torch.equal(second.targets, again.targets)


def test_p_is_moved_against_its_slope_by_problems_of_its_own():
    order = ts.FrontToBack(ts.Logistic(1.0), gamma=0.2)
    drawn = []

    class Spied(OcclusionFamily):
        def draw(self, count, split, generator):
            drawn.append((generator.initial_seed(), count))
            return super().draw(count, split, generator)

    family = Spied(image_size=(12, 12), planes=3)
    found = learn(family, ts.Gaussian(0.5), order, 2, Learning(2, 3), 1)
    assert [count for _, count in drawn] == [3, 3]
    first = FIRST_LEARNING_SEED + 10_000
    assert [seed // 2 for seed, _ in drawn] == [first, first + 1]
    # The first step of Adam is as long as its rate, and leads downhill.
    assert found.p[0] == pytest.approx(START)
    step = math.log(found.p[1] / found.p[0])
    assert step == pytest.approx(-math.copysign(LEARNING_RATE, found.slopes[0]), rel=1e-3)
    # The slope is that of the outcomes on both sides of p, of the same problems.
    task = OcclusionFamily(image_size=(12, 12), planes=3).sample(first, 3, Split.TRAIN)
    sides = []
    for sign in (1, -1):
        renderer = ts.SoftRasterizer(
            ts.Gaussian(0.5), ts.Frank(START * math.exp(sign * ESTIMATOR.sigma)), order
        )
        errors = solve(task, Method(renderer), InnerSettings(2, family.learning_rate)).errors[2]
        sides.append(float(compressed(errors, family.error_cap).mean()))
    assert found.slopes[0] == pytest.approx((sides[0] - sides[1]) / (2 * ESTIMATOR.sigma), rel=1e-3)


def test_shares_are_of_the_problems():
    tasks = draw(SMALL, 3, 0)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.3), occlusion=ts.FrontToBack(ts.Heaviside()))
    found = solve_all(SMALL, tasks, renderer, 1)
    assert found.problems == 3
    assert 0 <= found.error <= 1
    assert Solved(8, 2, 0.5, 1.0).share == 0.25
    assert Solved(6, 2, 0.5, 1.0) + Solved(2, 0, 0.1, 1.0) == Solved(8, 2, 0.4, 2.0)
    assert Solved(8, 2, 0.5, 1.0).deviation == pytest.approx(math.sqrt(0.25 * 0.75 / 8))
