"""The results of the pose protocol: one JSON file that is also the checkpoint of a run."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.pose_entries import Entry
from meta.evaluation.statistics import Bootstrap, Interval
from meta.learning.inner import Trajectory
from meta.runs.folder import write_json_atomically


@dataclass(frozen=True)
class Protocol:
    """What all entries have in common.

    Parameters
    ----------
    steps : int
        Adam steps.
    poses : int
        Poses solved at the same time, for each seed.
    tuning_poses : int
        Poses, with other seeds, on which scales are chosen.
    image_size : int
        Height and width in pixels.
    fit_fov : bool
        Whether the field of view is optimised.
    mesh : str
        Digest of the mesh.
    """

    steps: int
    poses: int
    tuning_poses: int
    image_size: int
    fit_fov: bool
    mesh: str


@dataclass(frozen=True)
class Row:
    """What one entry did over all seeds.

    Parameters
    ----------
    key, label, choice : str
        The entry, and the settings chosen for it.
    poses : int
        Number of poses of all seeds together.
    success_last, success_best : Interval
        Share of poses below 5 degrees at the last step, and at the best step of each.
    median_error : Interval
        Median of the errors at the last step, in degrees.
    loss_first, loss_last : float or None
        Mean over the seeds of the summed loss at the first and the last step; None if not finite.
    seconds : float
        Mean time of one seed.
    """

    key: str
    label: str
    choice: str
    poses: int
    success_last: Interval
    success_best: Interval
    median_error: Interval
    loss_first: float | None
    loss_last: float | None
    seconds: float


class Record:
    """Choices and runs so far. Every addition is written at once, atomically.

    Parameters
    ----------
    path : Path
        The file; what it holds already is kept.
    protocol : Protocol
        That of the file, if there is one, must be the same.

    Raises
    ------
    ValueError
        The file is damaged, or of another protocol.
    """

    def __init__(self, path: Path, protocol: Protocol):
        self.path = path
        self._data: dict[str, Any] = {"protocol": asdict(protocol), "choices": {}, "runs": {}}
        if path.is_file():
            found = _read(path)
            different = {
                name: value
                for name, value in asdict(protocol).items()
                if found["protocol"].get(name) != value
            }
            if different:
                raise ValueError(
                    f"{path} holds results of another protocol (there "
                    f"{ {name: found['protocol'].get(name) for name in different} }, now "
                    f"{different}): choose another folder, or remove the file"
                )
            self._data |= found

    def chosen(self, entry: Entry) -> str | None:
        """Return the text of the choice made for an entry; None if not yet, or among others."""
        made = self._data["choices"].get(entry.key)
        known = made and made["tried"] == [choice.text for choice in entry.choices]
        return made["text"] if known else None

    def add_choice(self, entry: Entry, text: str, scores: dict[str, float]) -> None:
        """Write which choice an entry takes part with, and what each scored when it was last tried."""
        tried = [choice.text for choice in entry.choices]
        self._data["choices"][entry.key] = {"text": text, "tried": tried, "scores": scores}
        self._write()

    def has(self, entry: Entry, seed: int, text: str) -> bool:
        """Return whether an entry was run with that choice and seed."""
        run = self._data["runs"].get(entry.key, {}).get(str(seed))
        return run is not None and run["choice"] == text

    def add(self, entry: Entry, seed: int, text: str, outcome: Trajectory, seconds: float) -> None:
        """Write what one seed led to."""
        sums = outcome.losses.double().sum(1)
        run = {
            "choice": text,
            "errors_last": outcome.errors[-1].double().tolist(),
            "errors_best": outcome.errors.double().amin(0).tolist(),
            "loss_first": _finite(sums[0]),
            "loss_last": _finite(sums[-1]),
            "loss_least": _finite(sums.min()),
            "loss_least_step": int(sums.argmin()),
            "seconds": seconds,
        }
        self._data["runs"].setdefault(entry.key, {})[str(seed)] = run
        self._write()

    def row(self, entry: Entry, solved_below: float) -> Row | None:
        """Return what an entry did over the seeds that were run; None if there are none."""
        text = self.chosen(entry)
        runs = self._data["runs"].get(entry.key, {}).values()
        runs = [run for run in runs if run["choice"] == text]
        if not runs:
            return None
        last, best = (
            torch.tensor([e for run in runs for e in run[name]], dtype=torch.float64)
            for name in ("errors_last", "errors_best")
        )
        bootstrap = Bootstrap.of(len(last), seed=0)
        return Row(
            entry.key,
            entry.label,
            text,
            len(last),
            bootstrap.rate(last < solved_below),
            bootstrap.rate(best < solved_below),
            bootstrap.median(last),
            _mean([run["loss_first"] for run in runs]),
            _mean([run["loss_last"] for run in runs]),
            sum(run["seconds"] for run in runs) / len(runs),
        )

    def finish(self, rows: list[Row], about: dict[str, object]) -> None:
        """Write the rows, and what was run, next to the runs."""
        self._data |= {"about": about, "rows": [asdict(row) for row in rows]}
        self._write()

    def _write(self) -> None:
        write_json_atomically(self.path, self._data)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(found[name], dict) for name in ("protocol", "choices", "runs")):
            raise TypeError("protocol, choices and runs must be objects")
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no results of this protocol: {error!r}") from error
    return found


def _finite(value: torch.Tensor) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else sum(values) / len(values)
