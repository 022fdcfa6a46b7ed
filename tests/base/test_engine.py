"""Choosing the engine: by the environment, by what is installed; refusals."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest

import taichisoft as ts
from taichisoft.base import engine
from taichisoft.base.engine import ENGINE, ENGINES, QUADRANTS, TAICHI, VARIABLE, Engine, chosen
from taichisoft.base.taichi import ti


@pytest.mark.parametrize("wanted", [None, ""])
def test_the_default_is_the_first_that_is_installed(wanted):
    assert chosen(wanted, [TAICHI, QUADRANTS]) is TAICHI
    assert chosen(wanted, [QUADRANTS]) is QUADRANTS


@pytest.mark.parametrize("wanted", ENGINES, ids=lambda e: e.name)
def test_what_is_asked_for_is_chosen(wanted):
    assert chosen(wanted.name, ENGINES) is wanted
    assert chosen(wanted.name, [wanted]) is wanted


@pytest.mark.parametrize("installed", [ENGINES, ()])
def test_an_unknown_engine(installed):
    wanted = f"variable {VARIABLE} must be one of taichi, quadrants, got 'Taichi'"
    with pytest.raises(ValueError, match=wanted):
        chosen("Taichi", installed)


@pytest.mark.parametrize(("wanted", "other"), [(TAICHI, QUADRANTS), (QUADRANTS, TAICHI)])
def test_an_engine_that_is_not_installed_is_no_silent_fallback(wanted, other):
    said = (
        rf"variable {VARIABLE} asks for {wanted.name}, which is not installed for this Python .*: "
        rf"pip install {wanted.name}, or unset the variable to use {other.name}"
    )
    with pytest.raises(ImportError, match=said):
        chosen(wanted.name, [other])


@pytest.mark.parametrize("wanted", [None, *(one.name for one in ENGINES)])
def test_no_engine(wanted):
    with pytest.raises(ImportError, match=r"neither Taichi nor quadrants .*: pip install taichi"):
        chosen(wanted, [])


def test_a_folder_of_that_name_is_no_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("no_package", "a_package"):
        (tmp_path / name).mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    importlib.invalidate_caches()
    found = [Engine(n, n, n).is_installed() for n in ("no_package", "a_package", "nothing")]
    assert found == [False, True, False]


def test_the_engine_is_visible():
    assert ts.engine_name() == ENGINE.name == ti.__name__
    assert ENGINE.is_installed()
    assert os.environ.get(VARIABLE) in (None, "", ENGINE.name)


@pytest.mark.parametrize(
    ("variable", "installed", "outcome"),
    [
        ("", ("taichi", "quadrants"), "taichi"),
        ("", ("quadrants",), "quadrants"),
        ("quadrants", ("taichi", "quadrants"), "quadrants"),
        ("quadrants", ("taichi",), "asks for quadrants, which is not installed"),
        ("", (), "neither Taichi nor quadrants is installed"),
    ],
)
def test_the_module_reads_the_variable_and_looks_for_packages(
    variable, installed, outcome, monkeypatch
):
    def find_spec(name: str) -> SimpleNamespace | None:
        return SimpleNamespace(origin=f"{name}/__init__.py") if name in installed else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setenv(VARIABLE, variable)
    try:
        found = runpy.run_path(engine.__file__)["ENGINE"].name
    except ImportError as error:
        found = str(error)
    assert outcome in found


@pytest.mark.cpu_only
def test_the_import_of_the_library_says_what_is_wrong():
    done = subprocess.run(
        [sys.executable, "-c", "import taichisoft"],
        env={**os.environ, VARIABLE: "warp"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = (
        f"ValueError: environment variable {VARIABLE} must be one of taichi, quadrants, got 'warp'"
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, said)
