"""The wheel and the sdist hold what they must, and the wheel works away from the repository."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import taichisoft as ts
from tests.helpers import ROOT

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

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
    rooms = ("tasks/base.py", "meta/train.py", "notebooks/01_softness.ipynb", "docs/index.md")
    files = (
        "README.md",
        "LICENSE",
        "CONTRIBUTING.md",
        "Makefile",
        "constraints.txt",
        "pyproject.toml",
    )
    assert {"tests/documents/smoke.py", "results/results.json", *rooms, *files} <= names
    assert not [name for name in names if name.endswith((".pt", ".lock"))]


def test_links_and_pictures_of_the_readme_work_without_the_repository(built):
    """As on PyPI, where the description is all there is."""
    with zipfile.ZipFile(built[0]) as wheel:
        path = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        text = wheel.read(path).decode()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    there = "https://github.com/taichisoft/taichisoft/blob/main/"
    raw = "https://raw.githubusercontent.com/taichisoft/taichisoft/main/"
    relative = r"\]\((?!https?:|#)([^)]+)\)"
    assert len(re.findall(relative, readme)) > 10
    assert re.findall(relative, text) == []
    pictures = re.findall(r"!\[[^\]]*\]\((?!https?:)([^)]+)\)", readme)
    assert pictures
    assert all(f"]({raw}{picture})" in text for picture in pictures)
    assert f"]({there}docs/results.md)" in text


def test_the_version_is_told_by_one_place(built):
    version = ts.__version__
    assert built[0].name.startswith(f"taichisoft-{version}-")
    assert not re.search(r"^version\s*=", PROJECT, re.MULTILINE)
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in cited
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    assert f'version: "{version}"' in recipe
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(version)}\]", changes, re.MULTILINE)


def test_conda_asks_for_what_pip_does():
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    run = recipe.split("  run:\n")[1].split("\n\n")[0]
    wanted = {line.strip(" -").replace(" ", "") for line in run.splitlines()}
    dependencies = PROJECT.split("\ndependencies = [")[1].split("\n]")[0]
    pip = dict(re.findall(r'"([^";]+)(?:; ([^"]+))?"', dependencies))
    # There with Taichi alone, and so for its versions of Python.
    (quadrants,) = (name for name in pip if name.startswith("quadrants"))
    del pip[quadrants]
    (least,) = re.findall(r'requires-python = "(>=[\d.]+),', PROJECT)
    (beyond,) = re.findall(r"python_version (<) '([\d.]+)'", " ".join(pip.values()))
    python = f"python{least},{''.join(beyond)}"
    assert wanted == {*(name.replace("torch", "pytorch") for name in pip), python}


def test_commits_are_checked_by_the_ruff_of_the_makefile():
    (made,) = re.findall(r"'ruff==(\S+)'", (ROOT / "Makefile").read_text(encoding="utf-8"))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert f"rev: v{made}\n" in hooks


def test_wheel_works_away_from_the_repository(built, tmp_path):
    target = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, built[0])
    smoke = Path(shutil.copy(ROOT / "tests" / "documents" / "smoke.py", tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(target), "TAICHISOFT_BACKEND": "cpu"}
    said = run(sys.executable, smoke, cwd=tmp_path, env=environment).stdout
    assert said.strip().endswith(str(target / "taichisoft"))
