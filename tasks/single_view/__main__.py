"""``python -m tasks.single_view``: train through one or several renderers, and compare what was learned.

Each run has a folder of its own; what is done is not done again, and what was stopped goes on, so the same
command is given again after an interruption.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro

from taichisoft.base.checks import check_integer
from taichisoft.base.files import write_atomically
from tasks.single_view.renderers import RENDERERS
from tasks.single_view.report import summary, to_markdown
from tasks.single_view.runs import Data, about, run, write_json
from tasks.single_view.settings import Settings
from tasks.single_view.training import Training

PROGRAM = "python -m tasks.single_view"
WRONG = 2
PRINTED = 100


@dataclass(frozen=True)
class Arguments:
    """What is run.

    Parameters
    ----------
    out : str
        Folder of the results.
    renderers : tuple of str
        What is learned through, one after the other: general, softras, softras-recon, suggested, antialiased.
    seeds : tuple of int
        Of the trainings through each.
    save_every : int
        Steps between two checkpoints.
    settings : Settings
        Of each training.
    """

    out: str
    renderers: tuple[str, ...] = ("general",)
    seeds: tuple[int, ...] = (0,)
    save_every: int = 100
    settings: Annotated[Settings, tyro.conf.arg(name="")] = field(default_factory=Settings)

    def __post_init__(self) -> None:
        unknown = [name for name in self.renderers if name not in RENDERERS]
        if unknown or not self.renderers:
            raise ValueError(
                f"renderers must be some of {', '.join(RENDERERS)}, got {', '.join(unknown) or 'none'}"
            )
        if not self.seeds:
            raise ValueError("seeds must be at least one, got none")
        for seed in self.seeds:
            check_integer(seed, "seeds", minimum=0)
        check_integer(self.save_every, "save_every", minimum=1)


def main(words: Sequence[str] | None = None) -> None:
    """Train, measure and write."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        arguments = tyro.cli(Arguments, prog=PROGRAM, description=__doc__, args=words)
        compare(arguments, f"{PROGRAM} {shlex.join(words)}")
    except (TypeError, ValueError, OSError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        sys.exit(WRONG)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)


def compare(arguments: Arguments, command: str) -> None:
    """Run all trainings, and write ``table.json`` and ``table.md``."""
    out = Path(arguments.out)
    data = Data.of(arguments.settings.data)
    results = []
    for seed in arguments.seeds:
        for renderer in arguments.renderers:
            name = f"{renderer}-{seed}"
            results.append(
                run(
                    arguments.settings,
                    data,
                    renderer,
                    seed,
                    out / name,
                    command=command,
                    save_every=arguments.save_every,
                    on_step=lambda training, name=name: _tell(training, name),
                )
            )
    rows = summary(results)
    write_json(out / "table.json", {"about": about(command), "rows": rows})
    text = to_markdown(rows)
    write_atomically(out / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    print(text)


def _tell(training: Training, name: str) -> None:
    """Print how a training is going."""
    if training.step % PRINTED == 0 or training.step == training.settings.steps:
        last = training.history[-PRINTED:]
        loss, iou = (sum(row[key] for row in last) / len(last) for key in ("loss", "iou"))
        print(
            f"{name}: step {training.step} of {training.settings.steps}, loss {loss:.3f}, "
            f"IoU {iou:.3f}, {training.seconds:.0f} s of CPU",
            flush=True,
        )


if __name__ == "__main__":
    # Small tensors: more threads only wait for each other.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    main()
