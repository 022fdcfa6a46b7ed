"""All settings of an evaluation, in one frozen dataclass that is saved with its results."""

from __future__ import annotations

from dataclasses import dataclass

from meta.config.options import check_options, option
from meta.config.training import FAMILY_NAMES, TrainSettings
from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidates import FIXED
from meta.evaluation.protocol import Protocol
from taichisoft.base.backend import BACKENDS

# Where faces overlap and are told apart by more than a silhouette, so that gamma has an effect. The triangles
# of shape2d lie in one plane.
DEPTH_FAMILIES = ("occlusion",)
# What can be compared within minutes. Of the annealed scales the Gaussian one alone.
QUICK = (*BASELINES, "gaussian-annealed", "straight-through")


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of `meta.evaluate`; every field is a command-line option with the same name."""

    backend: str = option("auto", "backend of the kernels", choices=("auto", *BACKENDS))
    out: str = option("", "folder of the results; none: the run folder")
    records: str = option("", "folder of finished jobs; none: records in that of the results")
    workers: int = option(2, "processes; 1: this one, with all cores for the kernels", minimum=1)
    threads: int = option(
        1, "threads of torch, whose operations here are too small to share", minimum=1
    )
    seed: int = option(0, "seed of problems and resamples", minimum=0)
    families: tuple[str, ...] = option(
        (), "families to test on; none: those of the run", choices=FAMILY_NAMES
    )
    seeds: int = option(2, "seeds", minimum=1)
    pose_problems: int = option(64, "pose problems per seed", minimum=1)
    shape3d_problems: int = option(16, "shape3d problems per seed", minimum=1)
    shape2d_problems: int = option(16, "shape2d problems per seed", minimum=1)
    occlusion_problems: int = option(32, "occlusion problems per seed", minimum=1)
    pose_tuning: int = option(16, "pose problems for choosing settings", minimum=1)
    shape3d_tuning: int = option(8, "shape3d problems for choosing settings", minimum=1)
    shape2d_tuning: int = option(8, "shape2d problems for choosing settings", minimum=1)
    occlusion_tuning: int = option(8, "occlusion problems for choosing settings", minimum=1)
    train_split: bool = option(False, "run learned softnesses on training problems too")
    inner_steps: int = option(0, "Adam steps; 0: as many as in training", minimum=0)
    baselines: tuple[str, ...] = option(
        QUICK, "fixed softnesses to compare with", choices=tuple(FIXED)
    )
    scales: tuple[float, ...] = option(
        (0.06, 0.12, 0.25, 0.5, 1.0), "scales in pixels that they choose from", above=0.0
    )
    gammas: tuple[float, ...] = option(
        (0.02, 0.05, 0.2), "gammas that they choose from where depth matters", above=0.0
    )
    usual_gamma: float = option(0.05, "gamma where depth does not matter", above=0.0)
    rates: tuple[float, ...] = option(
        (0.5, 1.0, 2.0), "learning rates to choose from, as multiples of the family's", above=0.0
    )
    measure_every: int = option(4, "steps between measurements of the error", minimum=1)
    resamples: int = option(2000, "resamples of the bootstrap", minimum=2)

    def __post_init__(self):
        check_options(self)
        for name in ("baselines", "scales", "gammas", "rates"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{name} must be one or more different values, got {values}")
        if len(set(self.families)) != len(self.families):
            raise ValueError(f"families must be different, got {self.families}")

    def protocol(self, training: TrainSettings, family: str) -> Protocol:
        """Return how to compare softnesses on a family, whose problems are those of a training run."""
        shaded = family == "pose" and training.pose_shaded
        depth = shaded or family in DEPTH_FAMILIES
        return Protocol(
            problems=getattr(self, f"{family}_problems"),
            seeds=self.seeds,
            tuning_problems=getattr(self, f"{family}_tuning"),
            steps=self.inner_steps or training.inner_steps,
            scales=tuple(sorted(self.scales)),
            gammas=tuple(sorted(self.gammas)) if depth else (self.usual_gamma,),
            # Everyone may choose the rate that the learned softness was trained with.
            rates=tuple(sorted({*self.rates, training.inner_rate})),
            measure_every=self.measure_every,
            seed=self.seed,
        )
