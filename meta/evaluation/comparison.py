"""Comparisons: all candidates on the same problems of one family, and what their results say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property

import torch
from torch import Tensor

from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import Candidate
from meta.evaluation.measurements import Measurements
from meta.evaluation.protocol import Protocol
from meta.evaluation.statistics import Bootstrap, Interval
from meta.evaluation.tuning import Tuned
from tasks.base import Split, TaskFamily


@dataclass(frozen=True, eq=False)
class Result:
    """One candidate on the problems of one split.

    Parameters
    ----------
    candidate : Candidate
        Who.
    split : Split
        Which problems.
    tuned : Tuned
        Its settings.
    outcome : Measurements
        What came of them.
    error_cap : float
        The error of a problem whose error is infinite or not a number.
    bootstrap : Bootstrap
        Resamples of the problems, the same for every result.
    processor : str
        What it was made on; empty if that is not known.
    """

    candidate: Candidate
    split: Split
    tuned: Tuned
    outcome: Measurements
    error_cap: float
    bootstrap: Bootstrap
    processor: str = ""

    @property
    def key(self) -> str:
        """The name of the candidate in files."""
        return self.candidate.key

    @property
    def label(self) -> str:
        """The name of the candidate in tables and legends."""
        return self.candidate.label

    @cached_property
    def errors(self) -> Tensor:
        """Errors at each measurement, (M, N), with a lost problem at the cap or worse."""
        return self._finite(self.outcome.errors)

    @cached_property
    def errors_best(self) -> Tensor:
        """The smallest errors up to each measurement, (M, N)."""
        return self._finite(self.outcome.errors_best)

    @cached_property
    def success(self) -> Interval:
        """Success rate at the last step."""
        return self.bootstrap.rate(self.outcome.solved[-1])

    @cached_property
    def success_best(self) -> Interval:
        """Share of problems that were solved at some measurement."""
        return self.bootstrap.rate(self.outcome.solved_best[-1])

    @cached_property
    def error(self) -> Interval:
        """Median error at the last step."""
        return self.bootstrap.median(self.errors[-1])

    @cached_property
    def error_best(self) -> Interval:
        """Median of the smallest error of each problem."""
        return self.bootstrap.median(self.errors_best[-1])

    @cached_property
    def error_mean(self) -> Interval:
        """Mean error at the last step."""
        return self.bootstrap.mean(self.errors[-1])

    @cached_property
    def error_best_mean(self) -> Interval:
        """Mean of the smallest error of each problem."""
        return self.bootstrap.mean(self.errors_best[-1])

    @cached_property
    def steps_to_success(self) -> Interval:
        """Median number of steps until a problem is first measured as solved; infinite if most never are."""
        return self.bootstrap.median(self.outcome.steps_to_success)

    def success_ahead(self, other: Result) -> Interval:
        """Return the difference of success rates to another result, problem by problem."""
        ours, theirs = (r.outcome.solved[-1].double() for r in (self, other))
        return self.bootstrap.mean(ours - theirs)

    def error_ratios(self, other: Result) -> tuple[Interval, Interval]:
        """Return the geometric mean and the median of the ratio of errors, problem by problem.

        Below 1 is less error than the other's. Errors below a millionth of the cap count as that.
        """
        ours, theirs = (r.errors[-1].clamp(min=1e-6 * r.error_cap).log() for r in (self, other))
        intervals = (self.bootstrap.mean(ours - theirs), self.bootstrap.median(ours - theirs))
        mean, median = (
            Interval(*torch.tensor(astuple(i)).double().exp().tolist()) for i in intervals
        )
        return mean, median

    def _finite(self, errors: Tensor) -> Tensor:
        # At the cap, or at what is worst of the rest, so that a lost problem is never better than another.
        finite = errors.where(errors.isfinite(), errors.new_zeros(()))
        worst = finite.max().clamp(min=self.error_cap)
        return torch.where(errors.isfinite(), errors, worst)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All results of one family.

    Parameters
    ----------
    family : TaskFamily
        The family.
    protocol : Protocol
        How they were made.
    learned : tuple of Result
        Learned softnesses on held-out problems, the one that it is about first; at least one.
    fixed : tuple of Result
        Fixed softnesses on the same problems, at least one.
    on_train : tuple of Result
        Results on problems like those that were learned from.
    """

    family: TaskFamily
    protocol: Protocol
    learned: tuple[Result, ...]
    fixed: tuple[Result, ...]
    on_train: tuple[Result, ...] = ()

    @property
    def held_out(self) -> tuple[Result, ...]:
        """All results on held-out problems, learned softnesses first."""
        return (*self.learned, *self.fixed)

    @property
    def ranked(self) -> tuple[Result, ...]:
        """Return the held-out results by falling success rate, then those on training problems."""
        held_out = sorted(self.held_out, key=lambda result: -result.success.estimate)
        return (*held_out, *self.on_train)

    @property
    def best_by_success(self) -> Result:
        """The fixed softness with the highest success rate; of equal ones the least median error.

        It is chosen with the held-out results in sight, which favours the fixed softnesses.
        """
        return min(self.fixed, key=lambda r: (-r.success.estimate, r.error.estimate))

    @property
    def best_by_error(self) -> Result:
        """The fixed softness with the least median error; of equal ones the highest success rate."""
        return min(self.fixed, key=lambda r: (r.error.estimate, -r.success.estimate))

    def median_problem(self) -> int:
        """Return the problem of the first seed that is of median difficulty.

        Difficulty is the mean over all softnesses of the rank of its error at the last step.
        """
        count = self.protocol.problems
        ranks = [r.outcome.errors[-1, :count].argsort().argsort() for r in self.held_out]
        difficulty = torch.stack(ranks).double().mean(0)
        return int(difficulty.argsort(stable=True)[(count - 1) // 2])


def collect(
    learned: Sequence[CandidateJob], fixed: Sequence[CandidateJob], *, resamples: int, seed: int
) -> Comparison:
    """Return the comparison of jobs that are done, all of one family and protocol.

    Parameters
    ----------
    learned, fixed : sequence of CandidateJob
        Jobs of learned and fixed softnesses, at least one each.
    resamples, seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        There are none of one kind, or they are of several families or protocols.
    FileNotFoundError
        A job is not done.
    """
    jobs = [*learned, *fixed]
    if not learned or not fixed:
        raise ValueError(
            f"learned and fixed must hold at least one job each, got {len(learned)} and {len(fixed)}"
        )
    family, protocol = jobs[0].family, jobs[0].protocol
    if any(job.family is not family or job.protocol != protocol for job in jobs):
        raise ValueError("learned and fixed must be of one family and protocol, got several")
    bootstrap = Bootstrap.of(protocol.total, seed, resamples=resamples)

    def results(jobs: Sequence[CandidateJob], split: Split) -> tuple[Result, ...]:
        return tuple(
            Result(
                job.candidate,
                split,
                e.tuned,
                e.outcomes[split],
                family.error_cap,
                bootstrap,
                e.processor,
            )
            for job, e in zip(jobs, [job.load() for job in jobs], strict=True)
            if split in e.outcomes
        )

    return Comparison(
        family,
        protocol,
        results(learned, Split.HELD_OUT),
        results(fixed, Split.HELD_OUT),
        results(jobs, Split.TRAIN),
    )
