"""Settings and command line from one place: every field of a frozen dataclass is an option.

A field is declared with `option`, which keeps its help text and bounds; the type comes from the annotation:
bool, int, float, str, or a tuple of these (``tuple[str, ...]`` for any number of values,
``tuple[float, float]`` for a fixed one).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import typing
from typing import Any, TypeVar

from taichisoft.base.checks import check_integer, check_number, check_type

T = TypeVar("T")


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: int | None = None,
    above: float | None = None,
) -> Any:
    """Return a dataclass field that is also a command-line option.

    Parameters
    ----------
    default : bool, int, float, str or tuple
        Its default.
    help : str
        One line for ``--help``, without the default.
    choices : tuple of str
        Allowed values of a str field, or of each element of a tuple of str; empty: any.
    minimum : int, optional
        Smallest value of an int field.
    above : float, optional
        A float field, or each of a tuple of floats, must be greater than this.
    """
    metadata = {"help": help, "choices": choices, "minimum": minimum, "above": above}
    return dataclasses.field(default=default, metadata=metadata)


def check_options(settings: Any) -> None:
    """Check every field of a dataclass made of `option` fields; for its ``__post_init__``.

    Raises
    ------
    TypeError, ValueError
        A field of a wrong type, not among its choices, or out of its bounds; the message names it.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        kind, count = _element(hints[field.name])
        if count is None:
            _check_value(value, field.name, kind, field.metadata)
            continue
        check_type(value, field.name, tuple)
        if count and len(value) != count:
            raise ValueError(f"{field.name} must have {count} values, got {len(value)}")
        for i, element in enumerate(value):
            _check_value(element, f"{field.name}[{i}]", kind, field.metadata)


def build_parser(
    cls: type, *, prog: str | None = None, description: str | None = None
) -> argparse.ArgumentParser:
    """Return a parser with one option per field; options that are not given are not set.

    Parameters
    ----------
    cls : type
        A dataclass of `option` fields. ``outer_steps`` becomes ``--outer-steps``.
    prog, description : str, optional
        For the head of ``--help``.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind, count = _element(hints[field.name])
        arguments: dict[str, Any] = {
            "dest": field.name,
            "default": argparse.SUPPRESS,
            "help": _help(field),
        }
        if kind is bool:
            arguments["action"] = argparse.BooleanOptionalAction
        else:
            arguments["type"] = kind
            if field.metadata["choices"]:
                arguments["choices"] = field.metadata["choices"]
            if count is not None:
                arguments["nargs"] = count or "+"
        if "choices" not in arguments:
            arguments["metavar"] = field.name.upper() if kind is not bool else None
        parser.add_argument(f"--{field.name.replace('_', '-')}", **arguments)
    return parser


def given_options(cls: type, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that were given on the command line."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(arguments).items()
        if name in names
    }


def settings_from_args(
    cls: type[T], parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> T:
    """Return the settings of a parsed command line; wrong values end the program with a message."""
    try:
        return cls(**given_options(cls, arguments))
    except (TypeError, ValueError) as error:
        parser.error(str(error))


def to_json(settings: Any) -> dict[str, Any]:
    """Return the settings as a JSON-able dict."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def from_json(cls: type[T], values: object) -> T:
    """Return the settings that `to_json` described.

    A field that is missing, in a file from before it existed, has its default: the default of a new field is
    what was done without it.

    Raises
    ------
    TypeError, ValueError
        Not a dict, an unknown key, or a wrong value.
    """
    check_type(values, "settings", dict)
    names = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(
            f"settings must have fields of {cls.__name__} only, got {', '.join(unknown)}"
        )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _element(hint: Any) -> tuple[type, int | None]:
    # The element type, and None for a plain value, 0 for a tuple of any length, else its length.
    if typing.get_origin(hint) is not tuple:
        return hint, None
    elements = typing.get_args(hint)
    return elements[0], 0 if elements[-1] is Ellipsis else len(elements)


def _check_value(value: object, name: str, kind: type, metadata: typing.Mapping) -> None:
    if kind is int:
        minimum = metadata["minimum"]
        check_integer(value, name, minimum=-(2**63) if minimum is None else minimum)
    elif kind is float:
        above = metadata["above"]
        check_number(value, name, **({} if above is None else {"above": above}))
    else:
        check_type(value, name, kind)
    choices = metadata["choices"]
    if choices and value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _help(field: dataclasses.Field) -> str:
    value = field.default
    shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"{field.metadata['help']} (default: {shown or 'none'})".replace("%", "%%")
