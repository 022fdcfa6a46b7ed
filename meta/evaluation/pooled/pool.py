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

# The best of the finalists by what they scored on training problems of all families, or of one alone.
BEST, BEST_LABEL = "pooled-best", "One fixed setting"
KNOWN_LABEL = "Best setting for the family"


@dataclass(frozen=True, eq=False)
class Pool:
    """The choices of all entrants.

    Parameters
    ----------
    choices : mapping of str to Choices
        By the key of the fixed softness.
    finalists : tuple of str
        Keys of those that are compared on held-out problems, at least one.
    """

    choices: Mapping[str, Choices]
    finalists: tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = [key for key in self.finalists if key not in self.choices]
        if unknown or not self.finalists:
            raise ValueError(
                f"finalists must be entrants, at least one, got {', '.join(unknown) or 'none'}"
            )

    def best(self, panel: str = ALL) -> str:
        """Return the finalist with the highest score in a choice.

        Parameters
        ----------
        panel : str
            The choice for all families, that without one, or that for one alone: see `Choices`.

        Raises
        ------
        ValueError
            No such choice was made.
        """
        for name in self.finalists:
            if panel not in self.choices[name].chosen:
                raise ValueError(f"panel must be a choice that was made, got {panel!r} of {name}")
        return max(self.finalists, key=lambda key: self.choices[key].chosen[panel].score)

    def tuned(self, panel: str, family: TaskFamily) -> list[Given]:
        """Return what every finalist chose, for a family."""
        return [pooled(self.choices[key].chosen[panel].setting, family) for key in self.finalists]

    def candidates(self, panel: str, family: TaskFamily, image_height: int) -> list[Given]:
        """Return what every finalist chose, the published defaults and what is suggested, for a family."""
        given = (*defaults(family, image_height), suggested(family, image_height))
        return [*self.tuned(panel, family), *given]

    def with_best(
        self, comparison: Comparison, panel: str = ALL, label: str = BEST_LABEL
    ) -> Comparison:
        """Return a comparison of such candidates in which the best choice comes first, by another name."""
        key = f"pooled-{self.best(panel)}"
        found = next(result for result in comparison.fixed if result.key == key)
        candidate = replace(found.candidate, key=BEST, label=label)
        return replace(comparison, fixed=(replace(found, candidate=candidate), *comparison.fixed))

    @property
    def solved(self) -> int:
        """How many problems were solved for all choices."""
        return sum(choices.solved for choices in self.choices.values())

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        entrants = {key: choices.to_json() for key, choices in self.choices.items()}
        return {"finalists": list(self.finalists), "entrants": entrants}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Pool:
        """Return what `to_json` took apart; LookupError, TypeError or ValueError if it is none."""
        choices = {key: Choices.from_json(one) for key, one in values["entrants"].items()}
        return cls(choices, tuple(values["finalists"]))


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
        Which choice is tested on each family: see `Choices`.
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
    each: bool = True,
) -> Pool:
    """Let every entrant choose, as far as it has not, and the finalists for each family too.

    Parameters
    ----------
    problems : TrainSettings
        The families, and the number of steps.
    settings : PooledSettings
        What there is to choose from.
    evaluation : EvaluationSettings
        Numbers of tuning problems, by which the families share the budget; seed, processes and folders.
    each : bool
        Whether the finalists choose without each family, and for each alone, too. They are those whose choice
        for all families has the highest scores.
    """

    def chosen(entrants: Sequence[str], for_each: bool, title: str) -> dict[str, Choices]:
        # Everyone has the same share of the budget, whoever else is asked here.
        jobs = [
            job
            for job in pooled_jobs(problems, settings, evaluation, each=for_each)
            if job.entrant in entrants
        ]
        with tqdm(total=len(jobs), desc=title, unit="job", disable=None) as bar:
            run_jobs(jobs, workers=evaluation.workers, on_done=lambda job: bar.update())
        return {job.entrant: job.load() for job in jobs}

    choices = chosen(settings.entrants, False, "choose")
    ranked = sorted(choices, key=lambda key: -choices[key].chosen[ALL].score)
    finalists = tuple(ranked[: settings.finalists])
    if each:
        choices |= chosen(finalists, True, "choose for each family")
    return Pool(choices, finalists)


def pooled_jobs(
    problems: TrainSettings,
    settings: PooledSettings,
    evaluation: EvaluationSettings,
    *,
    each: bool = True,
) -> Sequence[PooledJob]:
    """Return jobs of `choose_all`: one for each entrant."""
    seen = tuple(
        Seen(family, run.has_depth, evaluation.counts[run.name].tuning)
        for family, run in zip(build_families(problems), problems.families, strict=True)
    )
    steps = evaluation.inner_steps or problems.inner.steps
    folder = records_folder(evaluation)
    return [
        PooledJob(key, seen, settings, steps, evaluation.seed, folder, each)
        for key in settings.entrants
    ]
