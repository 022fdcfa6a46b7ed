"""The jobs of all candidates on several families, run and collected into comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import FIXED, Candidate, Learned
from meta.evaluation.comparison import Comparison, collect
from meta.evaluation.settings import EvaluationSettings
from meta.jobs.jobs import run_jobs
from meta.learning.settings import TrainSettings
from tasks.base import Split, TaskFamily

RECORDS = "records"


def compare(
    families: Sequence[TaskFamily],
    learned: Mapping[str, Sequence[Learned]],
    problems: TrainSettings,
    settings: EvaluationSettings,
    fixed: Mapping[str, Sequence[Candidate]] | None = None,
    on_done: Callable[[CandidateJob], object] | None = None,
) -> list[Comparison]:
    """Run what is not yet done of all candidates on all families, and return a comparison for each.

    Parameters
    ----------
    families : sequence of TaskFamily
        Families to test on.
    learned : mapping of str to sequence of Learned
        The learned candidates by the name of the family; the one that it is about first.
    problems : TrainSettings
        Where the problems and the number of steps come from.
    settings : EvaluationSettings
        Budget, grid, number of processes and, in ``out`` or ``records``, where records are kept.
    fixed : mapping of str to sequence of Candidate, optional
        The fixed candidates by the name of the family. Default: those of the settings.
    on_done : callable, optional
        Called with each job that is done. Default: a bar in a terminal.
    """
    usual = [FIXED[key] for key in settings.baselines]
    jobs = {
        family.name: _jobs(
            family,
            learned[family.name],
            usual if fixed is None else fixed[family.name],
            problems,
            settings,
        )
        for family in families
    }
    every = [job for both in jobs.values() for part in both for job in part]
    if on_done is None:
        with tqdm(total=len(every), desc="evaluate", unit="job", disable=None) as bar:
            run_jobs(every, workers=settings.workers, on_done=lambda job: bar.update())
    else:
        run_jobs(every, workers=settings.workers, on_done=on_done)
    return [
        collect(*both, resamples=settings.resamples, seed=settings.seed) for both in jobs.values()
    ]


def records_folder(settings: EvaluationSettings) -> Path:
    """Return where finished jobs are kept."""
    return Path(settings.records or Path(settings.out) / RECORDS)


def _jobs(
    family: TaskFamily,
    learned: Sequence[Learned],
    fixed: Sequence[Candidate],
    problems: TrainSettings,
    settings: EvaluationSettings,
) -> tuple[list[CandidateJob], list[CandidateJob]]:
    """Return the jobs of the learned and of the fixed candidates."""
    protocol = settings.protocol(problems, family.name)
    folder = records_folder(settings)

    def job(candidate: Candidate, *, on_train: bool) -> CandidateJob:
        splits = (Split.HELD_OUT, Split.TRAIN) if on_train else (Split.HELD_OUT,)
        return CandidateJob(family, candidate, protocol, splits, folder)

    return (
        [
            job(candidate, on_train=settings.train_split and candidate.on_train)
            for candidate in learned
        ],
        [job(candidate, on_train=False) for candidate in fixed],
    )
