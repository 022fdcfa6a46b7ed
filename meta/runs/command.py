"""The command line of ``python -m meta.train``."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meta.config.command_line import fail, options_in, parse
from meta.config.settings import PositiveFloat, from_fields
from meta.learning import flat_settings
from meta.learning.distributed import TRANSPORTS, Place
from meta.learning.settings import TrainSettings

PROG = "python -m meta.train"


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


@dataclass(frozen=True)
class Arguments(TrainSettings):
    """The command line: the settings of a new run, and what is none of them."""

    resume: str = ""  # Continue the run in this folder, with the settings it has.
    # How processes that torchrun has started exchange their sums.
    transport: Literal[TRANSPORTS] = TRANSPORTS[0]
    timeout: PositiveFloat = 1800.0  # How many seconds these wait for each other.


def read_command(arguments: Sequence[str] | None) -> Command:
    """Return what the command line asks for, or end the program with a message.

    Of several processes with equal command lines, the first one says it.
    """
    with contextlib.ExitStack() as stack:
        if Place.of(os.environ).rank > 0:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        given = parse(
            Arguments,
            arguments,
            prog=PROG,
            description=_DESCRIPTION,
            renamed=flat_settings.renamed(),
        )
        return Command(_wanted(given, arguments), given.transport, given.timeout)


def _wanted(given: Arguments, arguments: Sequence[str] | None) -> TrainSettings | Path:
    if not given.resume:
        return from_fields(TrainSettings, given)
    of_process = {"--resume", "--transport", "--timeout"}
    others = sorted(set(options_in(arguments)) - of_process)
    if others:
        message = "--resume continues with the settings of the run; leave out"
        fail(PROG, f"{message} {', '.join(others)}")
    return Path(given.resume)


_DESCRIPTION = (
    "Learn a softness from inverse-rendering problems, in a new run folder. For N processes: "
    "torchrun --nproc-per-node N -m meta.train --shards N."
)
