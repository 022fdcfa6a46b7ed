"""What `make results` trains and how it evaluates: all numbers of the published results are here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from meta.config.training import FAMILY_NAMES, TrainSettings
from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidates import FIXED
from meta.evaluation.settings import EvaluationSettings

GENERAL = "general"
SCALE_ONLY = "-scale"
START = "-start"


@dataclass(frozen=True)
class Plan:
    """Runs and their evaluation.

    Parameters
    ----------
    problems : TrainSettings
        The problems, equal in all runs and in the evaluation.
    learned : dict of str to dict
        What differs from `problems` in learning a softness: by family, and for all families `GENERAL`.
    scale_only : dict of str to dict
        The same for learning a scale alone, by family.
    evaluation : EvaluationSettings
        Of every run on every family.
    """

    problems: TrainSettings
    learned: dict[str, dict]
    scale_only: dict[str, dict]
    evaluation: EvaluationSettings

    @property
    def families(self) -> tuple[str, ...]:
        """The families."""
        return self.problems.families

    def with_problems(self, count: int) -> Plan:
        """Return this plan with a number of held-out problems for every family and seed."""
        counts = {f"{family}_problems": count for family in self.families}
        return replace(self, evaluation=replace(self.evaluation, **counts))

    def runs(self, folder: Path) -> dict[str, TrainSettings]:
        """Return the settings of all runs by name; each has its own folder in that one."""
        changes = {
            name: {"families": self.families if name == GENERAL else (name,), **change}
            for name, change in self.learned.items()
        }
        changes |= {
            family + SCALE_ONLY: {"families": (family,), **change}
            for family, change in self.scale_only.items()
        }
        return {
            name: replace(self.problems, out=str(folder / name), **change)
            for name, change in changes.items()
        }


# Few parameters, each a lever of its own: the shift of a closed-form curve, the width at the first and at the
# last step, the T-conorm and, on depths, gamma. As many pairs as parameters make a whole set of directions.
_CURVE = {"learn": ("coverage", "scale", "aggregation"), "es_pairs": 4}
_DEEP = {
    "learn": ("coverage", "scale", "aggregation", "gamma"),
    "gamma_schedule": "exponential",
    "gamma": 0.5,
    "gamma_end": 0.2,
    "es_pairs": 6,
}
# Of a high power, so that the tails of many faces hardly add up, and widths can be large.
_ONE_SIDED = {
    "coverage": "exponential",
    "aggregation": "aczel-alsina",
    "aggregation_p": 3.0,
    "scale": 2.0,
}
_SCALE = {
    "learn": ("scale",),
    "schedule": "constant",
    "scale": 0.3,
    "scale_end": 0.1,
    "aggregation": "probabilistic",
    "aggregation_p": 1.0,
    "es_pairs": 1,
    "outer_steps": 16,
}

FULL = Plan(
    problems=TrainSettings(
        families=FAMILY_NAMES,
        pose_start=(35.0, 55.0),
        coverage="gaussian",
        schedule="exponential",
        objective="final",
        inner_steps=30,
        outer_steps=24,
        es_sigma=0.2,
        learning_rate=0.06,
        checkpoint_every=2,
    ),
    learned={
        GENERAL: _DEEP
        | _ONE_SIDED
        | {
            "pose_problems": 16,
            "shape3d_problems": 3,
            "shape2d_problems": 5,
            "occlusion_problems": 6,
            "outer_steps": 12,
            "scale_end": 0.12,
        },
        "pose": _CURVE
        | {"aggregation": "aczel-alsina", "aggregation_p": 1.3}
        | {"pose_problems": 64, "scale": 1.5, "scale_end": 0.15},
        "shape3d": _CURVE
        | {"coverage": "logistic", "aggregation": "aczel-alsina", "aggregation_p": 1.0}
        | {"shape3d_problems": 12, "scale": 0.79, "scale_end": 0.079},
        "shape2d": _CURVE
        | {"coverage": "exponential", "aggregation": "aczel-alsina", "aggregation_p": 1.0}
        | {"shape2d_problems": 12, "scale": 3.16, "scale_end": 0.316}
        | {"outer_steps": 48, "learning_rate": 0.12},
        "occlusion": _DEEP
        | {"coverage": "logistic", "aggregation": "aczel-alsina", "aggregation_p": 1.0}
        | {"gamma": 0.3, "gamma_end": 0.3}
        | {"occlusion_problems": 12, "scale": 1.58, "scale_end": 0.158},
    },
    scale_only={
        "pose": _SCALE | {"pose_problems": 32},
        "shape3d": _SCALE,
        "shape2d": _SCALE,
        "occlusion": _SCALE | {"learn": ("scale", "gamma"), "gamma": 0.3, "es_pairs": 2},
    },
    evaluation=EvaluationSettings(
        baselines=tuple(FIXED),
        seeds=5,
        pose_problems=100,
        shape3d_problems=100,
        shape2d_problems=100,
        occlusion_problems=100,
        pose_tuning=32,
        shape3d_tuning=16,
        shape2d_tuning=16,
        occlusion_tuning=16,
        scales=(0.12, 0.25, 0.5, 1.0, 2.0),
        gammas=(0.1, 0.3, 1.0),
        train_split=True,
        measure_every=3,
    ),
)
"""The published results."""

_TINY = {f"{family}_problems": 1 for family in FAMILY_NAMES} | {"outer_steps": 1, "es_pairs": 1}

QUICK = Plan(
    problems=TrainSettings(
        families=FAMILY_NAMES,
        image_size=16,
        shape3d_views=1,
        shape3d_subdivisions=1,
        shape2d_triangles=10,
        inner_steps=2,
    ),
    learned={name: change | _TINY for name, change in FULL.learned.items()},
    scale_only={name: change | _TINY for name, change in FULL.scale_only.items()},
    evaluation=EvaluationSettings(
        baselines=tuple(BASELINES)[:1] + ("gaussian-annealed",),
        seeds=1,
        pose_problems=2,
        shape3d_problems=2,
        shape2d_problems=2,
        occlusion_problems=2,
        pose_tuning=1,
        shape3d_tuning=1,
        shape2d_tuning=1,
        occlusion_tuning=1,
        scales=(0.5,),
        gammas=(0.05,),
        rates=(1.0,),
        train_split=True,
        measure_every=1,
        resamples=50,
        workers=1,
    ),
)
"""The same with tiny numbers, to try whether everything works."""
