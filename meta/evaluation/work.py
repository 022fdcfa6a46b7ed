"""How much work a comparison is, in inner steps of single problems: for an estimate of its time."""

from __future__ import annotations

from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import FIXED
from meta.evaluation.protocol import Protocol
from meta.evaluation.settings import EvaluationSettings
from meta.evaluation.tuning import split_rounds
from meta.learning.settings import TrainSettings, build_families


def work_of(job: CandidateJob) -> int:
    """Return the inner steps of all problems that a job solves, to choose settings and to be compared."""
    choices = len(job.candidate.choices(job.protocol.grid(job.family)))
    return _work(choices, len(job.splits), job.protocol)


def planned_work(problems: TrainSettings, settings: EvaluationSettings) -> dict[str, int]:
    """Return the work of comparing one learned softness with the fixed ones, by family.

    Parameters
    ----------
    problems : TrainSettings
        Of the run that the softness will come from.
    settings : EvaluationSettings
        Of the comparison.
    """
    planned = {}
    chosen = settings.problems_of(problems)
    for family in build_families(chosen):
        protocol = settings.protocol(chosen, family.name)
        grid = protocol.grid(family)
        fixed = [len(FIXED[key].choices(grid)) for key in settings.baselines]
        learned = _work(1, 2 if settings.train_split else 1, protocol)
        planned[family.name] = learned + sum(_work(count, 1, protocol) for count in fixed)
    return planned


def _work(choices: int, splits: int, protocol: Protocol) -> int:
    """Return the work of a candidate: see `tune`, whose rounds the better half of the choices reaches."""
    problems = splits * protocol.total
    if choices > 1:
        for size in split_rounds(protocol.tuning_problems):
            problems += choices * size
            choices = (choices + 1) // 2
    return problems * protocol.steps
