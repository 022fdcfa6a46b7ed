"""Learn a softness: ``python -m meta.train --help``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from meta.config.softness import can_be_saved, scale_in_pixels
from meta.jobs.full_disk import is_full
from meta.learning.distributed import WorkerLost, join
from meta.learning.group import Alone, Group
from meta.learning.settings import TrainSettings
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.command import Command, read_command
from meta.runs.folder import RunFolder
from meta.runs.history import Record
from meta.runs.run import Run, create, reopen, train
from meta.runs.stopping import Terminated, leave, terminable, undisturbed

__all__ = ["Run", "create", "main", "parse", "reopen", "train"]

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143
# Seconds by which the first process precedes the others when there is something to say.
PRECEDENCE = 1.0


def parse(arguments: Sequence[str] | None) -> TrainSettings | Path:
    """Return settings of a new run, or the folder of the one to resume."""
    return read_command(arguments).wanted


def main(
    arguments: Sequence[str] | None = None, on_step: Callable[[Record], object] | None = None
) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    on_step : callable, optional
        Called with what is known of each step, in the place of the bar and of the words at the end.

    Returns
    -------
    int
        0, or 1 after an error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    command = read_command(arguments)
    words = ("python", "-m", "meta.train", *(sys.argv[1:] if arguments is None else arguments))
    group: Group = Alone()
    with terminable():
        # Twice, since the signal may come while the loss of a worker is being dealt with.
        try:
            try:
                group = join(command.transport, command.timeout)
                return _run(command, words, group, on_step)
            except WorkerLost as error:
                return _stopped(command, group, f"error: {error}", FAILED)
        except Terminated:
            return _stopped(command, group, _terminated(group), TERMINATED)
        except KeyboardInterrupt:
            return _stopped(command, group, "Stopped", INTERRUPTED)


def _run(
    command: Command,
    words: Sequence[str],
    group: Group,
    on_step: Callable[[Record], object] | None,
) -> int:
    try:
        run = _opened(command, words, group)
    except WorkerLost:
        raise
    except (ImportError, OSError, TypeError, ValueError, RuntimeError) as error:
        if group.rank == 0:
            print(f"error: {error}{_cure(error, command.folder, group)}", file=sys.stderr)
        return FAILED
    # A setting of the process, hence made here and not in what others may call.
    torch.set_num_threads(run.trainer.settings.threads)
    try:
        run.finish(on_step)
    # A file could not be written: the disk is full, or gone.
    except OSError as error:
        space = "; free some space first" if is_full(error) else ""
        return _stopped(command, group, f"error: {error}. {_kept(run)}{space}", FAILED)
    finally:
        run.release()
    group.close()
    if group.rank == 0 and on_step is None:
        print(_summary(run))
    return 0


def _opened(command: Command, words: Sequence[str], group: Group) -> Run:
    wanted = command.wanted
    resumes = group.gather(isinstance(wanted, Path))
    if len(set(resumes)) > 1:
        raise ValueError("--resume must be given to all processes or to none")
    if isinstance(wanted, Path):
        return reopen(wanted, group)
    return create(wanted, words, group)


def _stopped(command: Command, group: Group, why: str, code: int) -> int:
    with undisturbed():
        if group.rank > 0:
            # The first process speaks, if it is still there.
            time.sleep(PRECEDENCE)
        if group.first("farewell"):
            print(f"\n{why}. {_advice(command.folder, group)}", file=sys.stderr, flush=True)
    return code


def _terminated(group: Group) -> str:
    if group.size == 1:
        return "Stopped by SIGTERM"
    return "Stopped by SIGTERM, which torchrun sends when a worker died or when it is stopped"


def _cure(error: Exception, path: Path, group: Group) -> str:
    return f". Free some space first. {_advice(path, group)}" if is_full(error) else ""


def _kept(run: Run) -> str:
    """Return what a run still has after a file could not be written."""
    total = run.trainer.settings.outer.steps
    try:
        step = Checkpoint.load(run.folder.checkpoint).step
    except (OSError, ValueError, TypeError):
        return "The checkpoint cannot be read"
    return f"Kept: the checkpoint after {step} of {total} steps"


def _advice(path: Path, group: Group) -> str:
    # Only the first process can be sure to see the folder.
    if group.rank == 0 and not RunFolder(path).config.exists():
        return "No step was taken: start again"
    return f"To continue: python -m meta.train --resume {path}"


def _summary(run: Run) -> str:
    folder, trainer = run.folder, run.trainer
    steps = history.read(folder.history)
    renderer, verdict = trainer.kept().renderer, trainer.verdict()
    scale = scale_in_pixels(renderer, trainer.settings.image_size)
    first, last = (history.number_in(steps[index], "objective") for index in (0, -1))
    judged = f"{verdict.words()}\n" if verdict else ""
    if can_be_saved(renderer.softness):
        found = f"softness: {folder.softness}\n"
    else:
        found = f'softness: meta.load("{folder.path}") in Python, since a class of yours is in no file\n'
    own = folder.read_settings().own
    following = "docs/own-problems.md" if own else f"python -m meta.evaluate {folder.path}"
    return (
        f"{len(steps)} steps, loss {first:.4f} at the first and "
        f"{last:.4f} at the last (other problems), scale {scale:.3f} px\n"
        f"{judged}{found}history:  {folder.history}\ncompare:  {following}"
    )


if __name__ == "__main__":
    leave(main())
