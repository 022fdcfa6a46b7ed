"""Learn a softness: ``python -m meta.train --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch
from tqdm import tqdm

import taichisoft
from meta import history
from meta.checkpoint import Checkpoint
from meta.config import TrainSettings, build_parser, settings_from_args, to_json
from meta.options import given_options
from meta.run_folder import RunFolder, write_json_atomically
from meta.scalars import Scalars
from meta.softness import load_renderer, scale_in_pixels
from meta.trainer import Trainer
from meta.versions import versions

INTERRUPTED = 130


@dataclass(frozen=True, eq=False)
class Run:
    """A run that can take its next steps.

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
        settings = self.trainer.settings
        # A copy, since Ctrl-C may come in the middle of an update.
        last = self.trainer.checkpoint()
        bar = tqdm(total=settings.outer_steps, initial=last.step, desc="meta-training", unit="step")
        try:
            with bar, Scalars(self.folder.path / "tensorboard", last.step) as scalars:
                while last.step < settings.outer_steps:
                    record = self.trainer.step()
                    history.append(self.folder.history, record)
                    last = self.trainer.checkpoint()
                    if last.step % settings.checkpoint_every == 0:
                        self.save(last)
                    scalars.add(record)
                    bar.set_postfix(loss=f"{record.objective:.4f}", scale=f"{record.scale:.3f} px")
                    bar.update()
        finally:
            self.trainer.restore(last)
            self.save(last)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of the current state, and the softness."""
        trained = {"step": checkpoint.step, "settings": to_json(self.trainer.settings)}
        self.trainer.renderer.softness.save(self.folder.softness, trained)
        checkpoint.save(self.folder.checkpoint)


def create(settings: TrainSettings, command: Sequence[str] = ()) -> Run:
    """Make a new run folder, before any step.

    Parameters
    ----------
    settings : TrainSettings
        Everything that matters.
    command : sequence of str
        The command line, to be saved with the run.

    Raises
    ------
    FileExistsError
        The folder holds a run already.
    RuntimeError
        The backend cannot be had.
    """
    folder = RunFolder(Path(settings.out))
    if folder.config.exists():
        raise FileExistsError(
            f"{folder.path} holds a run already: continue it with --resume {folder.path}, "
            "or name another folder with --out"
        )
    _init_backend(settings)
    run = Run(folder, Trainer(settings))
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.history.unlink(missing_ok=True)
    run.save(run.trainer.checkpoint())
    # Last, so that a folder with settings is one that can be resumed.
    write_json_atomically(folder.config, describe(settings, command))
    return run


def reopen(path: Path) -> Run:
    """Continue a run from its checkpoint, with the history that it would have had uninterrupted.

    Parameters
    ----------
    path : Path
        The run folder.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no run, or it is damaged.
    RuntimeError
        The backend cannot be had.
    """
    folder = RunFolder(path)
    settings = folder.read_settings()
    checkpoint = Checkpoint.load(folder.checkpoint)
    _init_backend(settings)
    trainer = Trainer(settings)
    trainer.restore(checkpoint)
    history.truncate(folder.history, checkpoint.step)
    return Run(folder, trainer)


def train(settings: TrainSettings) -> RunFolder:
    """Learn a softness in a new run folder; see `create` and `Run.finish`."""
    run = create(settings)
    run.finish()
    return run.folder


def describe(settings: TrainSettings, command: Sequence[str]) -> dict:
    """Return what config.json holds."""
    return {
        "settings": to_json(settings),
        "versions": versions(),
        "backend": taichisoft.backend(),
        "command": list(command),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _init_backend(settings: TrainSettings) -> None:
    taichisoft.init(None if settings.backend == "auto" else settings.backend)


def parse(arguments: Sequence[str] | None) -> TrainSettings | Path:
    """Return settings of a new run, or the folder of the one to resume."""
    parser = build_parser(TrainSettings, prog="python -m meta.train", description=_DESCRIPTION)
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="continue this run, with the settings it has"
    )
    parsed = parser.parse_args(arguments)
    if parsed.resume is None:
        return settings_from_args(TrainSettings, parser, parsed)
    _refuse_others(parser, parsed)
    return parsed.resume


def _refuse_others(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    given = sorted(given_options(TrainSettings, parsed))
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        parser.error(f"--resume continues with the settings of the run; leave out {names}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    wanted = parse(arguments)
    try:
        if isinstance(wanted, Path):
            run = reopen(wanted)
        else:
            given = sys.argv[1:] if arguments is None else arguments
            run = create(wanted, ("python", "-m", "meta.train", *given))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # A setting of the process, hence made here and not in what others may call.
    torch.set_num_threads(run.trainer.settings.threads)
    try:
        run.finish()
    except KeyboardInterrupt:
        path = run.folder.path
        print(f"\nStopped. To continue: python -m meta.train --resume {path}", file=sys.stderr)
        return INTERRUPTED
    print(_summary(run.folder))
    return 0


def _summary(folder: RunFolder) -> str:
    steps = history.read(folder.history)
    renderer = load_renderer(folder.softness)
    scale = scale_in_pixels(renderer, folder.read_settings().image_size)
    return (
        f"{len(steps)} steps, loss {steps[0]['objective']:.4f} at the first and "
        f"{steps[-1]['objective']:.4f} at the last (other problems), scale {scale:.3f} px\n"
        f"softness: {folder.softness}\nhistory:  {folder.history}\n"
        f"compare:  python -m meta.evaluate {folder.path}"
    )


_DESCRIPTION = "Learn a softness from inverse-rendering problems, in a new run folder."

if __name__ == "__main__":
    sys.exit(main())
