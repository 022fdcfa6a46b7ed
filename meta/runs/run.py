"""A training run: a folder and a learner, from the first step to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import taichisoft
from meta.learning.group import Alone, Group, together
from meta.learning.settings import TrainSettings
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder, write_json_atomically
from meta.runs.recorder import FolderRecorder, NoRecorder, Recorder
from meta.runs.stopping import undisturbed
from meta.runs.trainer import Trainer
from meta.runs.versions import versions


@dataclass(frozen=True, eq=False)
class Run:
    """A run that can take its next steps.

    Where several processes share it, each has the whole state, and the first one has the folder.

    Parameters
    ----------
    folder : RunFolder
        Where things are.
    trainer : Trainer
        The learner, in the state of the last checkpoint.
    """

    folder: RunFolder
    trainer: Trainer

    def finish(self) -> None:
        """Take the remaining steps; whatever stops them, a checkpoint of the last whole one is written."""
        outer = self.trainer.settings.outer
        # A copy, since Ctrl-C may come in the middle of an update.
        last = self.trainer.checkpoint()
        try:
            try:
                with self._recorder(last.step) as recorder:
                    while last.step < outer.steps:
                        recorder.add(self.trainer.step())
                        last = self.trainer.checkpoint()
                        if last.step % outer.checkpoint_every == 0:
                            self.save(last)
            finally:
                self._close(last)
        except KeyboardInterrupt:
            # It may have come when another error was about to be dealt with.
            self._close(last)
            raise

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of the current state, and the softness; the first process does."""
        if self.trainer.group.rank == 0:
            trained = {"step": checkpoint.step, "settings": self.trainer.settings.to_json()}
            self.trainer.renderer.softness.save(self.folder.softness, trained)
            checkpoint.save(self.folder.checkpoint)

    def _recorder(self, done: int) -> Recorder:
        if self.trainer.group.rank > 0:
            return NoRecorder()
        return FolderRecorder(self.folder, done, self.trainer.settings.outer.steps)

    def _close(self, last: Checkpoint) -> None:
        """Leave learner and folder in the state after a step, which may have been followed by half a one."""
        with undisturbed():
            self.trainer.restore(last)
            if self.trainer.group.rank == 0:
                history.truncate(self.folder.history, last.step)
            self.save(last)


def create(settings: TrainSettings, command: Sequence[str] = (), group: Group | None = None) -> Run:
    """Make a new run folder, before any step.

    Parameters
    ----------
    settings : TrainSettings
        Everything that matters.
    command : sequence of str
        The command line, to be saved with the run.
    group : Group, optional
        The processes that share the run; the folder is made by the first of them. Default: this one alone.

    Raises
    ------
    FileExistsError
        The folder holds a run already.
    ValueError
        The processes have different settings, or settings that cannot be used; see `Trainer`.
    RuntimeError
        The backend cannot be had, or another process failed.
    """
    group = Alone() if group is None else group
    folder = RunFolder(Path(settings.out))
    everyones = group.gather(settings)
    together(group, lambda: _check_equal(everyones))
    together(group, lambda: _check_new(folder, group))
    run = together(group, lambda: Run(folder, _trainer(settings, group)))
    together(group, lambda: _write_first(run, command))
    return run


def reopen(path: Path, group: Group | None = None) -> Run:
    """Continue a run from its checkpoint, with the history that it would have had uninterrupted.

    Parameters
    ----------
    path : Path
        The run folder.
    group : Group, optional
        The processes that share the run; their number may be another one than before. Only the first needs
        the folder, and sends the others what is in it. Default: this one alone.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no run, or it is damaged.
    RuntimeError
        The backend cannot be had, or another process failed.
    """
    group = Alone() if group is None else group
    folder = RunFolder(path)
    settings, checkpoint = group.gather(together(group, lambda: _read(folder, group)))[0]
    return together(group, lambda: _restored(folder, settings, checkpoint, group))


def train(settings: TrainSettings) -> RunFolder:
    """Learn a softness in a new run folder; see `create` and `Run.finish`."""
    run = create(settings)
    run.finish()
    return run.folder


def describe(settings: TrainSettings, command: Sequence[str], processes: int) -> dict:
    """Return what config.json holds."""
    return {
        "settings": settings.to_json(),
        "versions": versions(),
        "backend": taichisoft.backend(),
        "processes": processes,
        "command": list(command),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _check_equal(everyones: list[TrainSettings]) -> None:
    for rank, other in enumerate(everyones):
        names = everyones[0].differences(other)
        if names:
            raise ValueError(
                f"settings must be those of process 0 on every process, got another "
                f"{', '.join(names)} on process {rank}"
            )


def _check_new(folder: RunFolder, group: Group) -> None:
    if group.rank == 0 and folder.config.exists():
        raise FileExistsError(
            f"{folder.path} holds a run already: continue it with --resume {folder.path}, "
            "or name another folder with --out"
        )


def _trainer(settings: TrainSettings, group: Group) -> Trainer:
    taichisoft.init(None if settings.backend == "auto" else settings.backend)
    return Trainer(settings, group)


def _write_first(run: Run, command: Sequence[str]) -> None:
    settings, group = run.trainer.settings, run.trainer.group
    if group.rank > 0:
        return
    run.folder.path.mkdir(parents=True, exist_ok=True)
    run.folder.history.unlink(missing_ok=True)
    run.save(run.trainer.checkpoint())
    # Last, so that a folder with settings is one that can be resumed.
    write_json_atomically(run.folder.config, describe(settings, command, group.size))


def _read(folder: RunFolder, group: Group) -> tuple[TrainSettings, Checkpoint] | None:
    if group.rank > 0:
        return None
    return folder.read_settings(), Checkpoint.load(folder.checkpoint)


def _restored(
    folder: RunFolder, settings: TrainSettings, checkpoint: Checkpoint, group: Group
) -> Run:
    trainer = _trainer(settings, group)
    trainer.restore(checkpoint)
    if group.rank == 0:
        history.truncate(folder.history, checkpoint.step)
    return Run(folder, trainer)
