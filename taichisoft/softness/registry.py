"""The registry of parts, and their descriptions as plain data: what a softness file says to build.

A module is described as ``{"kind": name of its class, "settings": constructor arguments}``; a setting is a
number, a string, a bool, None, another description, or a list of these. Only the kinds of `kinds` are ever
built, of bounded number and size, so a description from elsewhere cannot run code nor exhaust the memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from inspect import isabstract
from types import MappingProxyType
from typing import Any

from torch import nn

from taichisoft.base.checks import check_type
from taichisoft.softness import (
    annealing,
    conditioned,
    courses,
    depth_scale,
    parameters,
    scale,
)
from taichisoft.softness.aggregation import members as aggregations
from taichisoft.softness.coverage import CustomCoverage
from taichisoft.softness.coverage import members as coverages
from taichisoft.softness.occlusion import members as occlusions
from taichisoft.softness.part import Part

# Far more than any softness needs: a learned one has some ten modules and hundred numbers.
MAX_MODULES = 256
MAX_INTEGER = 2**16
MAX_CHARACTERS = 256
MAX_DEPTH = 16


@cache
def kinds() -> Mapping[str, type[Part]]:
    """Return all kinds of modules that can be described: the concrete public ones of the library.

    A module of the user, and hence `taichisoft.softness.coverage.CustomCoverage`, is not among them.
    """
    found = {
        value.__name__: value
        for module in (
            annealing,
            conditioned,
            courses,
            depth_scale,
            parameters,
            scale,
            coverages,
            aggregations,
            occlusions,
        )
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Part) and not isabstract(value)
        if value not in (Part, CustomCoverage)
    }
    return MappingProxyType(dict(sorted(found.items())))


def describe(module: nn.Module) -> dict:
    """Return the description of a module, without its weights.

    Raises
    ------
    TypeError
        The module, or one in its settings, is of a kind that could not be built again.
    ValueError
        It is larger than what can be built again.
    """
    described = _describe(module)
    check_description(described)
    return described


def build(described: object) -> nn.Module:
    """Return the module of a description, with its initial weights.

    Raises
    ------
    TypeError, ValueError
        It is no description of a module, or one beyond the bounds. Constructors may raise others if
        they are given settings that they do not have.
    """
    return _build(check_description(described))


def check_description(value: object) -> dict[str, Any]:
    """Return what describes a module, within bounds; else raise TypeError or ValueError."""
    described = check_type(value, "description", dict)
    modules = 0
    level: list[object] = [described]
    for _ in range(MAX_DEPTH):
        modules += sum(isinstance(value, dict) for value in level)
        if modules > MAX_MODULES:
            raise ValueError(f"a description must have at most {MAX_MODULES} modules, got more")
        level = [inner for value in level for inner in _inner(value)]
    if level:
        raise ValueError(f"a description must be at most {MAX_DEPTH} levels deep, got more")
    return described


def _inner(value: object) -> list[object]:
    """Return what a description, list or setting consists of, after checking all but that."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        if set(value) != {"kind", "settings"}:
            raise ValueError(f"a module must have a kind and settings, got {', '.join(value)}")
        check_type(value["kind"], "kind", str)
        check_type(value["settings"], "settings", dict)
        if value["kind"] not in kinds():
            raise ValueError(f"kind must be one of the library, got {value['kind']!r}")
        return list(value["settings"].values())
    _check_setting(value)
    return []


def _check_setting(value: object) -> None:
    if value is not None:
        check_type(value, "a setting", (bool, int, float, str))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a setting must be finite, got {value}")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"a setting must be an int of at most {MAX_INTEGER}, got a larger one")
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        raise ValueError(
            f"a setting must have at most {MAX_CHARACTERS} characters, got {len(value)}"
        )


def _describe(module: Any) -> dict:
    kind = type(module).__name__
    # A `CustomCoverage` says by itself why not.
    if kinds().get(kind) is not type(module) and not isinstance(module, CustomCoverage):
        raise TypeError(f"a {kind} cannot be saved, only {', '.join(kinds())}")
    settings = {k: _describe_value(v) for k, v in module.settings().items()}
    return {"kind": kind, "settings": settings}


def _describe_value(value: object) -> object:
    if isinstance(value, nn.ModuleList | list | tuple):
        return [_describe_value(element) for element in value]
    return _describe(value) if isinstance(value, nn.Module) else value


def _build(described: dict) -> nn.Module:
    settings = {name: _build_value(value) for name, value in described["settings"].items()}
    return kinds()[described["kind"]](**settings)


def _build_value(value: object) -> object:
    if isinstance(value, list):
        return [_build_value(element) for element in value]
    return _build(value) if isinstance(value, dict) else value
