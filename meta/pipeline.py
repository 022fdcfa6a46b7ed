"""The whole way: learn a softness, compare it with fixed ones, write the page: ``python -m meta.pipeline``.

The options are those of `meta.train`. It says all the while how long the whole still takes, in a terminal
or in lines, and ends with what came of it. `make train` runs it.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

import meta.train
from meta.config.command_line import fail
from meta.evaluate import evaluate
from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.comparison import Comparison
from meta.evaluation.settings import EvaluationSettings
from meta.evaluation.verdicts import Verdict
from meta.evaluation.work import planned_work, work_of
from meta.jobs.full_disk import cure
from meta.jobs.news import News
from meta.jobs.remaining import Remaining
from meta.learning.distributed import Place
from meta.learning.settings import TrainSettings
from meta.report.command import report
from meta.runs import history
from meta.runs.command import Command, read_command
from meta.runs.folder import RunFolder
from meta.runs.history import Record
from meta.runs.stopping import leave

FAILED = 1
INTERRUPTED = 130
TRAINING = "training"
# How often a step of meta-training solves its problems: evolution strategies with the usual four pairs. With
# another estimator the first guess of the time is off, until the comparison has begun.
SOLUTIONS = 8
ONE_RUN = "This is one run with one seed; another may come out otherwise (docs/meta-training.md)."


class Journey:
    """What is said on the way, and how long it still takes.

    Parameters
    ----------
    settings : TrainSettings
        Of the run.
    comparison : EvaluationSettings
        Of the comparison.
    done : int
        Steps of the run that were taken before.
    news : News
        Where to say it.
    """

    def __init__(
        self, settings: TrainSettings, comparison: EvaluationSettings, done: int, news: News
    ) -> None:
        self.settings = settings
        self.news = news
        steps = range(done + 1, settings.outer.steps + 1)
        planned = planned_work(settings, comparison)
        parts = {TRAINING: sum(map(self._size, steps)), **planned}
        self.remaining = Remaining(parts)
        self.candidates = len(planned) * (1 + len(comparison.baselines))
        self.compared = 0
        self.news.say(
            f"2/3 training: {len(steps)} of {settings.outer.steps} steps to take; first kernels are compiled"
        )
        self.remaining.begin()

    def stepped(self, record: Record) -> None:
        """Say that a step was taken."""
        self.remaining.add(TRAINING, self._size(record.step))
        self.news.tell(
            f"2/3 training: step {record.step} of {self.settings.outer.steps}, {self.remaining} for the whole"
        )

    def compares(self) -> None:
        """Say that the comparison begins."""
        self.news.say(
            f"3/3 comparing: {self.candidates} softnesses on unseen problems, {self.remaining} for the whole"
        )
        self.remaining.begin()

    def finished(self, job: CandidateJob) -> None:
        """Say that a candidate has solved its problems."""
        self.compared += 1
        self.remaining.add(job.family.name, work_of(job))
        self.news.tell(
            f"3/3 comparing: {self.compared} of {self.candidates} softnesses, {self.remaining} for the whole"
        )

    def _size(self, step: int) -> int:
        """Return the work of a step, and of judging after it, in inner steps of single problems."""
        outer, validation = self.settings.outer, self.settings.validation
        solved = SOLUTIONS * sum(family.problems for family in self.settings.families)
        # Before the first step the start is judged.
        after = [step - 1, step] if step == 1 else [step]
        judged = sum(validation.due(each, outer.steps) for each in after)
        solved += judged * validation.problems * len(self.settings.families)
        return solved * self.settings.inner.steps


def verdict(comparisons: Sequence[Comparison]) -> list[str]:
    """Return what came of a run: a line for each family, and one that says how much to make of it."""
    said = [f"{one.family.name}: {Verdict.on(one, one.learned[0]).sentence}" for one in comparisons]
    return [*said, ONE_RUN]


def main(
    arguments: Sequence[str] | None = None, comparison: EvaluationSettings | None = None
) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of `meta.train`. Default: those of the process.
    comparison : EvaluationSettings, optional
        Default: the usual one of `meta.evaluate`.

    Returns
    -------
    int
        0, or 1 after an error, 130 after Ctrl-C, 143 after SIGTERM while it learns. A wrong command line
        ends the program with 2.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if Place.of(os.environ).size > 1:
        fail("python -m meta.pipeline", "is for one process; with torchrun take meta.train")
    command = read_command(words)
    compared = comparison or EvaluationSettings()
    folder = RunFolder(command.folder)
    news = News()
    try:
        settings, done = _known(command)
        journey = Journey(settings, compared, done, news)
        code = meta.train.main(words, journey.stepped)
        if code:
            if folder.config.is_file():
                print(_advice(folder), file=sys.stderr)
            return code
        journey.compares()
        spoken = shlex.join(["python", "-m", "meta.evaluate", str(folder.path)])
        comparisons = evaluate(folder.path, compared, spoken, on_done=journey.finished)
        news.tell("3/3 comparing: done; some problems are solved for the page")
        path = report(folder.path)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        news.clear()
        print(f"error: {error}{cure(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        news.clear()
        print(f"Stopped. {_advice(folder)}", file=sys.stderr)
        return INTERRUPTED
    for line in verdict(comparisons):
        news.say(line)
    news.say(path.resolve().as_uri())
    return 0


def _known(command: Command) -> tuple[TrainSettings, int]:
    """Return the settings of a run, and how many steps were taken before."""
    if isinstance(command.wanted, TrainSettings):
        return command.wanted, 0
    folder = RunFolder(command.wanted)
    steps = history.read(folder.history) if folder.history.is_file() else []
    return folder.read_settings(), len(steps)


def _advice(folder: RunFolder) -> str:
    return f"To go on with all of it: python -m meta.pipeline --resume {folder.path}"


if __name__ == "__main__":
    leave(main())
