"""One setting for all families is the best of all, from no more problems than it may see."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass, replace

import pytest
import torch

import taichisoft as ts
from meta.evaluation.plan import QUICK
from meta.evaluation.pooled import scores as scores_module
from meta.evaluation.pooled.aim import BY_MUCH, ORACLE
from meta.evaluation.pooled.given import DEFAULTS, defaults, pooled, suggested
from meta.evaluation.pooled.halving import Chosen, choose, plan_rounds
from meta.evaluation.pooled.job import ALL, Choices, PooledJob, Seen, alone
from meta.evaluation.pooled.pool import BEST, Pool, choose_all
from meta.evaluation.pooled.setting import CONORMS, REACH, PooledSetting
from meta.evaluation.pooled.settings import PooledSettings
from meta.evaluation.pooled.table import MEAN, PairedTable
from meta.evaluation.verdicts import Standing
from meta.learning.inner import InnerSettings
from meta.report.pooled import PooledReport
from tasks import PoseFamily, Split
from tests.meta.evaluation.evaluation_cases import comparison_of, result
from tests.meta.learning.problems import PointFamily

GRID = PooledSettings(
    entrants=("gaussian",),
    scales=(0.5, 0.75, 1.0),
    conorms=("probabilistic",),
    gammas=(0.4, 0.8),
    rates=(1.0,),
    budget=60,
    keep=2,
    alone=0.5,
)
WIDE = PooledSettings(scales=(0.12, 0.25, 0.5, 1.0, 2.0), conorms=tuple(CONORMS))
DEPTH = {"flat": False, "deep": True}


def test_rounds_stay_within_the_budget_and_leave_one():
    choices = WIDE.choices("gaussian")
    shares = {"flat": 2, "deep": 1}
    rounds = plan_rounds(choices, DEPTH, shares, 5000, 3)
    assert [one.settings for one in rounds] == [135, 45, 15, 5, 2]
    # A family that does not see gamma solves a third of the settings.
    most = {"flat": 45, "deep": 135}
    costs = [
        sum(n * min(one.settings, most[name]) for name, n in one.problems.items()) for one in rounds
    ]
    assert 0.8 * 5000 < sum(costs) <= 5000
    assert all(one.problems["flat"] >= 2 * one.problems["deep"] for one in rounds)
    with pytest.raises(ValueError, match="budget must be enough for 135 settings on 2 families"):
        plan_rounds(choices, DEPTH, shares, 100, 3)


def test_choice_is_the_best_in_the_mean_and_solves_what_looks_the_same_once():
    asked = []
    # The best of each family is the worst of the other.
    scores = {"flat": {0.5: 1.0, 0.75: 0.7, 1.0: 0.0}, "deep": {0.5: 0.0, 0.75: 0.7, 1.0: 1.0}}

    def solve(name, number, count, settings):
        asked.append((name, number, len(settings)))
        one = [scores[name][s.scale] + 0.01 * (s.gamma == 0.8) for s in settings]
        solved = torch.tensor(one, dtype=torch.float64)[:, None, None].expand(-1, 2, count).clone()
        solved[:, 1] = 0.25
        return solved

    choices = GRID.choices("gaussian")
    rounds = plan_rounds(choices, DEPTH, {"flat": 1, "deep": 1}, 60, 2)
    chosen = choose(choices, DEPTH, rounds, 2, solve)
    assert (chosen.setting.scale, chosen.setting.gamma) == (0.75, 0.8)
    assert chosen.score == pytest.approx((0.7 + 0.71) / 2 - 0.25, abs=1e-12)
    assert chosen.success == pytest.approx({"flat": 0.7, "deep": 0.71}, abs=1e-12)
    assert chosen.at_edge == ("gamma",)
    # Six settings, of which the flat family sees three.
    assert asked[:2] == [("flat", 0, 3), ("deep", 0, 6)]
    problems = [one.problems for one in rounds]
    assert chosen.solved == sum(k * problems[number][name] for name, number, k in asked)
    assert chosen.solved <= 60


@dataclass(frozen=True)
class OtherFamily(PointFamily):
    """Points whose goal is one half."""

    name = "other"

    def draw(self, count, split, generator):
        """Return points beyond that goal."""
        task = super().draw(count, split, generator)
        return replace(task, start=task.start - 0.5, goal=task.goal - 0.5)


def job(folder, **changes) -> PooledJob:
    """Return a job on two kinds of points."""
    seen = (Seen(PointFamily(), False, 1), Seen(OtherFamily(), True, 1))
    return PooledJob("gaussian", seen, replace(GRID, **changes), 40, 0, folder)


def test_job_chooses_for_all_without_each_and_for_each_alone(tmp_path):
    one = job(tmp_path)
    assert not one.done()
    one.run()
    choices = one.load()
    scales = {name: chosen.setting.scale for name, chosen in choices.chosen.items()}
    # Points end at the scale, and each kind has a goal of its own; what is between solves neither.
    assert set(scales) == {ALL, "pose", "other", alone("pose"), alone("other")}
    assert (scales["other"], scales["pose"]) == (1.0, 0.5)
    assert (scales[alone("pose")], scales[alone("other")]) == (1.0, 0.5)
    assert choices.chosen["other"].success == {"pose": 1.0}
    # Alone, in rounds of its own: of three settings that look different, and of six.
    solved = {name: choices.chosen[alone(name)].solved for name in ("pose", "other")}
    assert solved == {"pose": 3 * 2 + 2 * 3, "other": 6 + 3 + 2 * 2}
    assert choices.solved < sum(chosen.solved for chosen in choices.chosen.values())
    again = Choices.from_json(json.loads(json.dumps(choices.to_json())))
    assert again.to_json() == choices.to_json()


def test_interrupted_job_solves_nothing_again(tmp_path, monkeypatch):
    solved = []

    def counted(*arguments, **options):
        solved.append(1)
        if len(solved) == stop:
            raise KeyboardInterrupt
        return measure(*arguments, **options)

    measure, stop = scores_module.measure, 0
    monkeypatch.setattr(scores_module, "measure", counted)
    job(tmp_path / "whole").run()
    whole = len(solved)
    stop = whole - 1
    solved.clear()
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "parts").run()
    stop = 0
    solved.clear()
    job(tmp_path / "parts").run()
    assert 0 < len(solved) <= whole // 3
    assert (
        job(tmp_path / "parts").load().chosen.keys() == job(tmp_path / "whole").load().chosen.keys()
    )
    assert not job(tmp_path / "parts", budget=70).done()


def test_published_defaults_are_as_published():
    family = PointFamily()
    found = {c.key: pickle.loads(pickle.dumps(c)) for c in defaults(family, 64)}
    assert set(found) == set(DEFAULTS)
    scales = {key: c.choice.scale for key, c in found.items()}
    # The square root of sigma, and the scale of GenDR, in halves of 64 pixels.
    assert scales["default-softras"] == pytest.approx(1e-5**0.5 * 32, rel=1e-9)
    assert scales["default-pytorch3d"] == pytest.approx(1e-4**0.5 * 32, rel=1e-9)
    assert scales["default-gendr"] == pytest.approx(0.01 * 32, rel=1e-9)
    d = torch.tensor([-0.02, 0.004, 0.01], dtype=torch.float64)
    for key, sigma in (("default-softras", 1e-5), ("default-pytorch3d", 1e-4)):
        made = found[key].renderer(found[key].choice)
        s = 32 * d / scales[key]
        value = made.coverage.without_tail(s)
        # Equation 1 of SoftRas, up to the cut of the tail.
        assert torch.allclose(value, torch.sigmoid(d.sign() * d**2 / sigma), atol=2e-4)
        assert isinstance(made.aggregation, ts.Probabilistic)
        # Normalised depths are those from 1 to 100.
        assert float(made.occlusion.gamma()) == pytest.approx(1e-4 * 99, rel=1e-9)
        assert found[key].choices(None) == [found[key].choice]
    assert all(c.choice.learning_rate == family.learning_rate for c in found.values())


def test_suggested_scale_is_that_of_the_scene():
    family = PoseFamily(image_size=(24, 24))
    task = family.sample(0, 2, Split.TRAIN)
    candidate = pickle.loads(pickle.dumps(suggested(family, 24)))
    (choice,) = candidate.choices(None)
    made = candidate.renderer(choice)
    candidate.solve(task, made, InnerSettings(1, choice.learning_rate), lambda state: None)
    edge = task.situation().edge_length
    expected = min(max(edge / 8, 0.1), 0.4)
    assert float(made.coverage.scale.in_pixels(24)) == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(choice.scale)


def test_pooled_candidate_is_its_setting():
    setting = PooledSetting("logistic-annealed", 0.5, "frank-10", 0.8, 2.0)
    candidate = pickle.loads(pickle.dumps(pooled(setting, PointFamily())))
    (choice,) = candidate.choices(None)
    assert choice.learning_rate == pytest.approx(2 * PointFamily.learning_rate)
    made = candidate.renderer(choice)
    made.set_progress(0.5)
    assert float(made.coverage.scale.in_pixels(64)) == pytest.approx(0.5, rel=1e-9)
    assert isinstance(made.coverage, ts.Logistic)
    assert isinstance(made.aggregation, ts.Frank)
    assert isinstance(made.occlusion, ts.FrontToBack)
    assert PooledSetting.from_json(setting.to_json()) == setting


def test_tails_of_pooled_settings_end_where_they_hardly_help():
    ends = {}
    for entrant in ("logistic", "gaussian", "exponential"):
        made = PooledSetting(entrant, 0.5, "probabilistic", 0.8, 1.0).renderer().coverage
        ends[entrant] = -float(made.low())
    assert ends["logistic"] == ends["exponential"] == REACH
    assert ends["gaussian"] < REACH


def compared(ours: int, theirs: int, count: int = 200):
    """Return a comparison in which so many problems are solved, all with the same error."""
    index = torch.arange(count, dtype=torch.float64)
    found = {
        key: result(key, torch.where(index < number, 0.5, 1.5).double()[None])
        for key, number in (("learned", ours), ("gaussian", theirs))
    }
    other = found["gaussian"]
    best = replace(other, candidate=replace(other.candidate, key=BEST, label="One fixed setting"))
    comparison = comparison_of(found["learned"], other)
    return replace(comparison, fixed=(best, other))


class _Named(PointFamily):
    pass


def families(*numbers: tuple[int, int]):
    """Return comparisons of several families."""
    return tuple(
        replace(compared(*pair), family=type("Named", (_Named,), {"name": f"family {i}"})())
        for i, pair in enumerate(numbers)
    )


@pytest.mark.parametrize(
    ("numbers", "standings", "reached"),
    [
        ([(160, 120)] * 3 + [(100, 100)], ["ahead"] * 3 + ["level"], True),
        ([(160, 120)] * 3 + [(60, 100)], ["ahead"] * 3 + ["behind"], False),
        ([(160, 120)] * 2 + [(100, 100)] * 2, ["ahead"] * 2 + ["level"] * 2, False),
        ([(116, 100)] * 4, ["ahead"] * 4, False),
        ([(101, 100)] * 4, ["level"] * 4, False),
    ],
)
def test_standing_and_goal_follow_from_paired_differences(numbers, standings, reached):
    table = PairedTable.of(families(*numbers), resamples=200)
    found = [table.cells[BEST][name].overall.value for name in table.families]
    assert found == standings
    assert BY_MUCH.reached(table, BEST) is reached
    assert ORACLE.reached(table, BEST) is (
        standings.count("ahead") >= 2 and "behind" not in standings
    )
    gains = [(ours - theirs) / 200 for ours, theirs in numbers]
    assert table.cells[BEST][MEAN].success.estimate == pytest.approx(sum(gains) / 4, abs=1e-12)
    ratios = [3.0 ** ((theirs - ours) / 200) for ours, theirs in numbers]
    product = torch.tensor(ratios).prod() ** 0.25
    assert table.cells[BEST][MEAN].ratio.estimate == pytest.approx(float(product), rel=1e-6)


def test_report_tells_what_the_numbers_say():
    report = PooledReport("Title", "About.", families((160, 120), (100, 100), (60, 100)), 0, 200)
    text = report.markdown()
    assert "is ahead in family 0, level in family 1 and behind in family 2" in text
    assert "that is not a win" in text
    assert "| **Learned** | 80.0 [" in text
    assert report.paired.where(BEST, Standing.AHEAD) == ["family 0"]
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert len(values["rows"]) == 9
    assert {row["family"] for row in values["paired"]} == {*report.families, MEAN}


def test_comparisons_of_a_table_have_the_same_fixed_softnesses():
    one, other = families((160, 120), (100, 100))
    with pytest.raises(ValueError, match="comparisons must have the same fixed softnesses"):
        PairedTable.of((one, replace(other, fixed=other.fixed[:1])))


def test_the_one_fixed_setting_has_the_highest_score(tmp_path):
    one = job(tmp_path)
    one.run()
    first = one.load()
    less = {k: replace(c, score=c.score - 1) for k, c in first.chosen.items()}
    choices = {"uniform": replace(first, chosen=less), "gaussian": first}
    pool = Pool(choices, tuple(choices))
    assert pool.best() == "gaussian"
    with pytest.raises(ValueError, match="panel must be a choice that was made"):
        pool.best("nowhere")
    again = Pool.from_json(json.loads(json.dumps(pool.to_json())))
    assert (again.solved, again.finalists) == (2 * first.solved, pool.finalists)
    # Whoever is no finalist does not count.
    assert Pool(choices, ("uniform",)).best() == "uniform"
    family = PointFamily()
    (tuned,) = Pool(choices, ("gaussian",)).tuned(alone("pose"), family)
    assert (tuned.key, tuned.choice.scale) == ("pooled-gaussian", 1.0)
    for wrong in ((), ("logistic",)):
        with pytest.raises(ValueError, match="finalists must be entrants, at least one"):
            Pool(choices, wrong)


def test_finalists_alone_choose_for_each_family(tmp_path):
    plan = replace(
        QUICK.problems.with_families(("pose", "shape2d")),
        inner=replace(QUICK.problems.inner, steps=1),
    )
    evaluation = replace(QUICK.evaluation, out=str(tmp_path))
    pool = choose_all(plan, QUICK.pooled, evaluation)
    assert set(pool.choices) == {"gaussian", "gaussian-annealed"}
    (finalist,) = pool.finalists
    scores = {key: choices.chosen[ALL].score for key, choices in pool.choices.items()}
    assert scores[finalist] == max(scores.values())
    families = {"pose", "shape2d"}
    every = {ALL, *families, *map(alone, families)}
    for key, choices in pool.choices.items():
        assert set(choices.chosen) == (every if key == finalist else {ALL})
    assert set(choose_all(plan, QUICK.pooled, evaluation, each=False).choices[finalist].chosen) == {
        ALL
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["finalists"].clear(), "finalists must be entrants, at least one, got none"),
        (lambda v: v["finalists"].append("uniform"), "finalists must be entrants, .*got uniform"),
        (lambda v: v["entrants"]["gaussian"]["chosen"].pop(ALL), "chosen must have one for all"),
        (
            lambda v: v["entrants"]["gaussian"]["chosen"][ALL].update(score=math.nan),
            "score must be finite",
        ),
    ],
)
def test_damaged_pools_are_refused(change, message):
    setting = PooledSetting("gaussian", 0.5, "probabilistic", 0.8, 1.0)
    chosen = {name: Chosen(setting, 0.5, {"flat": 0.5}, 3) for name in (ALL, "flat")}
    values = Pool({"gaussian": Choices(chosen, 3, "")}, ("gaussian",)).to_json()
    assert Pool.from_json(values).best() == "gaussian"
    change(values)
    with pytest.raises(ValueError, match=message):
        Pool.from_json(values)
