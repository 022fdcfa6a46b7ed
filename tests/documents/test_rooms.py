"""Imports between the rooms of the house: they all go down, and in no circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers import ROOT

# From the ground up: a room knows those in the lines above its own, and nothing else.
ORDER = """
taichisoft.base
taichisoft.geometry
taichisoft.shapes
taichisoft.cameras
taichisoft.softness
taichisoft.appearance
taichisoft.engine
taichisoft.files
taichisoft.render
taichisoft.diagnosis taichisoft.fitting
taichisoft.poses
taichisoft.cli
taichisoft
tasks
meta.config
meta.learning
meta.jobs
meta.runs meta.evaluation
meta.report
meta
benchmarks
"""
FLOORS = {room: floor for floor, line in enumerate(ORDER.split("\n")) for room in line.split()}
PACKAGES = ("taichisoft", "tasks", "meta", "benchmarks")
# A method that looks up imports when it is called, in a line marked so, in these files alone.
SUGAR = re.compile(r"#.*\bsugar\b")
SUGARED = {
    "taichisoft.geometry.mesh",
    "taichisoft.render.rasterizer",
    "taichisoft.softness.softness",
}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def room_of(module: str) -> str:
    """Return the room of a module; files at the root of a package are a room of their own."""
    return next(
        room for room in (".".join(module.split(".")[:2]), module.split(".")[0]) if room in FLOORS
    )


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import of ours, wherever it stands, but for the sugar."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            found = name if name in FILES else name.rpartition(".")[0]
            if found in FILES and not SUGAR.search(lines[node.lineno - 1]):
                yield node.lineno, found


def upward(importer: str, imported: str) -> bool:
    """Tell whether an import does not go down, nor stays in its room."""
    own, other = room_of(importer), room_of(imported)
    return own != other and FLOORS[other] >= FLOORS[own]


def test_every_import_goes_down():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {room_of(module)} may not import {imported}"
        for module, path in FILES.items()
        for line, imported in imports(path)
        if upward(module, imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_imports_run_in_a_circle():
    graph = {module: {found for _, found in imports(path)} for module, path in FILES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_only_sugar_looks_up_and_says_so():
    marked = {m for m, path in FILES.items() if SUGAR.search(path.read_text(encoding="utf-8"))}
    assert marked == SUGARED


@pytest.mark.parametrize(
    ("importer", "imported", "wrong"),
    [
        ("taichisoft.base.checks", "taichisoft.geometry.mesh", True),
        ("taichisoft.geometry.mesh", "taichisoft.base.checks", False),
        ("taichisoft.fitting.fit", "taichisoft.diagnosis.suggest", True),
        ("taichisoft.engine.blend", "taichisoft.engine.kernels.blend", False),
        ("taichisoft.cli.info", "taichisoft", True),
        ("tasks.pose", "taichisoft", False),
        ("meta.runs.run", "meta.evaluation.tuning", True),
        ("meta.report.tables", "meta.train", True),
    ],
)
def test_a_wrong_import_would_be_found(importer, imported, wrong):
    assert upward(importer, imported) == wrong


def test_every_folder_is_a_room():
    rooms = {room_of(module) for module in FILES}
    assert rooms == set(FLOORS)
    folders = {
        f"{package}.{path.name}"
        for package in ("taichisoft", "meta")
        for path in (ROOT / package).iterdir()
        if (path / "__init__.py").exists()
    }
    assert folders == {room for room in FLOORS if "." in room}
