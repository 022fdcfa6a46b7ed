"""The wheel and the sdist hold what they must, and the wheel works away from the repository."""

from __future__ import annotations

import configparser
import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.cpu_only


def run(*command: object, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=240, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def test_wheel_holds_the_library_and_nothing_else(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.safetensors", "py.typed")
        for path in (ROOT / "taichisoft").rglob(pattern)
    }
    assert len(sources) > 100
    assert sources <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"taichisoft"}


def test_wheel_installs_the_command_line(built):
    with zipfile.ZipFile(built[0]) as wheel:
        path = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        parser = configparser.ConfigParser()
        parser.read_string(wheel.read(path).decode())
    assert dict(parser["console_scripts"]) == {"taichisoft": "taichisoft.cli.main:main"}
    assert callable(importlib.import_module("taichisoft.cli.main").main)


def test_sdist_holds_what_is_needed_to_go_on(built):
    with tarfile.open(built[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = ("tasks/base.py", "meta/train.py", "notebooks/01_softness.ipynb", "docs/index.md")
    assert {"README.md", "LICENSE", "pyproject.toml", "tests/documents/smoke.py", *needed} <= names


def test_wheel_works_away_from_the_repository(built, tmp_path):
    target = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, built[0])
    smoke = Path(shutil.copy(ROOT / "tests" / "documents" / "smoke.py", tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(target), "TAICHISOFT_BACKEND": "cpu"}
    said = run(sys.executable, smoke, cwd=tmp_path, env=environment).stdout
    assert said.strip().endswith(str(target / "taichisoft"))
