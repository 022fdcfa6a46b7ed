"""The pool: what every entrant chose, and who takes part because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from meta.evaluation.candidates import Learned
from meta.evaluation.comparison import Comparison
from meta.evaluation.family_jobs import compare, records_folder
from meta.evaluation.pooled.given import Given, defaults, pooled, suggested
from meta.evaluation.pooled.job import ALL, Choices, PooledJob, Seen
from meta.evaluation.pooled.settings import PooledSettings
from meta.evaluation.settings import EvaluationSettings
from meta.jobs.jobs import run_jobs
from meta.learning.settings import TrainSettings, build_families
from tasks.base import TaskFamily

# The best of all entrants by what they scored on training problems: the one fixed setting.
BEST, BEST_LABEL = "pooled-best", "One fixed setting"


@dataclass(frozen=True, eq=False)
class Pool:
    """The choices of all entrants.

    Parameters
    ----------
    choices : mapping of str to Choices
        By the key of the fixed softness.
    """

    choices: Mapping[str, Choices]

    def best(self, panel: str = ALL) -> str:
        """Return the entrant with the highest score in a choice: for all families, or without one.

        Raises
        ------
        ValueError
            No such choice was made.
        """
        for name, choices in self.choices.items():
            if panel not in choices.chosen:
                raise ValueError(f"panel must be a choice that was made, got {panel!r} of {name}")
        return max(self.choices, key=lambda key: self.choices[key].chosen[panel].score)

    def candidates(self, panel: str, family: TaskFamily, image_height: int) -> list[Given]:
        """Return what every entrant chose, the published defaults and what is suggested, for a family."""
        found = [pooled(c.chosen[panel].setting, family) for c in self.choices.values()]
        return [*found, *defaults(family, image_height), suggested(family, image_height)]

    def with_best(self, comparison: Comparison, panel: str = ALL) -> Comparison:
        """Return a comparison of such candidates in which the one fixed setting comes first."""
        key = f"pooled-{self.best(panel)}"
        found = next(result for result in comparison.fixed if result.key == key)
        candidate = replace(found.candidate, key=BEST, label=BEST_LABEL)
        return replace(comparison, fixed=(replace(found, candidate=candidate), *comparison.fixed))

    @property
    def solved(self) -> int:
        """How many problems were solved for all choices."""
        return sum(choices.solved for choices in self.choices.values())

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {key: choices.to_json() for key, choices in self.choices.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Pool:
        """Return what `to_json` took apart; LookupError, TypeError or ValueError if it is none."""
        choices = {key: Choices.from_json(one) for key, one in values.items()}
        if not choices:
            raise ValueError("choices must be of at least one entrant, got none")
        return cls(choices)


def compare_pooled(
    pool: Pool,
    panels: Mapping[str, str],
    learned: Mapping[str, Sequence[Learned]],
    problems: TrainSettings,
    settings: EvaluationSettings,
) -> tuple[Comparison, ...]:
    """Compare learned softnesses with what was chosen, and the published defaults, on every family.

    Parameters
    ----------
    pool : Pool
        What was chosen.
    panels : mapping of str to str
        Which choice is tested on each family: `ALL`, or the name of the family that was left out.
    learned, problems, settings
        See `meta.evaluation.family_jobs.compare`.

    Returns
    -------
    tuple of Comparison
        One for each family; the first of the fixed ones is the one fixed setting, `BEST`.
    """
    families, height = build_families(problems), problems.image_size
    fixed = {f.name: pool.candidates(panels[f.name], f, height) for f in families}
    comparisons = compare(families, learned, problems, settings, fixed)
    return tuple(pool.with_best(c, panels[c.family.name]) for c in comparisons)


def choose_all(
    problems: TrainSettings,
    settings: PooledSettings,
    evaluation: EvaluationSettings,
    *,
    leave_out: bool = True,
) -> Pool:
    """Let every entrant choose, as far as it has not.

    Parameters
    ----------
    problems : TrainSettings
        The families, and the number of steps.
    settings : PooledSettings
        What there is to choose from.
    evaluation : EvaluationSettings
        Numbers of tuning problems, by which the families share the budget; seed, processes and folders.
    leave_out : bool
        Whether to choose without each family too.
    """
    jobs = pooled_jobs(problems, settings, evaluation, leave_out=leave_out)
    with tqdm(total=len(jobs), desc="choose", unit="job", disable=None) as bar:
        run_jobs(jobs, workers=evaluation.workers, on_done=lambda job: bar.update())
    return Pool({job.entrant: job.load() for job in jobs})


def pooled_jobs(
    problems: TrainSettings,
    settings: PooledSettings,
    evaluation: EvaluationSettings,
    *,
    leave_out: bool = True,
) -> Sequence[PooledJob]:
    """Return the jobs of `choose_all`."""
    seen = tuple(
        Seen(family, run.has_depth, evaluation.counts[run.name].tuning)
        for family, run in zip(build_families(problems), problems.families, strict=True)
    )
    steps = evaluation.inner_steps or problems.inner.steps
    folder = records_folder(evaluation)
    return [
        PooledJob(key, seen, settings, steps, evaluation.seed, folder, leave_out)
        for key in settings.entrants
    ]
