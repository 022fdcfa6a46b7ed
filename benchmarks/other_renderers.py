"""Problems solved with another library's renderer, and with ours: `python -m benchmarks.other_renderers`.

Poses and shapes of the published comparison, from silhouettes: the same problems, loss and optimiser, and
settings that each renderer chose on training problems; compared after equal steps and in equal seconds.
Entrants take turns. What is finished is kept in records beside the results, so that the same command goes on
where it was stopped, and more problems can be added later.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from benchmarks.about import about, versions, write_results
from benchmarks.entrants import DEODR, TUNED, general
from benchmarks.other_renderers_report import to_markdown
from benchmarks.race import PEERS, Choosing, Entrant, Lap, Solving
from benchmarks.race_rows import Finish, Race
from meta.config.families import FamilyRun
from meta.evaluation.candidates import Grid
from meta.evaluation.family_jobs import RECORDS
from meta.evaluation.plan import FULL, QUICK, Plan
from meta.evaluation.tuning import Tuned
from meta.jobs.jobs import run_jobs
from meta.learning.distributed import KERNEL_THREADS
from meta.learning.settings import build_families
from tasks.base import TaskFamily

FAMILIES = ("pose", "shape3d")
# Problems that are drawn, and solved, together.
BATCH = 25
# A step of the Gaussian takes less time than one of DEODR, one of the learned softness several times as long.
# So that nobody is cut short by the seconds of another, what is annealed is also run, and tuned, over fewer
# and over more steps, in those of the published comparison.
DEODR_LENGTHS, TUNED_LENGTHS = (Fraction(2, 3), 1, 3), (1, 3)


@dataclass(frozen=True, eq=False)
class Course:
    """A family with all that run on it.

    Parameters
    ----------
    run : FamilyRun
        The options of the family.
    family : TaskFamily
        The family.
    stages : list of Choosing
        The entrants, DEODR first, with how they choose their settings.
    """

    run: FamilyRun
    family: TaskFamily
    stages: list[Choosing]

    @classmethod
    def of(cls, plan: Plan, run: FamilyRun, options: argparse.Namespace) -> Course:
        """Return who runs on a family of a plan."""
        settings = plan.problems.with_families([run.name])
        (family,), size, steps = build_families(settings), settings.image_size, settings.inner.steps
        evaluation = plan.evaluation
        rates = tuple(rate * family.learning_rate for rate in evaluation.rates)
        grid = Grid(evaluation.scales, (evaluation.usual_gamma,), rates)
        entries = [
            (DEODR[0], 1),
            *((DEODR[1], length) for length in DEODR_LENGTHS),
            *((TUNED, length) for length in TUNED_LENGTHS),
            (general(family, size), 1),
        ]
        folder = options.out.parent / RECORDS
        tuning = evaluation.counts[run.name].tuning
        return cls(
            run,
            family,
            [
                Choosing(
                    Entrant(family, who, int(steps * length), grid, options.seed, folder), tuning
                )
                for who, length in entries
            ],
        )

    def to_json(self, finishes: Sequence[Finish], seed: int) -> dict[str, Any]:
        """Return what came out."""
        race = Race(finishes, [candidate.key for candidate in DEODR], seed)
        options = ", ".join(f"{name} {value}" for name, value in asdict(self.run).items())
        return {
            "name": self.family.name,
            "options": options,
            "problems": finishes[0].lap.errors.shape[1],
            "tuning": self.stages[0].problems,
            "unit": self.family.error_unit,
            "learning_rate": self.family.learning_rate,
            "unit_seconds": race.unit,
            "rows": [asdict(row) for row in race.rows()],
        }


def rounds(
    courses: Sequence[Course], sizes: Sequence[int], until: float
) -> Iterator[dict[str, list[tuple[Choosing, Tuned, Lap]]]]:
    """Yield what all entrants of all families did with one batch of problems after the other.

    Parameters
    ----------
    courses : sequence of Course
        The families.
    sizes : sequence of int
        Number of problems of each batch.
    until : float
        After this time, of `time.monotonic`, no batch is begun but the first, unless it is done.
    """
    tuned = {}
    for stage in (stage for course in courses for stage in course.stages):
        run_jobs([stage])
        tuned[stage] = stage.load()
        print(f"{stage.name}: {tuned[stage].choice}", flush=True)
    for batch, size in enumerate(sizes):
        jobs = {
            stage: Solving(stage.entrant, tuned[stage].choice, batch, size)
            for course in courses
            for stage in course.stages
        }
        if batch and time.monotonic() > until and not all(job.done() for job in jobs.values()):
            return
        found = {}
        for course in courses:
            # Every other time backwards, so that none is always the first.
            order = course.stages[:: -1 if batch % 2 else 1]
            run_jobs([jobs[stage] for stage in order])
            found[course.family.name] = [(s, tuned[s], jobs[s].load()) for s in course.stages]
        print(f"batch {batch + 1} of {len(sizes)} is done", flush=True)
        yield found


def finishes(found: Sequence[Sequence[tuple[Choosing, Tuned, Lap]]]) -> list[Finish]:
    """Return what the entrants of one family did with all batches."""
    return [
        Finish(entries[0][0].entrant, entries[0][1], Lap.of([lap for *_, lap in entries]))
        for entries in zip(*found, strict=True)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Solve, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("results/other_renderers"), help="file stem"
    )
    parser.add_argument("--problems", type=int, default=200, help="held-out ones of each family")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no batch after so many"
    )
    parser.add_argument("--seed", type=int, default=0, help="of problems and resamples")
    parser.add_argument("--quick", action="store_true", help="tiny problems, few steps")
    options = parser.parse_args(arguments)
    until = time.monotonic() + 60 * options.minutes
    head = about("benchmarks.other_renderers", arguments)
    head |= {"seed": options.seed, "peers": versions(*PEERS)}
    plan = QUICK if options.quick else FULL
    courses = [Course.of(plan, plan.problems.family(name), options) for name in FAMILIES]
    sizes = [min(BATCH, options.problems - i) for i in range(0, options.problems, BATCH)]
    done = list(rounds(courses, sizes, until))
    families = [
        course.to_json(finishes([found[course.family.name] for found in done]), options.seed)
        for course in courses
    ]
    result = {"about": head, "families": families}
    write_results(options.out, result, to_markdown(result))


if __name__ == "__main__":
    # Times are those of one thread.
    os.environ.setdefault(KERNEL_THREADS, "1")
    torch.set_num_threads(1)
    main()
