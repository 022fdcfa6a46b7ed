"""Words follow from the numbers, whichever way they fall."""

from __future__ import annotations

import json

import pytest
import torch

from meta.evaluation.statistics import Interval
from meta.evaluation.verdicts import Standing, Verdict
from meta.report.row import Row
from meta.report.tables import markdown, rows, verdicts
from tests.meta.evaluation.evaluation_cases import comparison_of, made_up, result

AHEAD, LEVEL, BEHIND = Standing.AHEAD, Standing.LEVEL, Standing.BEHIND


def with_errors(ours: float, theirs: float, count: int = 50):
    """Return results that solve everything, or nothing, with errors around given medians."""
    spread = torch.linspace(0.98, 1.02, count, dtype=torch.float64)
    found = [
        result(key, (middle * spread)[None])
        for key, middle in (("learned", ours), ("gaussian", theirs))
    ]
    return comparison_of(*found)


@pytest.mark.parametrize(
    ("ours", "theirs", "more", "less"),
    [
        ((0.6, 0.7), (0.4, 0.5), AHEAD, BEHIND),
        ((0.4, 0.5), (0.6, 0.7), BEHIND, AHEAD),
        ((0.4, 0.6), (0.5, 0.7), LEVEL, LEVEL),
        ((0.4, 0.5), (0.5, 0.7), LEVEL, LEVEL),
    ],
)
def test_standing_is_decided_by_intervals(ours, theirs, more, less):
    a, b = (Interval(sum(ends) / 2, *ends) for ends in (ours, theirs))
    assert Standing.of(a, b, more_is_better=True) is more
    assert Standing.of(a, b, more_is_better=False) is less


@pytest.mark.parametrize(
    ("ours", "theirs", "standing", "points_ahead"),
    [
        (90, 50, AHEAD, "+40.0"),
        (50, 90, BEHIND, "-40.0"),
        (55, 50, LEVEL, "+5.0"),
        (50, 55, LEVEL, "-5.0"),
        (50, 50, LEVEL, "+0.0"),
    ],
)
def test_success_is_compared_with_the_best_fixed_softness(ours, theirs, standing, points_ahead):
    comparison = made_up({"learned": ours, "gaussian": theirs, "uniform": theirs // 2})
    verdict = Verdict.on(comparison, comparison.learned[0])
    assert verdict.success is standing
    assert f"problem by problem {points_ahead} percentage points" in verdict.text
    assert f"Solved: {ours}.0 % [" in verdict.text
    assert f"against {theirs}.0 % [" in verdict.text
    assert ("wins in success rate" in verdict.text) == (standing is AHEAD)
    assert ("loses in success rate" in verdict.text) == (standing is BEHIND)


@pytest.mark.parametrize(
    ("ours", "theirs", "success", "error", "overall", "headline"),
    [
        (0.5, 0.6, LEVEL, AHEAD, AHEAD, "Learned wins in median error against"),
        (0.6, 0.5, LEVEL, BEHIND, BEHIND, "Learned loses in median error against"),
        (0.5, 0.5, LEVEL, LEVEL, LEVEL, "No winner: the intervals of Learned and"),
        (0.5, 1.5, AHEAD, AHEAD, AHEAD, "Learned wins in success rate and median error against"),
        (
            1.5,
            0.5,
            BEHIND,
            BEHIND,
            BEHIND,
            "Learned loses in success rate and median error against",
        ),
    ],
)
def test_headline_names_the_measures(ours, theirs, success, error, overall, headline):
    comparison = with_errors(ours, theirs)
    verdict = Verdict.on(comparison, comparison.learned[0])
    assert (verdict.success, verdict.error, verdict.overall) == (success, error, overall)
    assert verdict.headline.startswith(headline)
    assert f"problem by problem {ours / theirs:.3g} [" in verdict.text


def test_winning_in_one_measure_and_losing_in_the_other_is_behind():
    # More are solved than by the other, which solves those that it does with a ninth of the error.
    index = torch.arange(100, dtype=torch.float64)
    ours = torch.where(index < 90, 0.9, 1.1)
    theirs = torch.where(index < 70, 0.1, 1.1)
    comparison = comparison_of(
        result("learned", ours.double()[None]), result("gaussian", theirs.double()[None])
    )
    verdict = Verdict.on(comparison, comparison.learned[0])
    assert (verdict.success, verdict.error, verdict.overall) == (AHEAD, BEHIND, BEHIND)
    assert "wins in success rate but loses in median error" in verdict.headline


@pytest.mark.parametrize(
    ("solved", "meaning"),
    [
        (90, "so the learned one is ahead"),
        (51, "which may be chance"),
        (20, "so the learned one is behind"),
    ],
)
def test_sentence_says_what_the_differences_allow(solved, meaning):
    comparison = made_up({"learned": solved, "gaussian": 50})
    verdict = Verdict.on(comparison, comparison.learned[0])
    ahead = verdict.ours.success_ahead(verdict.by_success)
    points = [f"{100 * value:+.1f}" for value in (ahead.estimate, ahead.low, ahead.high)]
    sentence = verdict.sentence
    assert sentence.startswith(f"The learned softness solved {solved}.0 % [")
    assert " of 100 unseen problems, the best fixed softness (Gaussian) 50.0 % [" in sentence
    assert f": {points[0]} percentage points [{points[1]}, {points[2]}], {meaning}." in sentence


def test_the_best_fixed_softness_is_another_one_for_each_measure():
    index = torch.arange(100, dtype=torch.float64)
    many = torch.where(index < 90, 0.9, 1.1).double()[None]
    precise = torch.where(index < 70, 0.1, 1.1).double()[None]
    comparison = comparison_of(
        result("learned", many), result("gaussian", many), result("uniform", precise)
    )
    assert comparison.best_by_success.key == "gaussian"
    assert comparison.best_by_error.key == "uniform"
    text = Verdict.on(comparison, comparison.learned[0]).text
    assert "of Gaussian; the intervals overlap" in text
    assert "of Uniform; the intervals do not overlap" in text


def test_no_verdict_from_two_problems():
    comparison = made_up({"learned": 2, "gaussian": 0}, count=2)
    assert Verdict.on(comparison, comparison.learned[0]).success is LEVEL


def test_every_learned_softness_gets_a_verdict():
    comparison = made_up({"learned": 90, "general": 20, "gaussian": 50})
    found = verdicts(comparison)
    assert {key: verdict["success"] for key, verdict in found.items()} == {
        "learned": "ahead",
        "general": "behind",
    }
    text = markdown([comparison])
    assert all(verdict["text"] in text for verdict in found.values())


def json_rows(comparison):
    """Return the rows as files have them, after the way back and forth."""
    values = [row.to_json() for row in rows(comparison)]
    assert [Row.from_json(value) for value in values] == rows(comparison)
    return values


def test_rows_are_sorted_by_success():
    table = json_rows(made_up({"learned": 30, "gaussian": 60, "uniform": 30}))
    assert [row["softness"] for row in table] == ["gaussian", "learned", "uniform"]
    assert [row["success_mean"] for row in table] == [0.6, 0.3, 0.3]
    assert table[0]["error_mean"] == pytest.approx(0.6 * 0.5 + 0.4 * 1.5, abs=1e-12)
    assert (table[0]["error_median"], table[0]["seconds"]) == (0.5, 1.5)
    assert [row["kind"] for row in table] == ["fixed", "learned", "fixed"]


def test_best_so_far_is_not_the_last_and_counts_for_steps():
    errors = torch.tensor([[3.0, 3.0, 2.0], [0.5, 4.0, 2.0], [2.0, 0.5, 5.0]]).double()
    row = json_rows(comparison_of(result("learned", errors), result("gaussian", errors)))[0]
    assert (row["success_mean"], row["success_best"]) == (1 / 3, 2 / 3)
    assert (row["error_mean"], row["error_best_mean"]) == (2.5, 1.0)
    assert row["steps_to_success"] == 2
    assert row["steps_to_success_high"] is None
    assert row["solved_by"] == [0, 1 / 3, 2 / 3]
    json.dumps(row, allow_nan=False)


def test_errors_that_are_no_numbers_count_as_the_cap():
    errors = torch.tensor([[0.5, torch.inf]], dtype=torch.float64)
    table = json_rows(comparison_of(result("learned", errors), result("gaussian", errors)))
    assert table[0]["error_mean"] == table[0]["error_median"] == (0.5 + 2.0) / 2
    json.dumps(table, allow_nan=False)


def test_ratio_of_errors_is_finite_where_an_error_is_zero():
    errors = torch.tensor([[0.0, 0.5, 0.5]], dtype=torch.float64)
    ours, theirs = result("learned", errors), result("gaussian", errors + 1e-6)
    mean, median = ours.error_ratios(theirs)
    assert median.estimate == pytest.approx(1, abs=1e-5)
    # A millionth of the cap, 2, stands for zero and for what is below it.
    assert mean.estimate == pytest.approx(1, abs=1e-5)
