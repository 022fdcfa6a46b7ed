"""A race: an entrant chooses settings, then it solves batches of problems while a clock runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

import taichisoft
from benchmarks import clock
from benchmarks.about import versions
from benchmarks.clock import Clock
from meta.evaluation.candidate_job import CODE, DRAWS
from meta.evaluation.candidates import Candidate, Choice, Grid
from meta.evaluation.measurements import Measurements, measure
from meta.evaluation.protocol import EVALUATION_SEED, TUNING_SEED
from meta.evaluation.tuning import Tuned, split_rounds, tune
from meta.jobs.code import code_digest
from meta.jobs.jobs import Job
from meta.jobs.records import Record, digest, plain, read_record, write_record
from meta.learning.inner import InnerSettings
from taichisoft.base.backend import threads
from taichisoft.base.processor import processor
from tasks.base import Split, TaskFamily

PEERS = ("deodr",)
# Steps between measurements of the error.
EVERY = 2


@dataclass(frozen=True, eq=False)
class Entrant:
    """A candidate on a family, with a number of steps.

    Parameters
    ----------
    family : TaskFamily
        Source of the problems.
    candidate : Candidate
        Who solves them.
    steps : int
        Of the inner optimisation.
    grid : Grid
        What it may choose from.
    seed : int
        Of the problems.
    folder : Path
        Where records are kept.
    """

    family: TaskFamily
    candidate: Candidate
    steps: int
    grid: Grid
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Family, candidate and steps."""
        return f"{self.family.name}-{self.candidate.key}-{self.steps}"

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What all its results depend on, and the processor that it was timed on."""
        file = getattr(self.candidate, "path", None)
        return {
            "code": code_digest((*CODE, clock, *self.candidate.code)),
            "versions": {name: version(name) for name in DRAWS} | versions(*PEERS),
            "backend": taichisoft.backend(),
            "processor": processor(),
            "threads": [threads(), torch.get_num_threads()],
            "family": plain(self.family),
            "choices": plain(self.candidate.choices(self.grid)),
            "file": digest({"bytes": file.read_bytes().hex()}) if file else "",
            "steps": self.steps,
            "seed": self.seed,
        }


@dataclass(frozen=True, eq=False)
class Stage(Job):
    """A part of the race, whose result is kept in a record.

    Parameters
    ----------
    entrant : Entrant
        Who runs.
    """

    entrant: Entrant

    @property
    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """Everything that the result depends on."""

    @abstractmethod
    def result(self) -> Record:
        """Return the result: the work."""

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self.entrant.folder / f"race-{self.name}-{digest(self.origin)}.safetensors"

    def done(self) -> bool:
        """Return whether the record is there, and whole."""
        return read_record(self.path, self.origin) is not None

    def run(self) -> None:
        """Do the work, and write the record."""
        write_record(self.path, self.result(), self.origin)

    def record(self) -> Record:
        """Return what `run` left; FileNotFoundError if it has not run."""
        record = read_record(self.path, self.origin)
        if record is None:
            raise FileNotFoundError(f"no result of {self.name}: {self.path} is missing or damaged")
        return record


@final
@dataclass(frozen=True, eq=False)
class Choosing(Stage):
    """The settings of an entrant, chosen on training problems.

    Parameters
    ----------
    problems : int
        How many training problems.
    """

    problems: int

    @property
    def name(self) -> str:
        """The entrant's, and that it chooses."""
        return f"{self.entrant.name}-choice"

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What the choice depends on."""
        return {**self.entrant.origin, "tuning": self.problems}

    def result(self) -> Record:
        """Choose, see `meta.evaluation.tuning.tune`."""
        entrant, family = self.entrant, self.entrant.family
        first = TUNING_SEED + 1000 * entrant.seed
        sizes = split_rounds(self.problems)
        tuned = tune(
            entrant.candidate.choices(entrant.grid),
            entrant.candidate.renderer,
            [family.sample(first + i, size, Split.TRAIN) for i, size in enumerate(sizes)],
            entrant.steps,
            family.error_cap,
            entrant.candidate.solve,
        )
        return Record({}, {"tuned": asdict(tuned)})

    def load(self) -> Tuned:
        """Return the choice."""
        tuned = self.record().values["tuned"]
        choices = self.entrant.candidate.choices(self.entrant.grid)
        choice = next(choice for choice in choices if asdict(choice) == tuned["choice"])
        return Tuned(choice, tuple(tuned["scores"]), tuple(tuned["at_edge"]))


@dataclass(frozen=True, eq=False)
class Lap:
    """A batch of N problems solved, or several batches.

    Parameters
    ----------
    steps : Tensor, (M,)
        After how many steps errors were measured.
    errors : Tensor, (M, N)
        The errors.
    solved : Tensor, (M, N)
        Which of them count as success.
    seconds : Tensor, (T + 1, 2)
        Of the processor and of the wall, from the start to the end of every step, for all N problems.
    """

    steps: Tensor
    errors: Tensor
    solved: Tensor
    seconds: Tensor

    @classmethod
    def of(cls, laps: Sequence[Lap]) -> Lap:
        """Return several batches, solved one after the other, as one."""
        return cls(
            laps[0].steps,
            torch.cat([lap.errors for lap in laps], 1),
            torch.cat([lap.solved for lap in laps], 1),
            torch.stack([lap.seconds for lap in laps]).sum(0),
        )


@final
@dataclass(frozen=True, eq=False)
class Solving(Stage):
    """A batch of held-out problems, solved with the settings chosen.

    Parameters
    ----------
    choice : Choice
        With which settings.
    batch, problems : int
        Which batch, and how many problems it has.
    """

    choice: Choice
    batch: int
    problems: int

    @property
    def name(self) -> str:
        """The entrant's, and which batch."""
        return f"{self.entrant.name}-batch-{self.batch}"

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What the result depends on."""
        batch = {"batch": self.batch, "problems": self.problems, "choice": plain(self.choice)}
        return {**self.entrant.origin, **batch}

    def result(self) -> Record:
        """Solve the batch."""
        entrant, rate = self.entrant, self.choice.learning_rate
        number = EVALUATION_SEED + 1000 * entrant.seed + self.batch
        task = entrant.family.sample(number, self.problems, Split.HELD_OUT)
        # Kernels are compiled, or read, before the clock runs.
        warm_up = entrant.candidate.renderer(self.choice)
        entrant.candidate.solve(task, warm_up, InnerSettings(2, rate), lambda state: None)
        timed = Clock(entrant.candidate.solve)
        outcome = measure(
            [task],
            entrant.candidate.renderer(self.choice),
            InnerSettings(entrant.steps, rate),
            every=EVERY,
            solver=timed,
        )
        return Record(_tensors(outcome, timed.seconds), {})

    def load(self) -> Lap:
        """Return what came out."""
        return Lap(**self.record().tensors)


def _tensors(outcome: Measurements, seconds: Tensor) -> dict[str, Tensor]:
    names = ("steps", "errors", "solved")
    return {name: getattr(outcome, name) for name in names} | {"seconds": seconds}
