"""The data of a run folder: whatever is there, and a note for each thing that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from meta.config.imported import is_import_path
from meta.config.softness import initial_renderer, learn_only
from meta.learning.settings import TrainSettings
from meta.report.page.checkpoints import Checkpoint, checkpoints_over_steps
from meta.report.page.ranking import Ranking, read_rankings
from meta.runs import history
from meta.runs.folder import RunFolder
from meta.runs.learn import load
from meta.runs.verdict import Verdict
from taichisoft import Softness

T = TypeVar("T")
# What reading a missing or damaged file may raise.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True, eq=False)
class RunData:
    """All that a page about a run is made of.

    Parameters
    ----------
    folder : RunFolder
        Where it comes from.
    settings : TrainSettings
        Of the run.
    about : dict
        The rest of config.json: versions, backend, processes, command, started.
    history : list of dict
        Steps so far.
    checkpoints : tuple of Checkpoint
        The softness after the steps that are known; empty if none can be read.
    rankings : tuple of Ranking
        Results of an evaluation, one for each family.
    evaluation : Path
        Where the evaluation was looked for.
    notes : dict of str
        Why something is missing, by its name here.
    verdict : Verdict or None
        What validation says; None if nothing was judged.
    """

    folder: RunFolder
    settings: TrainSettings
    about: dict[str, Any]
    history: list[dict]
    checkpoints: tuple[Checkpoint, ...]
    rankings: tuple[Ranking, ...]
    evaluation: Path
    notes: dict[str, str]
    verdict: Verdict | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.path.resolve().name

    @property
    def done(self) -> int:
        """Steps taken."""
        known = self.checkpoints[-1].step if self.checkpoints else 0
        return max(len(self.history), known)

    @property
    def learned(self) -> int:
        """Which of the checkpoints the run keeps: the one that validation chose, or else the last."""
        last = len(self.checkpoints) - 1
        if self.verdict is None:
            return last
        steps = [checkpoint.step for checkpoint in self.checkpoints]
        step = self.verdict.kept.step
        return steps.index(step) if step in steps else last


def read_run_data(path: Path, evaluation: Path | None = None) -> RunData:
    """Read a run folder.

    Parameters
    ----------
    path : Path
        The folder.
    evaluation : Path, optional
        File with the rows of an evaluation. Default: evaluation.json in the folder.

    Raises
    ------
    FileNotFoundError
        The folder is no run, or a file that was named is missing.
    ValueError
        Its config.json is damaged. Other damaged files are left out, with a note.
    """
    folder = RunFolder(path)
    settings = folder.read_settings()
    about = folder.read_about()
    if evaluation is not None and not evaluation.is_file():
        raise FileNotFoundError(f"evaluation: no such file: {evaluation}")
    evaluation = evaluation or folder.evaluation
    notes: dict[str, str] = {}
    steps = _attempt("history", notes, lambda: _history(folder, notes), [])
    kept = _attempt("checkpoints", notes, lambda: _kept(folder, settings), None)
    checkpoints: tuple[Checkpoint, ...] = ()
    verdict = None
    # What is wrong with the softness is said already.
    if kept is not None:
        checkpoints = _attempt(
            "checkpoints", notes, lambda: _checkpoints(folder, settings, kept, steps, notes), ()
        )
    if checkpoints:
        verdict = _attempt("verdict", notes, lambda: Verdict.of(kept.trained), None)
    rankings = _attempt(
        "rankings", notes, lambda: _rankings(folder, settings, evaluation, notes), ()
    )
    return RunData(
        folder, settings, about, steps, checkpoints, rankings, evaluation, notes, verdict
    )


def _attempt(name: str, notes: dict[str, str], read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except UNREADABLE as error:
        # The text of a LookupError is a mere key.
        text = repr(error) if isinstance(error, LookupError) else str(error)
        notes[name] = f"Left out: {text}"
        return otherwise


def _history(folder: RunFolder, notes: dict[str, str]) -> list[dict]:
    if not folder.history.is_file():
        raise FileNotFoundError(f"no steps are known: {folder.history.name} is missing")
    rows, faults = history.read_whole(folder.history)
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        notes["history"] = f"Only {len(rows)} steps are whole: {faults[0]}{more}"
    return rows


def _checkpoints(
    folder: RunFolder,
    settings: TrainSettings,
    kept: Softness,
    steps: list[dict],
    notes: dict[str, str],
) -> tuple[Checkpoint, ...]:
    start = _attempt("start", notes, lambda: _start(folder, settings), None)
    return checkpoints_over_steps(kept, start, steps)


def _kept(folder: RunFolder, settings: TrainSettings) -> Softness:
    """Return the softness that a run keeps; one with a coverage of the user is in its checkpoint alone."""
    if is_import_path(settings.softness.coverage) and not folder.softness.is_file():
        return _of_run(load(folder.path).softness, folder.checkpoint, settings)
    return _of_file(folder.softness, settings)


def _start(folder: RunFolder, settings: TrainSettings) -> Softness:
    """Return the softness before the first step: kept, or made again as the run made it."""
    if folder.start.is_file():
        return _of_file(folder.start, settings)
    return initial_renderer(settings.softness, settings.seed).softness


def _of_file(path: Path, settings: TrainSettings) -> Softness:
    return _of_run(Softness.load(path), path, settings)


def _of_run(softness: Softness, path: Path, settings: TrainSettings) -> Softness:
    """Return the softness of a file, of which only what the run learns requires gradients from now on."""
    step = softness.trained.get("step", 0)
    if type(step) is not int or step < 0:
        raise ValueError(f"{path} is damaged: trained: step must be an int from 0, got {step!r}")
    try:
        learn_only(softness, settings.softness.learn)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{path} is not of this run: {error}") from error
    return softness


def _rankings(
    folder: RunFolder, settings: TrainSettings, evaluation: Path, notes: dict[str, str]
) -> tuple[Ranking, ...]:
    if evaluation.is_file():
        return read_rankings(evaluation)
    how = (
        "docs/own-problems.md says how"
        if settings.own
        else f"python -m meta.evaluate {folder.path}"
    )
    notes["rankings"] = f"Not compared with fixed softnesses yet: {how}"
    return ()
