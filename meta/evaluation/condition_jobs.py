"""The jobs of candidates under conditions that they were not made for, run and collected into comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import Candidate
from meta.evaluation.comparison import Comparison, collect
from meta.evaluation.conditions import Condition
from meta.evaluation.protocol import Protocol
from meta.jobs.jobs import run_jobs
from tasks.base import Split, TaskFamily

# Errors are measured about so many times at most.
MEASUREMENTS = 10


@dataclass(frozen=True, eq=False)
class UnderCondition:
    """What came of a condition.

    Parameters
    ----------
    condition : Condition
        Which.
    comparisons : tuple of Comparison
        One for each family that it applies to, at least one.
    """

    condition: Condition
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, eq=False)
class Entrants:
    """Who is compared, by the name of the family, with nothing to choose.

    Parameters
    ----------
    learned, fixed : mapping of str to sequence of Candidate
        At least one each, with the same keys for every family. The first learned one is compared with all
        others.
    """

    learned: Mapping[str, Sequence[Candidate]]
    fixed: Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True)
class Budget:
    """How candidates are run.

    Parameters
    ----------
    protocols : mapping of str to Protocol
        The usual ones by the name of the family. A condition changes numbers of problems and steps.
    folder : Path
        Where records are kept.
    workers : int
        Processes.
    resamples, seed : int
        Of the bootstrap.
    """

    protocols: Mapping[str, Protocol]
    folder: Path
    workers: int = 1
    resamples: int = 2000
    seed: int = 0


def compare_under(
    conditions: Sequence[Condition],
    families: Sequence[TaskFamily],
    entrants: Entrants,
    budget: Budget,
) -> tuple[list[UnderCondition], list[str]]:
    """Run what is not yet done of all entrants under all conditions, and return what came of it.

    Parameters
    ----------
    conditions : sequence of Condition
        Under which; each on those of the families that it applies to.
    families : sequence of TaskFamily
        The usual ones.
    entrants : Entrants
        Who.
    budget : Budget
        How many problems and steps, and where records are kept.

    Returns
    -------
    list of UnderCondition, list of str
        The conditions that could be made; and a line for each that is left out, as a file is missing.

    Raises
    ------
    ValueError
        An entrant has something to choose.
    RuntimeError
        A job failed; what is done is kept.
    """
    planned, left_out = plan(conditions, families, entrants, budget)
    every = [job for _, cells in planned for cell in cells for part in cell for job in part]
    with tqdm(total=len(every), desc="conditions", unit="job", disable=None) as bar:
        run_jobs(every, workers=budget.workers, on_done=lambda job: bar.update())
    found = [
        UnderCondition(
            condition,
            tuple(collect(*cell, resamples=budget.resamples, seed=budget.seed) for cell in cells),
        )
        for condition, cells in planned
    ]
    return found, left_out


Cell = tuple[list[CandidateJob], list[CandidateJob]]
"""The jobs of the learned and of the fixed ones on one family under one condition."""


def plan(
    conditions: Sequence[Condition],
    families: Sequence[TaskFamily],
    entrants: Entrants,
    budget: Budget,
) -> tuple[list[tuple[Condition, list[Cell]]], list[str]]:
    """Return the jobs of every condition, and a line for each that is left out; see `compare_under`."""
    planned, left_out = [], []
    for condition in conditions:
        usual = [family for family in families if family.name in condition.changes]
        try:
            cells = [_cell(condition, family, entrants, budget) for family in usual]
        except FileNotFoundError as error:
            left_out.append(f"{condition.label} is left out: {error}")
            continue
        if cells:
            planned.append((condition, cells))
    return planned, left_out


def _cell(condition: Condition, usual: TaskFamily, entrants: Entrants, budget: Budget) -> Cell:
    family = condition.family(usual)
    before = budget.protocols[usual.name]
    steps = condition.steps or before.steps
    protocol = replace(
        before,
        problems=max(1, condition.count(usual.name) // before.seeds),
        steps=steps,
        seed=before.seed + condition.seed,
        measure_every=max(before.measure_every, steps // MEASUREMENTS),
    )

    def job(candidate: Candidate) -> CandidateJob:
        if (count := len(candidate.choices(protocol.grid(family)))) != 1:
            raise ValueError(
                f"entrants must have nothing to choose, got {candidate.key!r} with {count} choices"
            )
        return CandidateJob(
            family, candidate, protocol, (Split.HELD_OUT,), budget.folder, condition.key
        )

    return (
        [job(candidate) for candidate in entrants.learned[usual.name]],
        [job(candidate) for candidate in entrants.fixed[usual.name]],
    )
