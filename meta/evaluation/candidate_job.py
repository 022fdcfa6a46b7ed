"""The job of one candidate on one family: it chooses settings, then it solves the problems that count."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import taichisoft
import tasks
from meta.evaluation import measurements, protocol, tuning
from meta.evaluation.candidates import Candidate
from meta.evaluation.measurements import Measurements, measure
from meta.evaluation.protocol import Protocol
from meta.evaluation.tuning import Tuned, tune
from meta.jobs.code import code_digest
from meta.jobs.jobs import Job
from meta.jobs.records import Record, digest, plain, plain_softness, read_record, write_record
from meta.learning import inner, method
from meta.learning.inner import InnerSettings
from taichisoft import (
    appearance,
    base,
    cameras,
    diagnosis,
    engine,
    geometry,
    render,
    shapes,
    softness,
)
from taichisoft.base.processor import processor
from tasks.base import Split, TaskFamily

FORMAT = 2
# What the numbers of a record depend on. A change here makes the records again.
CODE = (
    *(base, geometry, shapes, cameras, softness, appearance, engine, render, diagnosis),
    *(tasks, inner, method, measurements, protocol, tuning),
)
# What draws problems: other versions may draw other ones from the same seed.
DRAWS = ("torch", "numpy", "matplotlib")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The settings and results of a candidate.

    Parameters
    ----------
    tuned : Tuned
        Its settings.
    outcomes : dict of Split to Measurements
        Its results on the problems of each split asked for.
    processor : str
        What they were made on; empty in records of earlier versions.
    """

    tuned: Tuned
    outcomes: dict[Split, Measurements]
    processor: str = ""


@dataclass(frozen=True, eq=False)
class CandidateJob(Job):
    """A candidate on a family.

    Parameters
    ----------
    family : TaskFamily
        Source of the problems.
    candidate : Candidate
        Who solves them.
    protocol : Protocol
        Budget and grid.
    splits : tuple of Split
        Which problems: held-out ones, and possibly such as were learned from.
    folder : Path
        Where the record is kept.
    condition : str
        What is other than usual, for names; empty: nothing is.
    """

    family: TaskFamily
    candidate: Candidate
    protocol: Protocol
    splits: tuple[Split, ...]
    folder: Path
    condition: str = ""

    @property
    def name(self) -> str:
        """Family, condition and candidate."""
        return " ".join(self._names)

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Everything that the result depends on: problems, softnesses, protocol, engine, code."""
        candidate, grid = self.candidate, self.protocol.grid(self.family)
        return {
            "format": FORMAT,
            "taichisoft": taichisoft.__version__,
            "code": code_digest((*CODE, *candidate.code)),
            "draws": {name: version(name) for name in DRAWS},
            "engine": taichisoft.engine_name(),
            "backend": taichisoft.backend(),
            "family": plain(self.family),
            "protocol": plain(self.protocol),
            "splits": plain(self.splits),
            "choices": [
                [plain(choice), plain_softness(candidate.renderer(choice).softness)]
                for choice in candidate.choices(grid)
            ],
        }

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self.folder / "-".join([*self._names, f"{digest(self.origin)}.safetensors"])

    def done(self) -> bool:
        """Return whether the record is there, and whole."""
        return self._read() is not None

    def run(self) -> None:
        """Choose settings, solve the problems of every split, and write the record."""
        evaluation = self._evaluate()
        tensors = {
            f"{split.value}.{name}": value
            for split, outcome in evaluation.outcomes.items()
            for name, value in outcome.to_tensors().items()
        }
        seconds = {split.value: outcome.seconds for split, outcome in evaluation.outcomes.items()}
        cpu = {split.value: outcome.cpu_seconds for split, outcome in evaluation.outcomes.items()}
        made = {"processor": processor()}
        values = {
            "tuned": asdict(evaluation.tuned),
            "seconds": seconds,
            "cpu_seconds": cpu,
            **made,
        }
        write_record(self.path, Record(tensors, values), self.origin)

    def load(self) -> Evaluation:
        """Return what `run` left.

        Raises
        ------
        FileNotFoundError
            It has not run.
        """
        evaluation = self._read()
        if evaluation is None:
            raise FileNotFoundError(f"no result of {self.name}: {self.path} is missing or damaged")
        return evaluation

    @property
    def _names(self) -> list[str]:
        names = (self.family.name, self.condition, self.candidate.key)
        return [name for name in names if name]

    def _read(self) -> Evaluation | None:
        """Return what is in the record, or None if there is none, or it is damaged."""
        record = read_record(self.path, self.origin)
        try:
            return None if record is None else self._evaluation(record)
        # Something is missing, or of another kind.
        except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
            return None

    def _evaluation(self, record: Record) -> Evaluation:
        tuned = record.values["tuned"]
        choices = self.candidate.choices(self.protocol.grid(self.family))
        choice = next(choice for choice in choices if asdict(choice) == tuned["choice"])
        outcomes = {}
        for split in self.splits:
            prefix = f"{split.value}."
            own = {
                name.removeprefix(prefix): value
                for name, value in record.tensors.items()
                if name.startswith(prefix)
            }
            seconds = record.values["seconds"][split.value]
            cpu = record.values.get("cpu_seconds", {}).get(split.value, math.nan)
            outcomes[split] = Measurements.from_tensors(own, seconds, cpu)
        settings = Tuned(choice, tuple(tuned["scores"]), tuple(tuned["at_edge"]))
        return Evaluation(settings, outcomes, str(record.values.get("processor", "")))

    def _evaluate(self) -> Evaluation:
        family, protocol, candidate = self.family, self.protocol, self.candidate
        tuned = tune(
            candidate.choices(protocol.grid(family)),
            candidate.renderer,
            protocol.tuning_tasks(family),
            protocol.steps,
            family.error_cap,
            candidate.solve,
        )
        settings = InnerSettings(protocol.steps, tuned.choice.learning_rate)
        renderer = candidate.renderer(tuned.choice)
        outcomes = {}
        for split in self.splits:
            batches = protocol.evaluation_tasks(family, split)
            outcomes[split] = measure(
                batches,
                renderer,
                settings,
                every=protocol.measure_every,
                solver=candidate.solve,
            )
        return Evaluation(tuned, outcomes)
