"""All settings of an evaluation, in one frozen dataclass that is saved with its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from meta.config.families import FAMILIES
from meta.config.families.base import ProblemCounts
from meta.config.settings import (
    FLAT,
    AtLeast,
    BackendName,
    Count,
    Index,
    PositiveFloat,
    Settings,
    check_different,
)
from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidates import FIXED
from meta.evaluation.protocol import Protocol
from meta.learning.settings import TrainSettings

# What can be compared within minutes. Of the annealed scales the Gaussian one alone.
QUICK = (*BASELINES, "gaussian-annealed", "straight-through")


def usual_counts() -> dict[str, ProblemCounts]:
    """Return the usual numbers of problems of every family."""
    return {name: run.evaluation for name, run in FAMILIES.items()}


@dataclass(frozen=True)
class EvaluationSettings(Settings):
    """Settings of `meta.evaluate`; every field is an option of its command line."""

    backend: BackendName = "auto"  # Backend of the kernels.
    out: str = ""  # Folder of the results; none: the run folder.
    records: str = ""  # Folder of finished jobs; none: records in that of the results.
    workers: Count = 2  # Processes; 1: this one, with all cores for the kernels.
    threads: Count = 1  # Threads of torch, whose operations here are too small to share.
    seed: Index = 0  # Seed of problems and resamples.
    # Families to test on, or all; none: those of the run.
    families: tuple[Literal[("all", *FAMILIES)], ...] = ()
    seeds: Count = 2  # Seeds.
    # Numbers of problems of every family, by its name.
    counts: Annotated[dict[str, ProblemCounts], FLAT] = field(default_factory=usual_counts)
    train_split: bool = False  # Whether to run learned softnesses on training problems too.
    inner_steps: Index = 0  # Adam steps; 0: as many as in training.
    baselines: tuple[Literal[tuple(FIXED)], ...] = QUICK  # Fixed softnesses to compare with.
    # Scales in pixels that they choose from.
    scales: tuple[PositiveFloat, ...] = (0.06, 0.12, 0.25, 0.5, 1.0)
    # Gammas that they choose from where depth matters.
    gammas: tuple[PositiveFloat, ...] = (0.02, 0.05, 0.2)
    usual_gamma: PositiveFloat = 0.05  # Gamma where depth does not matter.
    # Learning rates to choose from, as multiples of the family's.
    rates: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0)
    measure_every: Count = 4  # Steps between measurements of the error.
    resamples: Annotated[int, AtLeast(2)] = 2000  # Resamples of the bootstrap.

    def __post_init__(self):
        self.check()
        check_different(self.baselines, "baselines")
        check_different(self.scales, "scales")
        check_different(self.gammas, "gammas")
        check_different(self.rates, "rates")
        if self.families:
            check_different(self.families, "families")

    def family_names(self, usual: Sequence[str]) -> tuple[str, ...]:
        """Return the families to test on, where none are named the usual ones."""
        if "all" in self.families:
            return tuple(FAMILIES)
        return tuple(self.families or usual)

    def problems_of(self, training: TrainSettings) -> TrainSettings:
        """Return the settings of a run for the families to test on.

        Raises
        ------
        ValueError
            They are the user's, whose problems no record of a result tells apart, or the coverage is, which
            no softness file holds.
        """
        chosen = training.with_families(self.family_names(training.family_names))
        if chosen.own:
            raise ValueError(
                f"{chosen.own[0]} is not of the library, whose families and coverages alone are compared by "
                "command: docs/own-problems.md says how to compare it in Python"
            )
        return chosen

    def with_problems(self, count: int) -> EvaluationSettings:
        """Return these settings with a number of held-out problems for every family and seed."""
        counts = {name: replace(c, problems=count) for name, c in self.counts.items()}
        return replace(self, counts=counts)

    def protocol(self, training: TrainSettings, family: str) -> Protocol:
        """Return how to compare softnesses on a family, whose problems are those of a training run."""
        depth = training.family(family).has_depth
        counts = self.counts[family]
        return Protocol(
            problems=counts.problems,
            seeds=self.seeds,
            tuning_problems=counts.tuning,
            steps=self.inner_steps or training.inner.steps,
            scales=tuple(sorted(self.scales)),
            gammas=tuple(sorted(self.gammas)) if depth else (self.usual_gamma,),
            # Everyone may choose the rate that the learned softness was trained with.
            rates=tuple(sorted({*self.rates, training.inner.rate})),
            measure_every=self.measure_every,
            seed=self.seed,
        )


def renamed_options() -> Mapping[str, str]:
    """Return what the options of the command line that had other names before are called now."""
    return {
        f"--{family}-{option}": f"--{family}.{option}"
        for family in FAMILIES
        for option in ("problems", "tuning")
    }
