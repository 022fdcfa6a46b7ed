"""Command lines of settings, made by tyro: an option for every field, and for those of nested settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn, TypeVar

import tyro

T = TypeVar("T")

WRONG = 2


def parse(
    cls: type[T],
    arguments: Sequence[str] | None,
    *,
    prog: str,
    description: str,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> T:
    """Return the settings that a command line asks for; a wrong one ends the program with a message.

    Parameters
    ----------
    cls : type
        A dataclass, see `meta.config.settings`.
    arguments : sequence of str, optional
        Default: those of the program.
    prog, description : str
        For the head of ``--help``.
    renamed : mapping of str to str
        What options are called that had other names before, such as ``--pose-start``.
    """
    for option in options_in(arguments):
        if option in renamed:
            fail(prog, f"{option} is now {renamed[option]}")
    try:
        return tyro.cli(
            cls,
            prog=prog,
            description=description,
            args=_words(arguments),
        )
    except (TypeError, ValueError) as error:
        fail(prog, str(error))


def options_in(arguments: Sequence[str] | None) -> list[str]:
    """Return the options on a command line, as they are written and without what follows a ``=``."""
    return [word.partition("=")[0] for word in _words(arguments) if word.startswith("--")]


def fail(prog: str, message: str) -> NoReturn:
    """End the program as a wrong command line does."""
    print(f"{prog}: error: {message}", file=sys.stderr)
    sys.exit(WRONG)


def _words(arguments: Sequence[str] | None) -> list[str]:
    return list(sys.argv[1:] if arguments is None else arguments)
