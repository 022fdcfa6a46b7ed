"""Settings: frozen dataclasses that nest, check themselves and go through JSON.

A field's annotation is its check: a type, a `Literal`, a tuple of these, or `Annotated` with a bound. Its
help is the comment behind it, or else above. All fields are options on the command line, see
`meta.config.command_line`.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

import tyro

from meta.config.imported import is_import_path
from taichisoft.base.backend import BACKENDS
from taichisoft.base.checks import check_integer, check_number, check_type

T = TypeVar("T", bound="Settings")

FLAT = tyro.conf.arg(name="")
"""Annotation of a group of which the command line shows the fields alone."""
_Argument = type(FLAT)
_FIELD = re.compile(r"^(?: +# (.*)\n)? +(\w+): .*?(?:  # (.*))?$", re.MULTILINE)


# Twice as much and one, the seed of held-out problems, is what torch takes.
LARGEST = 2**62 - 1


class AtLeast(NamedTuple):
    """A bound of an int."""

    minimum: int


class Above(NamedTuple):
    """A bound of a float, which must be greater."""

    bound: float


@dataclass(frozen=True, eq=False)
class Kinds:
    """The classes that a field, or each element of it, may have, by name; for reading JSON.

    Parameters
    ----------
    by_name : mapping of str to type
        The classes.
    by_path : type, optional
        That of one whose name is an import path, which is its field ``path``.
    """

    by_name: Mapping[str, type[Settings]]
    by_path: type[Settings] | None = None


Index = Annotated[int, AtLeast(0)]
Count = Annotated[int, AtLeast(1)]
PositiveFloat = Annotated[float, Above(0.0)]
BackendName = Literal[("auto", *BACKENDS)]


@dataclass(frozen=True)
class Option:
    """A single value in settings.

    Parameters
    ----------
    name : str
        As on the command line, with underscores: ``outer_steps``, ``pose.problems``.
    value, default : bool, int, float, str or tuple
        Its value, and what it is by default.
    owner : type
        The class that has its field.
    field : str
        Its name there.
    """

    name: str
    value: Any
    default: Any
    owner: type[Settings]
    field: str

    @property
    def help(self) -> str:
        """Return the comment at the field."""
        return _helps(self.owner)[self.field]


@dataclass(frozen=True)
class Settings:
    """Base of settings. What is nested is checked with the whole, whose ``__post_init__`` calls `check`.

    Attributes
    ----------
    name : str
        Of one kind among several, on the command line and in files; empty: there is no other kind.
    """

    name: ClassVar[str] = ""

    def check(self, prefix: str = "") -> None:
        """Check every field, and those of nested settings.

        Raises
        ------
        TypeError, ValueError
            A field of a wrong type, not among its choices, or out of its bounds; the message has its name.
        """
        for name, hint, value in _own_fields(self):
            _check(value, prefix + name, hint)
            for part, inside in _nested(value):
                part.check(prefix + inside)

    def options(self, prefix: str = "") -> Iterator[Option]:
        """Yield all single values, in order."""
        for field, (name, _, value) in zip(fields(self), _own_fields(self), strict=True):
            parts = list(_nested(value))
            if not parts or parts[0][0].name:
                values = (_named(value), _named(field.default))
                yield Option(prefix + name, *values, type(self), field.name)
            for part, inside in parts:
                yield from part.options(prefix + inside)

    def differences(self, other: Settings) -> list[str]:
        """Return the names of the options in which two settings differ."""
        ours, theirs = ({o.name: o.value for o in s.options()} for s in (self, other))
        return [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]

    def to_json(self) -> dict[str, Any]:
        """Return them as a JSON-able dict, nested as they are."""
        kind = {"name": self.name} if self.name else {}
        return kind | {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls: type[T], values: object) -> T:
        """Return the settings that `to_json` described.

        A field that is missing, in a file from before it existed, has its default: the default of a new field
        is what was done without it.

        Raises
        ------
        TypeError, ValueError
            Not a dict, an unknown key, or a wrong value.
        """
        check_type(values, "settings", dict)
        hints = _hints(cls)
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ValueError(
                f"settings must have fields of {cls.__name__} only, got {', '.join(unknown)}"
            )
        return cls(**{name: _read(value, name, hints[name]) for name, value in values.items()})


def from_fields(cls: type[T], source: Settings) -> T:
    """Return settings of a class with those fields of others that it has."""
    return cls(**{field.name: getattr(source, field.name) for field in fields(cls)})


def chosen(names: Sequence[str], options: Mapping[str, T]) -> tuple[T, ...]:
    """Return the options of the kinds that are named, for the command line, which has those of all.

    Raises
    ------
    ValueError
        Options of another kind are not as usual: they would have no effect.
    """
    for name, settings in options.items():
        changed = [option.name for option in settings.options() if option.value != option.default]
        if changed and name not in names:
            raise ValueError(
                f"--{name}.{changed[0].replace('_', '-')} has no effect without {name}: leave it out"
            )
    return tuple(options[name] for name in names)


def check_different(values: Sequence, name: str, what: str = "values") -> None:
    """Raise ValueError unless there are one or more values, all different."""
    if not values or len(set(values)) != len(values):
        raise ValueError(f"{name} must be one or more different {what}, got {values}")


def _hints(cls: type[Settings]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


def _own_fields(settings: Settings) -> Iterator[tuple[str, Any, Any]]:
    """Yield name on the command line, annotation and value of each field."""
    for field, hint in _hints(type(settings)).items():
        names = [m.name for m in getattr(hint, "__metadata__", ()) if isinstance(m, _Argument)]
        option = names[0] if names and names[0] else field
        yield option.replace("-", "_"), hint, getattr(settings, field)


def _nested(value: object) -> Iterator[tuple[Settings, str]]:
    """Yield the settings in a value, with what comes before the names of their fields."""
    if isinstance(value, Mapping):
        yield from ((part, f"{key}.") for key, part in value.items())
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, Settings):
            yield part, f"{part.name}." if part.name else ""


def _named(value: Any) -> Any:
    """Return a value with the names of kinds in place of these."""
    if isinstance(value, tuple):
        return tuple(_named(part) for part in value)
    return value.name if isinstance(value, Settings) else value


def _check(value: object, name: str, hint: Any) -> None:
    kind, marks = hint, ()
    if typing.get_origin(hint) is Annotated:
        kind, *marks = typing.get_args(hint)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        check_type(value, name, str)
        if value not in arguments:
            raise ValueError(f"{name} must be one of {', '.join(arguments)}, got {value!r}")
    elif origin is tuple:
        check_type(value, name, tuple)
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        if len(value) != len(arguments):
            raise ValueError(f"{name} must have {len(arguments)} values, got {len(value)}")
        for i, (element, of) in enumerate(zip(value, arguments, strict=True)):
            _check(element, f"{name}[{i}]", of)
    elif kind is int:
        minimum = next((mark.minimum for mark in marks if isinstance(mark, AtLeast)), -(2**63))
        check_integer(value, name, minimum=minimum, maximum=LARGEST)
    elif kind is float:
        above = next((mark.bound for mark in marks if isinstance(mark, Above)), -math.inf)
        check_number(value, name, above=above)
    else:
        check_type(value, name, origin or kind)


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _read(value: Any, name: str, hint: Any) -> Any:
    """Return a value of JSON as the annotation has it."""
    if isinstance(value, list):
        return tuple(_read(part, name, hint) for part in value)
    if not isinstance(value, dict):
        return value
    marks = getattr(hint, "__metadata__", ())
    kinds = next((mark for mark in marks if isinstance(mark, Kinds)), None)
    if kinds is None:
        return getattr(hint, "__origin__", hint).from_json(value)
    kind = value.get("name")
    rest = {key: part for key, part in value.items() if key != "name"}
    if kinds.by_path is not None and isinstance(kind, str) and is_import_path(kind):
        return kinds.by_path.from_json({**rest, "path": kind})
    if kind not in kinds.by_name:
        raise ValueError(f"name in {name} must be one of {', '.join(kinds.by_name)}, got {kind!r}")
    return kinds.by_name[kind].from_json(rest)


@cache
def _helps(cls: type[Settings]) -> dict[str, str]:
    """Return the comment behind, or else above, every field of a class and its bases, as tyro takes it."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        for above, name, behind in _FIELD.findall(inspect.getsource(base)):
            found[name] = behind or above or found.get(name, "")
    return found
