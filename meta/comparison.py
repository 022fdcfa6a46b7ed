"""A learned softness against fixed ones on the same problems of one family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.baselines import Baseline, Candidate, Tuned, grid, solves, split_rounds, tune
from meta.measurements import Measurements, measure
from meta.statistics import Bootstrap, Interval
from taichisoft import SoftRasterizer
from tasks.base import Split, Task, TaskFamily

LEARNED = "learned"

# Seeds of problems: apart from those of training, which count up from small numbers.
TUNING_SEED = 1_000_000
JUDGING_SEED = 2_000_000


@dataclass(frozen=True)
class Protocol:
    """How a comparison is made; the same for every softness.

    Parameters
    ----------
    problems, seeds : int
        Problems per seed, and seeds: how many are solved in all is their product.
    tuning_problems : int
        Training problems on which settings are chosen.
    steps : int
        Steps of the inner optimisation.
    scales : tuple of float
        Scales in pixels that fixed functions may choose from.
    rates : tuple of float
        Learning rates to choose from, as multiples of the family's own.
    measure_every : int
        How often errors are measured, in steps.
    resamples : int
        Resamples of the bootstrap.
    seed : int
        Seed of everything.
    train_split : bool
        Whether the learned softness is also run on problems like those it was trained on.
    """

    problems: int
    seeds: int
    tuning_problems: int
    steps: int
    scales: tuple[float, ...]
    rates: tuple[float, ...]
    measure_every: int
    resamples: int
    seed: int
    train_split: bool = False

    def tuning_tasks(self, family: TaskFamily) -> list[Task]:
        """Return the problems on which settings are chosen."""
        sizes = split_rounds(self.tuning_problems)
        first = TUNING_SEED + 1000 * self.seed
        return [family.sample(first + i, size, Split.TRAIN) for i, size in enumerate(sizes)]

    def judging_tasks(self, family: TaskFamily, split: Split) -> list[Task]:
        """Return the problems that are compared on, a task for each seed."""
        first = JUDGING_SEED + 1000 * self.seed
        return [family.sample(first + i, self.problems, split) for i in range(self.seeds)]

    def bootstrap(self) -> Bootstrap:
        """Return the resamples of all problems, the same for every softness and family."""
        return Bootstrap.of(self.problems * self.seeds, self.seed, resamples=self.resamples)

    def total_steps(self, baselines: int) -> int:
        """Return the number of inner steps of one family, for a progress bar."""
        rounds = split_rounds(self.tuning_problems)
        settings = len(self.scales) * len(self.rates)
        tuning = baselines * solves(settings, rounds) + solves(len(self.rates), rounds)
        judging = self.seeds * (baselines + 1 + self.train_split)
        return self.steps * (tuning + judging)


@dataclass(frozen=True, eq=False)
class Result:
    """One softness on the problems of one split.

    Parameters
    ----------
    key, label : str
        Its name in files, and in tables and legends.
    split : Split
        Which problems.
    tuned : Tuned
        Its settings.
    outcome : Measurements
        What came of them.
    success : Interval
        Success rate at the last step.
    """

    key: str
    label: str
    split: Split
    tuned: Tuned
    outcome: Measurements
    success: Interval


@dataclass(frozen=True, eq=False)
class Comparison:
    """All results of one family.

    Parameters
    ----------
    family : TaskFamily
        The family.
    protocol : Protocol
        How they were made.
    learned : Result
        The learned softness on held-out problems.
    fixed : tuple of Result
        The fixed functions on the same problems.
    learned_on_train : Result or None
        The learned softness on problems like those that it was trained on, if asked for.
    """

    family: TaskFamily
    protocol: Protocol
    learned: Result
    fixed: tuple[Result, ...]
    learned_on_train: Result | None

    @property
    def ranked(self) -> tuple[Result, ...]:
        """Return the held-out results by falling success rate, then those on training problems."""
        held_out = sorted(self.held_out, key=lambda result: -result.success.mean)
        return (*held_out, *([self.learned_on_train] if self.learned_on_train else []))

    @property
    def held_out(self) -> tuple[Result, ...]:
        """All results on held-out problems, the learned softness first."""
        return (self.learned, *self.fixed)

    @property
    def best_fixed(self) -> Result:
        """The fixed function with the highest success rate; of equal ones the least median error.

        It is chosen with the held-out results in sight, which favours the fixed functions.
        """
        return min(
            self.fixed,
            key=lambda r: (-r.success.mean, float(self.finite(r.outcome.errors[-1]).quantile(0.5))),
        )

    def finite(self, errors: Tensor) -> Tensor:
        """Return errors with the family's cap in place of infinite ones."""
        return torch.where(errors.isinf(), errors.new_tensor(self.family.error_cap), errors)

    def paired_difference(self) -> Interval:
        """Return learned minus best fixed success rate, resampled problem by problem."""
        ours, theirs = (r.outcome.solved[-1].double() for r in (self.learned, self.best_fixed))
        return self.protocol.bootstrap().mean(ours - theirs)

    def median_problem(self) -> int:
        """Return the problem of the first seed that is of median difficulty.

        Difficulty is the mean over all softnesses of the rank of its error at the last step.
        """
        count = self.protocol.problems
        ranks = [r.outcome.errors[-1, :count].argsort().argsort() for r in self.held_out]
        difficulty = torch.stack(ranks).double().mean(0)
        return int(difficulty.argsort(stable=True)[(count - 1) // 2])


def compare(
    family: TaskFamily,
    learned: SoftRasterizer,
    learned_scale: float,
    baselines: Mapping[str, Baseline],
    protocol: Protocol,
    on_step: Callable[[], object],
) -> Comparison:
    """Tune every softness on training problems, then run all on the same held-out problems.

    Parameters
    ----------
    family : TaskFamily
        Source of the problems.
    learned : SoftRasterizer
        The learned softness. Fixed functions share its aggregation and occlusion.
    learned_scale : float
        Its scale in pixels.
    baselines : mapping of str to Baseline
        The fixed functions by key, at least one.
    protocol : Protocol
        Budget and grid.
    on_step : callable
        Called once an inner step.

    Raises
    ------
    ValueError
        There are no baselines.
    """
    if not baselines:
        raise ValueError("baselines must hold at least one fixed function, got none")
    rates = [factor * family.learning_rate for factor in protocol.rates]
    entrants = {LEARNED: ("Learned", [Candidate(learned, learned_scale, rate) for rate in rates])}
    for key, baseline in baselines.items():
        entrants[key] = (baseline.label, grid(baseline, learned, protocol.scales, rates))
    rounds, bootstrap = protocol.tuning_tasks(family), protocol.bootstrap()
    held_out = protocol.judging_tasks(family, Split.HELD_OUT)

    def judge(key: str, tuned: Tuned, tasks: Sequence[Task], split: Split) -> Result:
        outcome = measure(
            tasks,
            tuned.candidate.renderer,
            tuned.candidate.inner(protocol.steps),
            every=protocol.measure_every,
            on_step=on_step,
        )
        success = bootstrap.rate(outcome.solved[-1])
        return Result(key, entrants[key][0], split, tuned, outcome, success)

    tuned = {
        key: tune(candidates, rounds, protocol.steps, family.error_cap, on_step)
        for key, (_, candidates) in entrants.items()
    }
    results = {key: judge(key, best, held_out, Split.HELD_OUT) for key, best in tuned.items()}
    on_train = None
    if protocol.train_split:
        tasks = protocol.judging_tasks(family, Split.TRAIN)
        on_train = judge(LEARNED, tuned[LEARNED], tasks, Split.TRAIN)
    fixed = tuple(results[key] for key in baselines)
    return Comparison(family, protocol, results[LEARNED], fixed, on_train)
