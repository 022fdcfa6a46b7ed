"""Objects of the user by their import path, ``my_package.my_module:Name``."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any, TypeVar

from tyro.constructors import PrimitiveConstructorSpec

from taichisoft.base.checks import check_type

T = TypeVar("T")


def is_import_path(text: str) -> bool:
    """Return whether a text is meant as an import path, right or wrong: no name has a colon."""
    return ":" in text


def choices(names: Collection[str]) -> str:
    """Return how the help shows what may be named: one of some names, or an import path."""
    return f"{{{','.join(names)},MODULE:NAME}}"


def check_choice(word: str, names: Collection[str], option: str) -> str:
    """Return a word of the command line if it is one of some names or an import path; else ValueError."""
    if word not in names and not is_import_path(word):
        raise ValueError(
            f"invalid choice {word!r} for argument '{option}'. Expected one of {', '.join(names)}, or an "
            "import path as my_module:Name"
        )
    return word


def named_or_imported(names: Collection[str], option: str) -> PrimitiveConstructorSpec[str]:
    """Return what makes an option of one word: one of some names, or an import path."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=choices(names),
        instance_from_str=lambda words: check_choice(words[0], names, option),
        is_instance=lambda word: isinstance(word, str),
        str_from_instance=lambda word: [word],
    )


def imported(path: str, name: str, expected: type[T]) -> T:
    """Return the object that an import path names; of a class, an instance that is made without arguments.

    The module is run, as any that is imported. It is looked for where Python does: in the folder in which a
    command is started, and among what is installed.

    Parameters
    ----------
    path : str
        Module and name, ``my_package.my_module:Name``.
    name : str
        Of the argument, for messages.
    expected : type
        What it must be an instance or a subclass of.

    Raises
    ------
    ValueError
        It is no such path, the module is not there or fails, it has no such name, or the class cannot be made
        without arguments.
    TypeError
        It is of another type.
    """
    module, colon, attribute = path.partition(":")
    if not (colon and attribute.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise ValueError(f"{name} must be an import path as my_module:Name, got {path!r}")
    found = _in_module(_module(module, path, name), attribute, path, name)
    if isinstance(found, type) and issubclass(found, expected):
        found = _made(found, path, name)
    return check_type(found, f"{name}: {path}", expected)


def _module(module: str, path: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # One that is imported by the module may be missing as well.
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise ValueError(
                f"{name}: {path} cannot be imported: there is no module {error.name}, neither in the folder "
                "where the command was started nor installed"
            ) from error
        raise ValueError(f"{name}: {path} cannot be imported: {error}") from error
    # Whatever the user's code raises.
    except Exception as error:
        raise ValueError(
            f"{name}: {path} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _in_module(module: Any, attribute: str, path: str, name: str) -> Any:
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ValueError(
            f"{name}: {path} is not there: {module.__name__} has no {attribute}"
        ) from error


def _made(kind: type[T], path: str, name: str) -> T:
    try:
        return kind()
    # A constructor with arguments, an abstract class, or what the user's code raises.
    except Exception as error:
        raise ValueError(
            f"{name}: {path} cannot be made without arguments ({type(error).__name__}: {error}): name an "
            "object in its module instead"
        ) from error
