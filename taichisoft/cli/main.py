"""The entry point: parses the command line, runs a command, and turns errors into one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from taichisoft.cli.command import FAILED, Command
from taichisoft.cli.demo import Demo
from taichisoft.cli.fit_pose import FitPose
from taichisoft.cli.info import Info
from taichisoft.cli.render import Render

COMMANDS: tuple[Command, ...] = (Render(), FitPose(), Demo(), Info())
PROGRAM = "taichisoft"

# What the library and the system raise for what a user can change. All else is a bug, with its traceback.
ERRORS = (ValueError, OSError, ImportError, RuntimeError, MemoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 if a result is not good, or 2 after one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        return command.run(parsed)
    except ERRORS as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"{PROGRAM} {command.name}: error: {message}", file=sys.stderr)
        return FAILED


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    parser = _Parser(prog=PROGRAM, description="A differentiable rasterizer of triangle meshes.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.summary[0].upper() + command.summary[1:] + ".",
            epilog=f"{command.notes}\n\nexample:\n  {command.example}".lstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(added)
        added.set_defaults(command=command)
    return parser
