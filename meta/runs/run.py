"""A training run: a folder and a learner, from the first step to the last."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import taichisoft
from meta.config.softness import can_be_saved
from meta.learning.group import Alone, Group, together
from meta.learning.settings import LearningSettings, TrainSettings
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder, write_json_atomically
from meta.runs.history import Record
from meta.runs.lock import Lock
from meta.runs.recorder import FolderRecorder, NoRecorder, Recorder
from meta.runs.stopping import undisturbed
from meta.runs.trainer import Trainer
from meta.runs.versions import versions
from taichisoft.base.files import remove_partials

logger = logging.getLogger("meta")


@dataclass(frozen=True, eq=False)
class Run:
    """A run that can take its next steps.

    Where several processes share it, each has the whole state, and the first one has the folder, which it
    keeps locked as long as there is a run to go on with.

    Parameters
    ----------
    folder : RunFolder
        Where things are.
    trainer : Trainer
        The learner, in the state of the last checkpoint.
    lock : Lock or None
        Of the folder; None on processes that do not write it.
    """

    folder: RunFolder
    trainer: Trainer
    lock: Lock | None

    def finish(self, on_step: Callable[[Record], object] | None = None) -> None:
        """Take the remaining steps; whatever stops them, a checkpoint of the last whole one is written.

        Parameters
        ----------
        on_step : callable, optional
            Called with what is known of each step, on the first process. Default: a bar.
        """
        outer = self.trainer.settings.outer
        # A copy, since Ctrl-C may come in the middle of an update.
        last = self.trainer.checkpoint()
        try:
            try:
                with self._recorder(last.step, on_step) as recorder:
                    for record in self.trainer.steps():
                        recorder.add(record)
                        last = self.trainer.checkpoint()
                        if last.step % outer.checkpoint_every == 0:
                            self.save(last)
            finally:
                self._close(last)
        except KeyboardInterrupt:
            # It may have come when another error was about to be dealt with.
            self._close(last)
            raise
        # Nothing is left to be written.
        self.release()

    def release(self) -> None:
        """Let others write the folder: this run takes no more steps."""
        if self.lock is not None:
            self.lock.release()

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of the current state, and the softness to keep; the first process does.

        A softness that no file can hold, since a part of it is of a class of the user, is in the checkpoint
        alone.
        """
        if self.trainer.group.rank == 0:
            if can_be_saved(self.trainer.renderer.softness):
                self.trainer.save_softness(self.folder.softness)
            checkpoint.save(self.folder.checkpoint)

    def _recorder(self, done: int, on_step: Callable[[Record], object] | None) -> Recorder:
        if self.trainer.group.rank > 0:
            return NoRecorder()
        return FolderRecorder(self.folder, done, self.trainer.settings.outer.steps, on_step)

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
        The backend cannot be had, another process failed, or one of another run writes the folder (`InUse`).
    OSError
        A file cannot be written. There is no run then.
    """
    group = Alone() if group is None else group
    folder = RunFolder(Path(settings.out))
    everyones = group.gather(settings)
    together(group, lambda: _check_equal(everyones))
    together(group, lambda: _check_new(folder, group))
    trainer = together(group, lambda: _trainer(settings, group))
    return together(group, lambda: _begun(folder, trainer, command))


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
    FileNotFoundError, ValueError, TypeError
        There is no run, or it is damaged; the message names the file.
    RuntimeError
        The backend cannot be had, another process failed, or one of another run writes the folder (`InUse`).
    """
    group = Alone() if group is None else group
    folder = RunFolder(path)
    lock = together(group, lambda: _lock_run(folder, group))
    with _released_on_failure(lock):
        settings, checkpoint = group.gather(together(group, lambda: _read(folder, group)))[0]
        trainer = together(
            group, lambda: _restored(folder, checkpoint, lambda: _trainer(settings, group))
        )
        together(group, lambda: _cut(folder, trainer))
    return Run(folder, trainer, lock)


def resume_or_begin(trainer: Trainer, path: Path) -> Run:
    """Begin the run of a learner in a folder, or continue the one that is there.

    Parameters
    ----------
    trainer : Trainer
        The learner, before any step; of objects, which a folder does not hold (`ObjectSettings`).
    path : Path
        The run folder.

    Raises
    ------
    ValueError, TypeError
        The folder holds a run of `meta.train`, one with other settings, or a damaged one.
    RuntimeError
        Another process writes the folder (`InUse`).
    OSError
        A file cannot be read or written.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        return _begun(folder, trainer, ())
    lock = _lock_run(folder, trainer.group)
    with _released_on_failure(lock):
        folder.check_object_settings(trainer.settings)
        _restore(folder, trainer, Checkpoint.load(folder.checkpoint))
        _cut(folder, trainer)
    return Run(folder, trainer, lock)


def learner_of(path: Path) -> Trainer:
    """Return the learner of a run in the state of its last checkpoint, and leave the folder as it is.

    It need not be able to go on: the backend of the run, which may not be had here, is not chosen.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As `reopen`.
    """
    folder = RunFolder(path)
    settings = folder.read_settings()
    return _restored(folder, Checkpoint.load(folder.checkpoint), lambda: Trainer(settings))


def train(settings: TrainSettings) -> RunFolder:
    """Learn a softness in a new run folder; see `create` and `Run.finish`."""
    run = create(settings)
    run.finish()
    return run.folder


def describe(settings: LearningSettings, command: Sequence[str], processes: int) -> dict:
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


def _begun(folder: RunFolder, trainer: Trainer, command: Sequence[str]) -> Run:
    lock = None
    if trainer.group.rank == 0:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    run = Run(folder, trainer, lock)
    with _released_on_failure(lock):
        # Another process may have begun one since it was looked for.
        _check_new(folder, trainer.group)
        _write_first(run, command)
    return run


def _write_first(run: Run, command: Sequence[str]) -> None:
    settings, group = run.trainer.settings, run.trainer.group
    if group.rank > 0:
        return
    run.folder.history.unlink(missing_ok=True)
    run.save(run.trainer.checkpoint())
    # Last, so that a folder with settings is one that can be resumed.
    write_json_atomically(run.folder.config, describe(settings, command, group.size))


@contextlib.contextmanager
def _released_on_failure(lock: Lock | None) -> Iterator[None]:
    """Give a lock back if there will be no run; an error keeps alive what it came through."""
    try:
        yield
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _lock_run(folder: RunFolder, group: Group) -> Lock | None:
    """Lock a folder that holds a run."""
    if group.rank > 0:
        return None
    folder.check_run()
    return _lock(folder)


def _lock(folder: RunFolder) -> Lock:
    lock = Lock(folder.lock)
    written = (folder.config, folder.history, folder.checkpoint, folder.softness)
    remove_partials(folder.path, {path.name for path in written})
    return lock


def _read(folder: RunFolder, group: Group) -> tuple[TrainSettings, Checkpoint] | None:
    if group.rank > 0:
        return None
    return folder.read_settings(), Checkpoint.load(folder.checkpoint)


def _restored(folder: RunFolder, checkpoint: Checkpoint, make: Callable[[], Trainer]) -> Trainer:
    try:
        trainer = make()
    except ValueError as error:
        raise ValueError(f"the run of {folder.config} cannot be made again: {error}") from error
    _restore(folder, trainer, checkpoint)
    return trainer


def _restore(folder: RunFolder, trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put a learner into the state of a checkpoint."""
    try:
        trainer.restore(checkpoint)
    # What does not fit fails in any of the three, each in its own way.
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        text = " ".join((repr(error) if isinstance(error, LookupError) else str(error)).split())
        raise ValueError(
            f"{folder.checkpoint} is damaged, or is not of the run that {folder.config.name} "
            f"describes: {text}"
        ) from error


def _cut(folder: RunFolder, trainer: Trainer) -> None:
    """Cut the history at the step of a learner."""
    if trainer.group.rank == 0:
        repaired = history.truncate(folder.history, trainer.done)
        if repaired:
            logger.warning("repaired: %s", repaired)
