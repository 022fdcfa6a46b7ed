"""Conditions: what they change, that their records are kept apart, and what their mean says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from meta.evaluation import conditions
from meta.evaluation.candidates import FIXED
from meta.evaluation.condition_differences import corrected_p_values, differences
from meta.evaluation.condition_jobs import Budget, Entrants, UnderCondition, plan
from meta.evaluation.conditions import CONDITIONS, Condition
from meta.report.conditions import conditions_markdown, make_conditions
from tasks import FAMILIES, MeshSplit, OcclusionFamily, PoseFamily, Shape2DFamily, Shape3DFamily
from tests.meta.evaluation.evaluation_cases import PROTOCOL, comparison_of, result, softness_file
from tests.meta.learning.problems import PointFamily

BY_KEY = {condition.key: condition for condition in CONDITIONS}
POINTS = PointFamily()
# One choice, so that a fixed softness has nothing to choose.
ONE = replace(PROTOCOL, scales=(1.0,), rates=(1.0,))
USUAL = Condition(
    "usual", "usual", 0, {POINTS.name: lambda family: family}, problems={POINTS.name: 20}
)
SHORT = replace(USUAL, key="short", label="5 steps", seed=3, steps=5, problems={POINTS.name: 7})


def entrants(folder) -> Entrants:
    learned = [softness_file(folder, 1.0)]
    return Entrants({POINTS.name: learned}, {POINTS.name: [FIXED["gaussian"]]})


def budget(folder, **changes) -> Budget:
    options = {"protocols": {POINTS.name: ONE}, "folder": folder / "records", "resamples": 100}
    return Budget(**{**options, **changes})


def under(key: str, *errors: torch.Tensor) -> UnderCondition:
    """Return two softnesses with those errors (N,) of the first, and all failures of the second."""
    found = [
        comparison_of(
            result("learned", e[None].double()),
            result("gaussian", torch.full_like(e, 1.5)[None].double()),
        )
        for e in errors
    ]
    return UnderCondition(replace(USUAL, key=key), tuple(found))


def test_published_conditions_change_what_they_say():
    usual = {name: FAMILIES[name]() for name in FAMILIES}
    assert len(BY_KEY) == len({c.seed for c in CONDITIONS}) == len(CONDITIONS)
    for pixels in (32, 96, 160):
        changed = BY_KEY[f"size-{pixels}"]
        assert changed.changes.keys() == FAMILIES.keys()
        for family in usual.values():
            assert changed.family(family) == replace(family, image_size=(pixels, pixels))
    for steps in (15, 30, 100, 300):
        assert BY_KEY[f"steps-{steps}"].steps == steps
        assert all(BY_KEY[f"steps-{steps}"].family(family) is family for family in usual.values())
    for key in ("holes", "bar", "flipped"):
        assert all(BY_KEY[key].family(family).fault is not None for family in usual.values())
    assert BY_KEY["flipped"].family(usual["pose"]).fault.share == 0.05
    assert BY_KEY["start-far"].family(usual["pose"]).start_angle == (55.0, 75.0)
    assert list(BY_KEY["start-far"].changes) == ["pose"]


@pytest.mark.parametrize(("key", "ratio"), [("faces-quarter", 1 / 4), ("faces-fourfold", 4)])
def test_conditions_change_the_numbers_of_faces(key, ratio):
    pose = BY_KEY[key].family(PoseFamily()).meshes
    for name, mesh in PoseFamily().meshes.held_out.items():
        assert pose.held_out[name].num_faces == pytest.approx(ratio * mesh.num_faces, rel=0.04)
    shape3d = BY_KEY[key].family(Shape3DFamily(subdivisions=2))
    assert 20 * 4**shape3d.subdivisions == ratio * 320
    assert BY_KEY[key].family(Shape2DFamily(triangles=100)).triangles == ratio * 100
    assert BY_KEY[key].family(OcclusionFamily()).faces == max(12, ratio * 36)


def test_other_objects_are_in_neither_split():
    usual = PoseFamily().meshes
    other = BY_KEY["objects"].family(PoseFamily()).meshes
    assert MeshSplit({**usual.train, **usual.held_out}, other.held_out)


def test_a_condition_whose_file_is_missing_is_left_out_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(conditions, "SPOT", tmp_path / "missing.obj")
    spot = BY_KEY["spot"].changes["pose"]
    absent = replace(USUAL, label="Spot", changes={POINTS.name: lambda _: spot(PoseFamily())})
    planned, left_out = plan([absent, SHORT], [POINTS], entrants(tmp_path), budget(tmp_path))
    assert [condition.key for condition, _ in planned] == ["short"]
    assert len(left_out) == 1
    assert left_out[0].startswith("Spot is left out: ")
    assert "missing.obj" in left_out[0]


def test_records_of_conditions_are_kept_apart(tmp_path):
    planned, _ = plan([USUAL, SHORT], [POINTS], entrants(tmp_path), budget(tmp_path))
    (usual, short) = [[*cell[0], *cell[1]] for _, (cell,) in planned]
    assert [job.name for job in usual] == ["pose usual learned", "pose usual gaussian"]
    assert [job.name for job in short] == ["pose short learned", "pose short gaussian"]
    assert short[0].path.name.startswith("pose-short-learned-")
    assert (short[0].protocol.total, short[0].protocol.steps) == (6, 5)
    assert short[0].protocol.seed == ONE.seed + 3
    assert usual[0].protocol == ONE


def test_entrants_have_nothing_to_choose(tmp_path):
    several = budget(tmp_path, protocols={POINTS.name: replace(ONE, rates=(0.5, 1.0))})
    with pytest.raises(ValueError, match="nothing to choose, got 'gaussian' with 2 choices"):
        plan([USUAL], [POINTS], entrants(tmp_path), several)


def test_mean_of_all_counts_conditions_alike_and_families_within_them():
    solved, failed = torch.full((40,), 0.5), torch.full((40,), 1.5)
    half = torch.cat([solved[:20], failed[:20]])
    # 1 in the first condition, the mean of 0 and 1/2 in the second.
    found = [under("first", solved), under("second", failed, half)]
    (mean,) = differences(found, resamples=50)
    assert mean.success.estimate == pytest.approx((1 + 1 / 4) / 2)
    # Of errors of 1/3 and 1, in a cap of 2.
    assert mean.ratio.estimate == pytest.approx((1 / 3) ** ((1 + 1 / 4) / 2))
    with pytest.raises(ValueError, match="found must be of the same entrants, got 0 sets"):
        differences([])


def test_equal_problems_of_several_conditions_are_resampled_together():
    first = torch.where(torch.arange(40) % 3 == 0, 0.5, 1.5)
    other = torch.where(first < 1, 1.5, 0.5)
    (alone,) = differences([under("first", first)], resamples=50)
    assert alone.success.high - alone.success.low > 0.1
    # Solved in exactly one of both conditions: half of each problem, whichever are drawn.
    (both,) = differences([under("first", first), under("second", other)], resamples=50)
    assert both.success.low == pytest.approx(0.5)
    assert both.success.high == pytest.approx(0.5)


def test_p_values_of_the_mean_are_those_of_a_sign_test_and_corrected():
    # Ten problems that only the first solves: one sign of 2^10 on either side. Of errors it is the same.
    found = [under("first", torch.full((10,), 0.5))]
    for p in corrected_p_values(found)[0]:
        assert p == pytest.approx(2 * 2 / 2**10, rel=0.4)


def test_few_problems_put_nobody_ahead():
    # All of so few are alike, so that resamples have no spread.
    for count, words in ((3, "is level with"), (12, "is ahead of")):
        found = [under("first", torch.full((count,), 0.5))]
        assert words in conditions_markdown(found, resamples=50)


def test_table_has_a_row_for_every_condition_and_the_mean(tmp_path):
    found = make_conditions(
        [USUAL, SHORT], [POINTS], entrants(tmp_path), budget(tmp_path), tmp_path
    )
    text = (tmp_path / "conditions.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in rows] == [
        *("| Condition", "| usual", "| 5 steps", "| **mean of all**"),
        *("| Condition", "| usual, pose", "| 5 steps, pose"),
    ]
    assert "mean of all conditions, Learned is level with Gaussian." in text
    rates = [one.comparisons[0].learned[0].success.estimate for one in found]
    assert rows[3].split(" | ")[2] == f"{50 * sum(rates):.1f}"
    values = json.loads((tmp_path / "conditions.json").read_text())
    assert [cell["steps"] for cell in values["cells"]] == [40, 5]
    assert values["mean"]["gaussian"]["success"]["low"] <= 1
