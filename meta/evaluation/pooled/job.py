"""The job of one entrant: it chooses a setting for all families, without each of them, and for each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import taichisoft
from meta.evaluation import baselines, candidates, measurements
from meta.evaluation.candidate_job import CODE, DRAWS
from meta.evaluation.pooled import halving, scores, setting
from meta.evaluation.pooled.halving import Chosen, Solve, choose, plan_rounds
from meta.evaluation.pooled.scores import Scores
from meta.evaluation.pooled.setting import PooledSetting
from meta.evaluation.pooled.settings import PooledSettings
from meta.jobs.code import code_digest
from meta.jobs.jobs import Job
from meta.jobs.records import Record, digest, plain, read_record, write_record
from taichisoft.base.checks import check_number
from taichisoft.base.processor import processor
from tasks.base import TaskFamily

FORMAT = 2
POOLED_CODE = (*CODE, baselines, candidates, measurements, halving, scores, setting)
# The choice for all families, next to those without one of them, which have the name of that one.
ALL = "all"


def alone(family: str) -> str:
    """Return the name of the choice for one family alone."""
    return f"alone-{family}"


@dataclass(frozen=True, eq=False)
class Seen:
    """A family as the choice sees it.

    Parameters
    ----------
    family : TaskFamily
        The family.
    has_depth : bool
        Whether gamma has an effect.
    share : int
        How many of its problems there are relative to those of the other families.
    """

    family: TaskFamily
    has_depth: bool
    share: int


@dataclass(frozen=True, eq=False)
class Choices:
    """What an entrant chose.

    Parameters
    ----------
    chosen : dict of str to Chosen
        For all families under `ALL`, by the name of the family that was left out, and for one under `alone`.
    solved : int
        How many problems were solved for all of these together: what they share is solved once.
    processor : str
        What they were made on.
    """

    chosen: dict[str, Chosen]
    solved: int
    processor: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Choices:
        """Return what `to_json` took apart; LookupError, TypeError or ValueError if it is none."""
        chosen = {
            name: Chosen(
                PooledSetting.from_json(one["setting"]),
                check_number(one["score"], "score"),
                dict(one["success"]),
                int(one["solved"]),
                tuple(one["at_edge"]),
            )
            for name, one in values["chosen"].items()
        }
        if ALL not in chosen:
            raise ValueError(f"chosen must have one for {ALL} families, got {', '.join(chosen)}")
        return cls(chosen, int(values["solved"]), str(values["processor"]))


@dataclass(frozen=True, eq=False)
class PooledJob(Job):
    """An entrant choosing.

    Parameters
    ----------
    entrant : str
        Key of a fixed softness.
    seen : tuple of Seen
        The families.
    settings : PooledSettings
        Grid and budget.
    steps, seed : int
        Steps of the inner optimisation, and seed of the problems.
    folder : Path
        Where records are kept.
    each : bool
        Whether it also chooses, for each family, without it, and for it alone.
    """

    entrant: str
    seen: tuple[Seen, ...]
    settings: PooledSettings
    steps: int
    seed: int
    folder: Path
    each: bool = True

    @property
    def name(self) -> str:
        """The entrant."""
        return f"pooled {self.entrant}"

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Everything that the choice depends on."""
        return {
            **self._made,
            "families": [[plain(s.family), s.has_depth, s.share] for s in self.seen],
            "settings": [choice.to_json() for choice in self._choices],
            "budget": [self.settings.budget_each, self.settings.keep, self.settings.budget],
            "alone": self.settings.alone,
            "steps": self.steps,
            "seed": self.seed,
            "each": self.each,
        }

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self.folder / f"pooled-{self.entrant}-{digest(self.origin)}.safetensors"

    def done(self) -> bool:
        """Return whether the record is there, and whole."""
        return self._read() is not None

    def run(self) -> None:
        """Choose, and write the record."""
        solved: dict[tuple[str, int, int], set[PooledSetting]] = {}

        def solve(
            name: str, number: int, count: int, settings: Sequence[PooledSetting]
        ) -> torch.Tensor:
            solved.setdefault((name, number, count), set()).update(settings)
            return self._scores(name, number, count).of(settings)

        # The same rounds for fewer families, so that most problems have been solved already.
        rounds = plan_rounds(
            self._choices,
            {s.family.name: s.has_depth for s in self.seen},
            {s.family.name: s.share for s in self.seen},
            self.settings.budget_each,
            self.settings.keep,
        )
        chosen = {
            name: choose(self._choices, depth, rounds, self.settings.keep, solve)
            for name, depth in self._panels().items()
        }
        if self.each:
            chosen |= {alone(s.family.name): self._choose_alone(s, solve) for s in self.seen}
        count = sum(key[2] * len(settings) for key, settings in solved.items())
        values = Choices(chosen, count, processor()).to_json()
        write_record(self.path, Record({"solved": torch.tensor(count)}, values), self.origin)

    def load(self) -> Choices:
        """Return what `run` left.

        Raises
        ------
        FileNotFoundError
            It has not run.
        """
        choices = self._read()
        if choices is None:
            raise FileNotFoundError(f"no result of {self.name}: {self.path} is missing or damaged")
        return choices

    @cached_property
    def _choices(self) -> list[PooledSetting]:
        return self.settings.choices(self.entrant)

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "taichisoft": taichisoft.__version__,
            "code": code_digest(POOLED_CODE),
            "draws": {name: version(name) for name in DRAWS},
            "engine": taichisoft.engine_name(),
            "backend": taichisoft.backend(),
        }

    def _panels(self) -> dict[str, dict[str, bool]]:
        """Return the families to choose on, and whether gamma is seen, for each choice."""
        depth = {s.family.name: s.has_depth for s in self.seen}
        panels = {ALL: depth}
        if self.each and len(depth) > 1:
            panels |= {out: {k: v for k, v in depth.items() if k != out} for out in depth}
        return panels

    def _choose_alone(self, seen: Seen, solve: Solve) -> Chosen:
        """Return the choice for one family, in rounds of its own."""
        name, keep = seen.family.name, self.settings.keep
        depth = {name: seen.has_depth}
        # Those that look the same would be left to the last round, where nothing could tell them apart.
        choices = list(dict.fromkeys(choice.seen(seen.has_depth) for choice in self._choices))
        budget = self.settings.budget_alone(seen.share / sum(s.share for s in self.seen))
        rounds = plan_rounds(choices, depth, {name: 1}, budget, keep)
        return choose(choices, depth, rounds, keep, solve)

    def _scores(self, name: str, number: int, count: int) -> Scores:
        family = next(s.family for s in self.seen if s.family.name == name)
        origin = {**self._made, "family": plain(family)}
        begin = f"{name}-pooled-{self.entrant}"
        return Scores(family, number, count, self.steps, self.seed, origin, self.folder, begin)

    def _read(self) -> Choices | None:
        record = read_record(self.path, self.origin)
        try:
            return None if record is None else Choices.from_json(record.values)
        except (LookupError, TypeError, ValueError, AttributeError):
            return None
