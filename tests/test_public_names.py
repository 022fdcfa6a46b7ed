"""The public names of the package, of which each is written once: in the line that imports it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import taichisoft as ts
from taichisoft.softness import aggregation, coverage, occlusion, registry

pytestmark = pytest.mark.cpu_only

FAMILIES = {
    "coverage": (coverage, ts.Coverage),
    "aggregation": (aggregation, ts.Aggregation),
    "occlusion": (occlusion, ts.Occlusion),
}


def test_dir_shows_no_rooms():
    # That it shows all the rest is checked against the pages of the API, in tests/documents/test_docs.py.
    importlib.import_module("taichisoft.cli.main")
    assert ts.cli is not None
    assert not [name for name in dir(ts) if name.startswith("_")]
    modules = {name for name in dir(ts) if isinstance(getattr(ts, name), ModuleType)}
    assert modules == {"reference", "rotations", "shapes"}


def test_a_star_gives_what_dir_shows():
    names: dict[str, object] = {}
    exec("from taichisoft import *", names)
    assert names.keys() - {"__builtins__"} == set(dir(ts))


@pytest.mark.parametrize(("package", "interface"), FAMILIES.values(), ids=FAMILIES.keys())
def test_a_member_of_a_family_is_named_in_one_list(package, interface):
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    ]
    written = {
        name: value
        for module in modules
        for name, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and issubclass(value, interface)
        if not inspect.isabstract(value) and not name.startswith("_")
    }
    assert len(written) >= 5
    assert {name: getattr(ts, name, None) for name in written} == written
    assert written.keys() - registry.kinds().keys() <= {"CustomCoverage"}
