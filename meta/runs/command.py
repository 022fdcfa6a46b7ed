"""The command line of ``python -m meta.train``."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meta.config.options import given_options
from meta.config.training import TrainSettings, build_parser, settings_from_args
from meta.learning.distributed import TRANSPORTS, Place


@dataclass(frozen=True)
class Command:
    """What the command line asks for.

    Parameters
    ----------
    wanted : TrainSettings or Path
        Settings of a new run, or the folder of the one to continue.
    transport : str
        How processes talk to each other, see `meta.learning.distributed.join`.
    timeout : float
        Seconds that they wait for each other.
    """

    wanted: TrainSettings | Path
    transport: str
    timeout: float

    @property
    def folder(self) -> Path:
        """The run folder, of a new run or of one to continue."""
        return self.wanted if isinstance(self.wanted, Path) else Path(self.wanted.out)


def read_command(arguments: Sequence[str] | None) -> Command:
    """Return what the command line asks for, or end the program with a message.

    Of several processes with equal command lines, the first one says it.
    """
    with contextlib.ExitStack() as stack:
        if Place.of(os.environ).rank > 0:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        parser = _parser()
        parsed = parser.parse_args(arguments)
        if parsed.timeout <= 0:
            parser.error(f"argument --timeout: must be > 0 seconds, got {parsed.timeout}")
        return Command(_wanted(parser, parsed), parsed.transport, parsed.timeout)


def _parser() -> argparse.ArgumentParser:
    parser = build_parser(TrainSettings, prog="python -m meta.train", description=_DESCRIPTION)
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="continue this run, with the settings it has"
    )
    processes = parser.add_argument_group("of several processes, started by torchrun")
    processes.add_argument(
        "--transport",
        choices=TRANSPORTS,
        default=TRANSPORTS[0],
        help="how they exchange their sums (default: %(default)s)",
    )
    processes.add_argument(
        "--timeout",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="how long they wait for each other (default: %(default)g)",
    )
    return parser


def _wanted(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> TrainSettings | Path:
    if parsed.resume is None:
        return settings_from_args(TrainSettings, parser, parsed)
    given = sorted(given_options(TrainSettings, parsed))
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        parser.error(f"--resume continues with the settings of the run; leave out {names}")
    return parsed.resume


_DESCRIPTION = (
    "Learn a softness from inverse-rendering problems, in a new run folder. For N processes: "
    "torchrun --nproc-per-node N -m meta.train --shards N."
)
