"""Validation: which softness of a run is kept, how sure that is, and what a resumed run knows of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from meta import train
from meta.config.softness import initial_renderer, with_parameters
from meta.learning.gradients import MetaGradient, Slope, trainable
from meta.learning.inner import solve
from meta.learning.method import Method
from meta.learning.objective import Outcome
from meta.learning.settings import ValidationSettings
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.selection import Judged, Selection
from meta.runs.trainer import Trainer
from meta.runs.training import Training
from meta.runs.validation import Validation
from meta.runs.verdict import Score, Verdict
from taichisoft import Softness
from tasks import Split
from tests.meta.learning.problems import PointFamily, tiny
from tests.meta.learning.thread_group import in_threads
from tests.meta.runs.run_cases import points, rendered, without_times

__all__ = ["points"]


def judged(path="runs/judged", problems=5, every=1, **changes):
    """Return settings of a tiny run that is judged."""
    validation = ValidationSettings(problems, every)
    return replace(tiny(**changes), out=str(path), validation=validation)


class Towards(MetaGradient):
    """Makes the scale, which starts too small, smaller still (1) or larger (-1), and a rate larger."""

    def __init__(self, sign: float):
        self.sign = sign

    def estimate(self, objective, method, generator) -> Slope:
        """Return the signs, and nothing for the curve."""
        parts = {}
        for name, parameter in trainable(method).items():
            sign = self.sign * ("scale" in name) - ("rate" in name)
            parts[name] = torch.full_like(parameter, sign)
        return Slope(Outcome(0.5, 0.5, 0.0), parts)


def moved(settings, sign):
    """Return the folder of a run that goes one way."""
    run = train.create(settings)
    run.trainer.gradient = Towards(sign)
    run.finish()
    return run.folder


def test_a_run_that_learns_nothing_returns_its_start(points, tmp_path, capsys):
    settings = judged(tmp_path, learn=("scale", "rate"))
    folder = moved(settings, 1.0)
    softness, start = Softness.load(folder.softness), initial_renderer(settings.softness, 0)
    for name, value in start.softness.state_dict().items():
        assert torch.equal(softness.state_dict()[name], value)
    assert (softness.trained["step"], softness.trained["rate"]) == (0, 1.0)
    told = softness.trained["validation"]
    assert (told["taken"], told["ahead"], told["kept"]) == (3, 0.0, told["start"])
    rows = history.read(folder.history)
    assert all(row["validation_ahead"] < 0 and row["parameters"]["rate"] > 1 for row in rows)
    # How large a difference can be seen is known from a softness that differs.
    assert told["visible"] == pytest.approx(2.8 * rows[-1]["validation_noise"])
    assert Training(settings).done()
    assert train.main(["--resume", str(tmp_path)]) == 0
    assert "The start is kept: on 5 validation problems" in capsys.readouterr().out


def test_best_softness_is_kept_and_not_the_last(points, tmp_path):
    # From 0.3 it passes 1, where all problems are solved, on its way to three times that.
    folder = moved(judged(tmp_path, every=2, outer_steps=8, learning_rate=0.5), -1.0)
    rows = history.read(folder.history)
    values = {row["step"]: row["validation_objective"] for row in rows}
    assert [step for step, value in values.items() if value is not None] == [2, 4, 6, 8]
    kept = min((step for step in values if step % 2 == 0), key=values.get)
    assert 0 < kept < 8
    softness = Softness.load(folder.softness)
    expected = with_parameters(softness, rows[kept - 1]["parameters"])
    for name, value in expected.state_dict().items():
        assert torch.equal(softness.state_dict()[name], value)
    told = softness.trained["validation"]
    row, start = rows[kept - 1], told["start"]["objective"]
    assert softness.trained["step"] == told["kept"]["step"] == kept
    assert told["ahead"] == row["validation_ahead"] == pytest.approx(start - values[kept])
    half = 1.96 * row["validation_noise"]
    assert told["interval"] == pytest.approx([told["ahead"] - half, told["ahead"] + half])
    assert told["kept"]["success"] == row["validation_success"]


def test_judgement_is_that_of_the_problems_solved_by_hand(points):
    trainer = Trainer(judged(problems=7, objective="late"))
    numbers = trainer.validation.judge(trainer.method)
    assert numbers.shape == (3, 1, 7)
    errors, method = [], Method(initial_renderer(trainer.settings.softness, 0))
    for batch in trainer.validation.batches:
        task = PointFamily().sample(batch.seed, batch.count, Split.TRAIN)
        inner = trainer.settings.inner.of(PointFamily())
        errors.append(solve(task, method, inner).errors)
    # No more at once than in a step.
    assert [batch.count for batch in trainer.validation.batches] == [4, 3]
    caps = np.clip(np.concatenate([e.numpy() for e in errors], 1) / PointFamily.error_cap, 0, 1)
    # Of 8 steps the last four count.
    expected = np.log1p(20 * caps[5:]).mean(0) / np.log1p(20)
    assert numbers[0, 0].numpy() == pytest.approx(expected, rel=1e-6)
    assert numbers[1, 0].numpy() == pytest.approx(caps[-1], rel=1e-6)
    assert numbers[2, 0].tolist() == (caps[-1] * PointFamily.error_cap < 0.1).tolist()
    trained = {trainer.objective(step).rollouts[0].task.start[0].item() for step in range(3)}
    starts = [
        PointFamily().sample(b.seed, 1, Split.TRAIN).start.item()
        for b in trainer.validation.batches
    ]
    assert len({*trained, *starts}) == 5


def test_lead_is_paired_and_families_count_equally():
    generator = np.random.default_rng(0)
    start, later = generator.random((2, 3, 2, 50))
    found = Judged(4, torch.from_numpy(later)).ahead(Judged(0, torch.from_numpy(start)))
    gains = start[0] - later[0]
    error = math.sqrt(sum(family.var(ddof=1) / 50 for family in gains)) / 2
    assert found == pytest.approx((gains.mean(1).mean(), error), rel=1e-12)
    single = Judged(4, torch.from_numpy(later[..., :1]))
    assert math.isnan(single.ahead(single)[1])


def test_noise_of_a_step_is_the_spread_of_its_problems(points):
    trainer = Trainer(tiny(pose_problems=6))
    objective = trainer.objective(0)
    outcome = objective.evaluate(trainer.method)
    caps = np.clip(outcome.trajectories[0].errors.numpy() / PointFamily.error_cap, 0, 1)
    values = np.log1p(20 * caps[5:]).mean(0) / np.log1p(20)
    assert outcome.noise == pytest.approx(values.std(ddof=1) / 6**0.5, rel=1e-6)
    assert history.Record(**{**vars(trainer.step()), "noise": math.nan}).line().count("null") == 7


@pytest.mark.parametrize("call", [1, 3])
def test_interrupted_before_a_judgement(points, call, tmp_path, monkeypatch):
    whole = train.train(judged(tmp_path / "whole", outer_steps=4))
    run = train.create(judged(tmp_path / "cut", outer_steps=4))
    judge, calls = Validation.judge, []

    def failing(self, method):
        calls.append(method)
        if len(calls) == call:
            raise KeyboardInterrupt
        return judge(self, method)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "judge", failing)
        with pytest.raises(KeyboardInterrupt):
            run.finish()
    assert Checkpoint.load(run.folder.checkpoint).step == max(call - 2, 0)
    train.reopen(run.folder.path).finish()
    ones, others = (
        [{k: v for k, v in without_times(row).items() if k != "validation_seconds"} for row in rows]
        for rows in (history.read(folder.history) for folder in (whole, run.folder))
    )
    assert ones == others
    one, other = (Softness.load(folder.softness) for folder in (whole, run.folder))
    assert one.trained["validation"] == other.trained["validation"]
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_processes_share_the_problems(points):
    settings = replace(judged(problems=7), outer=replace(judged().outer, shards=3))
    whole = Trainer(settings).validation.judge(Method(initial_renderer(settings.softness, 0)))

    def share(group):
        trainer = Trainer(settings, group)
        return trainer.validation.judge(trainer.method)

    assert all(torch.equal(numbers, whole) for numbers in in_threads(3, share))


def test_image_sizes_are_drawn_by_the_seed_and_judged_equally():
    settings = replace(
        rendered(shape3d_problems=2, seed=1),
        image_sizes=(8, 12),
        validation=ValidationSettings(problems=5),
    )
    trainer = Trainer(settings)
    shapes = [
        tuple(rollout.task.targets.shape[1] for rollout in trainer.objective(step).rollouts)
        for step in range(16)
    ]
    # Each family has its own.
    assert set(shapes) == {(8, 8), (8, 12), (12, 8), (12, 12)}
    assert shapes[0] == tuple(
        r.task.targets.shape[1] for r in Trainer(settings).objective(0).rollouts
    )
    batches = trainer.validation.batches
    for family in range(2):
        counts = [
            sum(b.count for b in batches if (b.family, b.size) == (family, size)) for size in (0, 1)
        ]
        assert counts == [3, 2]
    assert len({batch.seed for batch in batches}) == len(batches)


def test_run_from_before_validation_goes_on(points, tmp_path):
    folder = train.train(tiny(out=str(tmp_path)))
    values = torch.load(folder.checkpoint, weights_only=True)
    assert values.pop("selection") == {}
    torch.save(values, folder.checkpoint)
    assert Checkpoint.load(folder.checkpoint).selection == {}
    assert train.main(["--resume", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("kept", "selection must have start, kept, last, method"),
        ("method", "selection.method"),
    ],
)
def test_damaged_selections_are_refused(points, part, message, tmp_path, capsys):
    folder = train.train(judged(tmp_path))
    values = torch.load(folder.checkpoint, weights_only=True)
    if part == "kept":
        del values["selection"]["kept"]
    else:
        values["selection"]["method"] = {"a": torch.tensor(math.nan)}
    torch.save(values, folder.checkpoint)
    assert train.main(["--resume", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_start_alone_shows_no_difference():
    start = Judged(0, torch.rand(3, 2, 8, dtype=torch.float64))
    verdict = Selection.of(start, {}).verdict(1)
    assert math.isnan(verdict.noise)
    assert verdict.words().endswith("Nothing but the start is judged yet.")


def test_verdicts_go_through_json():
    verdict = Verdict(9, 128, Score(4, 0.25, 0.2, 0.75), Score(0, 0.3, 0.3, 0.5), 0.05, 0.01)
    assert Verdict.from_json(verdict.to_json()) == verdict
    words = verdict.words()
    assert "after step 4 of 9" in words
    assert "0.0500 [0.0304, 0.0696] ahead. " in words
    unsure = replace(verdict, noise=0.03).words()
    assert "0.0500 [-0.0088, 0.1088] ahead, which may be chance. " in unsure
    assert "a difference of 0.028" in words
    alone = replace(verdict, problems=1, noise=math.nan).to_json()
    assert alone["interval"] == [None, None]
    assert "nan" not in Verdict.from_json(alone).words()
    with pytest.raises(TypeError, match=r"validation\.kept must be a dict"):
        Verdict.from_json({**alone, "kept": 3})
