"""Keywords that settings do not have and what is nested in them has: an error says where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import wraps
from typing import Any, TypeVar

from meta.config.settings import Settings

T = TypeVar("T", bound=type[Settings])


def says_where(cls: T) -> T:
    """Make a class of settings refuse a keyword of its nested settings with the place that it has there.

    What is wrong with the value itself is said first.
    """
    make = cls.__init__
    own = {field.name for field in fields(cls)}

    @wraps(make)
    def init(self: Settings, *values: Any, **named: Any) -> None:
        for name, value in named.items():
            if name not in own:
                _refuse(cls, name, value)
        make(self, *values, **named)

    cls.__init__ = init
    return cls


def _refuse(cls: type[Settings], name: str, value: Any) -> None:
    """Raise the error if the keyword has a place, or several."""
    places = []
    for outer, nested, inner in _places(cls, name):
        replace(nested, **{inner: value}).check()
        places.append(f"{outer}={type(nested).__name__}({inner}=...)")
    if places:
        raise TypeError(
            f"{cls.__name__} must have its own fields, got {name}: give {' or '.join(places)}"
        )


def _places(cls: type[Settings], name: str) -> Iterator[tuple[str, Settings, str]]:
    """Yield field, its usual settings and their field, for a name there or on the command line."""
    for field in fields(cls):
        if isinstance(field.default, Settings):
            for option in field.default.options():
                if name in (option.name, option.field):
                    yield field.name, field.default, option.field
