"""Plan of `make results`: what it trains and how it evaluates, all numbers of the published results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meta.config.families import (
    FAMILIES,
    OcclusionRun,
    PoseRun,
    Shape2DRun,
    Shape3DRun,
)
from meta.config.families.base import ProblemCounts
from meta.config.softness import SoftnessSettings
from meta.evaluation.conditions import CONDITIONS, QUICK_CONDITIONS, Condition
from meta.evaluation.pooled.setting import REACH
from meta.evaluation.pooled.settings import PooledSettings
from meta.evaluation.settings import EvaluationSettings
from meta.learning.gradients import AntitheticSettings, CovarianceSettings
from meta.learning.settings import InnerLoop, OuterLoop, TrainSettings, ValidationSettings

GENERAL = "general"
START = "-start"
# Merged from the runs of all families but one.
WITHOUT = GENERAL + "-without-"


@dataclass(frozen=True)
class Plan:
    """Runs and their evaluation.

    Parameters
    ----------
    problems : TrainSettings
        The problems, equal in all runs and in the evaluation.
    learned : dict of str to TrainSettings
        Learning a softness, by family. Merged, they make that of all families, `GENERAL`.
    sizes : dict of str to TrainSettings
        The same at other image sizes, each on one family, by name; merged as well.
    curves : dict of str to TrainSettings
        Learning a part of a softness as a curve of any shape, each on one family, by name.
    evaluation : EvaluationSettings
        Of every run on every family.
    pooled : PooledSettings
        Of choosing one fixed setting for all families.
    conditions : tuple of Condition
        Under which that setting meets the softness of all families.
    """

    problems: TrainSettings
    learned: dict[str, TrainSettings]
    sizes: dict[str, TrainSettings]
    curves: dict[str, TrainSettings]
    evaluation: EvaluationSettings
    pooled: PooledSettings
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
        """Return the settings of all runs by name; each has its own folder in that one."""
        runs = self.learned | self.sizes | self.curves
        return {name: replace(run, out=str(folder / name)) for name, run in runs.items()}

    @property
    def merged(self) -> dict[str, tuple[str, ...]]:
        """The names of the runs that a softness is merged from, by its name.

        That of all families, and those of all but one if there are several.
        """
        found = {GENERAL: self.families}
        if len(self.families) > 1:
            for out in self.families:
                found[WITHOUT + out] = tuple(name for name in self.families if name != out)
        return {name: self._on(families) for name, families in found.items()}

    def _on(self, families: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the runs on some families, but for curves."""
        runs = self.learned | self.sizes
        return tuple(name for name, run in runs.items() if set(run.family_names) <= set(families))


_PROBLEMS = TrainSettings(
    families=(
        PoseRun(start=(35.0, 55.0)),
        Shape3DRun(views=24, subdivisions=3),
        Shape2DRun(),
        OcclusionRun(),
    ),
    inner=InnerLoop(steps=30, objective="final"),
)

# Few numbers, each a lever of its own: the shift of a closed-form curve, the width at the first and at the
# last step, the T-conorm, on depths gamma at both, and the rate. The kinds are the same for all families, so
# that what is learned can be merged. Tails end where those of the fixed softnesses do.
_SILHOUETTES = SoftnessSettings(
    learn=("coverage", "scale", "aggregation", "rate"),
    coverage="logistic",
    reach=REACH,
    schedule="exponential",
    scale=0.79,
    scale_end=0.079,
    aggregation="frank",
    aggregation_p=2.0,
    occlusion="front_to_back",
    gamma_schedule="exponential",
    gamma_unit="extent",
)
_FLAT = replace(_SILHOUETTES, scale=1.58, scale_end=0.158, shift=-0.5, aggregation_p=10.0)
_DEEP = replace(
    _SILHOUETTES,
    learn=("coverage", "scale", "aggregation", "gamma", "rate"),
    scale=1.58,
    scale_end=0.158,
    aggregation_p=1.05,
    # At first planes hide each other little, at last in their order.
    gamma=30.0,
    gamma_end=0.3,
)


def _run(
    family: str, problems: int, population: int, judged_every: int, softness: SoftnessSettings
) -> TrainSettings:
    """Return 200 generations of CMA-ES on one family, whose learning rates suit the noise of few problems."""
    run = _PROBLEMS.family(family)
    return replace(
        _PROBLEMS,
        families=(replace(run, problems=problems),),
        softness=softness,
        gradient=CovarianceSettings(sigma=0.3, population=population, adapt=True),
        validation=ValidationSettings(problems=128, every=judged_every),
        outer=OuterLoop(steps=200),
    )


# Curves of any shape: the coverage, a generator of T-conorms, an order of depths; and courses through knots.
_FREE = replace(_SILHOUETTES, learn=("coverage", "scale", "rate"), reach=0.0)
_ORDER = ("scale", "occlusion", "gamma", "rate")
_KNOTS = replace(
    _SILHOUETTES, schedule="knots", shift_schedule="knots", aggregation_schedule="knots"
)


def _evolved(family: str, problems: int, softness: SoftnessSettings) -> TrainSettings:
    """Return 200 steps of evolution strategies, whose cost does not grow with the number of parameters."""
    return replace(
        _run(family, problems, 0, 25, softness),
        gradient=AntitheticSettings(sigma=0.2, pairs=4),
    )


FULL = Plan(
    problems=_PROBLEMS,
    learned={
        "pose": _run("pose", 8, 8, 25, _SILHOUETTES),
        "shape3d": _run("shape3d", 1, 6, 100, _SILHOUETTES),
        "shape2d": _run("shape2d", 3, 6, 50, _FLAT),
        # By CMA-ES with two problems a generation the step size grew from 0.3 to 1.4 in 52 generations.
        "occlusion": _evolved("occlusion", 2, _DEEP),
    },
    # So that a rule for widths can tell a height in pixels from a family.
    sizes={"pose-40": replace(_run("pose", 2, 8, 25, _SILHOUETTES), image_size=40)},
    curves={
        "pose-network": _evolved("pose", 8, replace(_FREE, coverage="mlp")),
        "pose-spline": _evolved("pose", 8, replace(_FREE, coverage="spline")),
        "pose-generator": _evolved("pose", 8, replace(_SILHOUETTES, aggregation="generator")),
        "pose-knots": replace(_run("pose", 8, 10, 25, _SILHOUETTES), softness=_KNOTS),
        "occlusion-order": _evolved("occlusion", 2, replace(_DEEP, learn=_ORDER, order="spline")),
    },
    evaluation=EvaluationSettings(
        seeds=5,
        # A problem of shape3d, with its 24 views, takes much longer than the others.
        counts={
            "pose": ProblemCounts(100, 32),
            "shape3d": ProblemCounts(20, 3),
            "shape2d": ProblemCounts(100, 9),
            "occlusion": ProblemCounts(100, 8),
        },
        train_split=True,
        measure_every=3,
    ),
    # About as many problems as learning solves.
    pooled=PooledSettings(budget=24_000),
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


def _tiny(runs: dict[str, TrainSettings], image_size: int = 16) -> dict[str, TrainSettings]:
    """Return runs that learn the same from tiny problems, in one step."""
    tiny = replace(_TINY, image_size=image_size)
    return {
        name: replace(tiny.with_families(run.family_names), softness=run.softness)
        for name, run in runs.items()
    }


QUICK = Plan(
    problems=_TINY,
    learned=_tiny(FULL.learned),
    sizes=_tiny(FULL.sizes, image_size=12),
    curves=_tiny(FULL.curves),
    evaluation=EvaluationSettings(
        seeds=1,
        counts=dict.fromkeys(FAMILIES, ProblemCounts(2, 1)),
        train_split=True,
        measure_every=1,
        resamples=50,
        workers=1,
    ),
    pooled=PooledSettings(
        entrants=("gaussian-annealed", "gaussian"),
        scales=(0.25, 0.5),
        conorms=("probabilistic",),
        gammas=(0.8,),
        rates=(1.0,),
        budget=16,
        finalists=1,
        alone=0.5,
    ),
    conditions=QUICK_CONDITIONS,
)
"""The same with tiny numbers, to try whether everything works."""
