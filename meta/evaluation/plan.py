"""Plan of `make results`: what it trains and how it evaluates, all numbers of the published results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from meta.config.families import (
    FAMILIES,
    FamilyRun,
    OcclusionRun,
    PoseRun,
    Shape2DRun,
    Shape3DRun,
)
from meta.config.families.base import ProblemCounts
from meta.config.softness import SoftnessSettings
from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidates import FIXED
from meta.evaluation.conditions import CONDITIONS, QUICK_CONDITIONS, Condition
from meta.evaluation.pooled.settings import PooledSettings
from meta.evaluation.settings import EvaluationSettings
from meta.learning.gradients import AntitheticSettings
from meta.learning.settings import InnerLoop, OuterLoop, TrainSettings

GENERAL = "general"
SCALE_ONLY = "-scale"
START = "-start"
# Learned on all families but one.
WITHOUT = GENERAL + "-without-"


@dataclass(frozen=True)
class Plan:
    """Runs and their evaluation.

    Parameters
    ----------
    problems : TrainSettings
        The problems, equal in all runs and in the evaluation.
    learned : dict of str to TrainSettings
        Learning a softness: by family, and for all families `GENERAL`.
    scale_only : dict of str to TrainSettings
        Learning a scale alone, by family.
    evaluation : EvaluationSettings
        Of every run on every family.
    pooled : PooledSettings
        Of choosing one fixed setting for all families.
    conditions : tuple of Condition
        Under which that setting meets the softness of all families.
    """

    problems: TrainSettings
    learned: dict[str, TrainSettings]
    scale_only: dict[str, TrainSettings]
    evaluation: EvaluationSettings
    pooled: PooledSettings = field(default_factory=PooledSettings)
    conditions: tuple[Condition, ...] = ()

    @property
    def families(self) -> tuple[str, ...]:
        """The names of the families."""
        return self.problems.family_names

    def with_problems(self, count: int) -> Plan:
        """Return this plan with a number of held-out problems for every family and seed."""
        conditions = (c.with_problems(count * self.evaluation.seeds) for c in self.conditions)
        return replace(
            self,
            evaluation=self.evaluation.with_problems(count),
            conditions=tuple(conditions),
        )

    def runs(self, folder: Path) -> dict[str, TrainSettings]:
        """Return the settings of all runs by name; each has its own folder in that one.

        That of all families comes once more without each of them, if there are several.
        """
        runs = self.learned | {name + SCALE_ONLY: run for name, run in self.scale_only.items()}
        if GENERAL in runs:
            runs |= self.without(runs[GENERAL])
            runs[GENERAL] = runs[GENERAL].with_families(self.families)
        return {name: replace(run, out=str(folder / name)) for name, run in runs.items()}

    def without(self, run: TrainSettings) -> dict[str, TrainSettings]:
        """Return a run on all families without each of them, by name: none if there is one family."""
        others = {out: [name for name in self.families if name != out] for out in self.families}
        return {WITHOUT + out: run.with_families(names) for out, names in others.items() if names}


_POSE = PoseRun(start=(35.0, 55.0))
_PROBLEMS = TrainSettings(
    families=(_POSE, Shape3DRun(), Shape2DRun(), OcclusionRun()),
    gradient=AntitheticSettings(sigma=0.2),
    inner=InnerLoop(steps=30, objective="final"),
    outer=OuterLoop(steps=24, learning_rate=0.06, checkpoint_every=2),
)

# Few parameters, each a lever of its own: the shift of a closed-form curve, the width at the first and at the
# last step, the T-conorm and, on depths, gamma. As many pairs as parameters make a whole set of directions.
_CURVE = SoftnessSettings(
    learn=("coverage", "scale", "aggregation"),
    coverage="gaussian",
    schedule="exponential",
    aggregation="aczel-alsina",
)
_DEEP = replace(
    _CURVE,
    learn=("coverage", "scale", "aggregation", "gamma"),
    gamma_schedule="exponential",
    gamma=0.5,
    gamma_end=0.2,
)
# Of a high power, so that the tails of many faces hardly add up, and widths can be large.
_ONE_SIDED = replace(_DEEP, coverage="exponential", aggregation_p=3.0, scale=2.0, scale_end=0.12)
_SCALE = SoftnessSettings(
    learn=("scale",),
    coverage="gaussian",
    schedule="constant",
    scale=0.3,
    scale_end=0.1,
    aggregation="probabilistic",
    aggregation_p=1.0,
)


def _run(
    *families: FamilyRun, softness: SoftnessSettings, pairs: int, outer: OuterLoop | None = None
) -> TrainSettings:
    return replace(
        _PROBLEMS,
        families=families,
        softness=softness,
        gradient=replace(_PROBLEMS.gradient, pairs=pairs),
        outer=outer or _PROBLEMS.outer,
    )


def _scale_run(
    family: FamilyRun, softness: SoftnessSettings = _SCALE, pairs: int = 1
) -> TrainSettings:
    outer = replace(_PROBLEMS.outer, steps=16)
    return _run(family, softness=softness, pairs=pairs, outer=outer)


FULL = Plan(
    problems=_PROBLEMS,
    learned={
        GENERAL: _run(
            replace(_POSE, problems=16),
            Shape3DRun(problems=3),
            Shape2DRun(problems=5),
            OcclusionRun(problems=6),
            softness=_ONE_SIDED,
            pairs=6,
            outer=replace(_PROBLEMS.outer, steps=12),
        ),
        "pose": _run(
            replace(_POSE, problems=64),
            softness=replace(_CURVE, aggregation_p=1.3, scale=1.5, scale_end=0.15),
            pairs=4,
        ),
        "shape3d": _run(
            Shape3DRun(problems=12),
            softness=replace(
                _CURVE, coverage="logistic", aggregation_p=1.0, scale=0.79, scale_end=0.079
            ),
            pairs=4,
        ),
        "shape2d": _run(
            Shape2DRun(problems=12),
            softness=replace(
                _CURVE, coverage="exponential", aggregation_p=1.0, scale=3.16, scale_end=0.316
            ),
            pairs=4,
            outer=replace(_PROBLEMS.outer, steps=48, learning_rate=0.12),
        ),
        "occlusion": _run(
            OcclusionRun(problems=12),
            softness=replace(
                _DEEP,
                coverage="logistic",
                aggregation_p=1.0,
                gamma=0.3,
                gamma_end=0.3,
                scale=1.58,
                scale_end=0.158,
            ),
            pairs=6,
        ),
    },
    scale_only={
        "pose": _scale_run(replace(_POSE, problems=32)),
        "shape3d": _scale_run(Shape3DRun()),
        "shape2d": _scale_run(Shape2DRun()),
        "occlusion": _scale_run(
            OcclusionRun(), replace(_SCALE, learn=("scale", "gamma"), gamma=0.3), pairs=2
        ),
    },
    evaluation=EvaluationSettings(
        baselines=tuple(FIXED),
        seeds=5,
        counts={name: ProblemCounts(100, 32 if name == "pose" else 16) for name in FAMILIES},
        scales=(0.12, 0.25, 0.5, 1.0, 2.0),
        gammas=(0.1, 0.3, 1.0),
        train_split=True,
        measure_every=3,
    ),
    conditions=CONDITIONS,
)
"""The published results."""

_TINY = TrainSettings(
    families=(
        PoseRun(problems=1),
        Shape3DRun(problems=1, views=1, subdivisions=1),
        Shape2DRun(problems=1, triangles=10),
        OcclusionRun(problems=1),
    ),
    image_size=16,
    gradient=AntitheticSettings(pairs=1),
    inner=InnerLoop(steps=2),
    outer=OuterLoop(steps=1),
)


def _tiny(runs: dict[str, TrainSettings]) -> dict[str, TrainSettings]:
    """Return runs that learn the same from tiny problems, in one step."""
    return {
        name: replace(
            _TINY.with_families(run.family_names),
            softness=run.softness,
            outer=replace(_TINY.outer, learning_rate=run.outer.learning_rate),
        )
        for name, run in runs.items()
    }


QUICK = Plan(
    problems=_TINY,
    learned=_tiny(FULL.learned),
    scale_only=_tiny(FULL.scale_only),
    evaluation=EvaluationSettings(
        baselines=tuple(BASELINES)[:1] + ("gaussian-annealed",),
        seeds=1,
        counts=dict.fromkeys(FAMILIES, ProblemCounts(2, 1)),
        scales=(0.5,),
        gammas=(0.05,),
        rates=(1.0,),
        train_split=True,
        measure_every=1,
        resamples=50,
        workers=1,
    ),
    pooled=PooledSettings(
        entrants=("gaussian-annealed",),
        scales=(0.25, 0.5),
        conorms=("probabilistic",),
        gammas=(0.8,),
        rates=(1.0,),
        budget=8,
    ),
    conditions=QUICK_CONDITIONS,
)
"""The same with tiny numbers, to try whether everything works."""
