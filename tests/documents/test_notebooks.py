"""The notebooks run from start to end, and what is committed of them is in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import nbformat
import pytest

from tests.helpers import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Lengths of their loops here.
SHORT = {
    "TAICHISOFT_STEPS": "2",
    "TAICHISOFT_INNER_STEPS": "2",
    "TAICHISOFT_PROBLEMS": "2",
    "TAICHISOFT_BACKEND": "cpu",
}
# Of GitHub's preview, and of patience.
LARGEST = 400_000
# Folders of a machine, and where objects were in its memory.
PRIVATE = re.compile(r"(/(home|root|tmp|Users|usr|opt|var|mnt)/|[A-Z]:\\\\|\bat 0x[0-9a-f]+)")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def check_in_order(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def kinds(notebook):
    """Return for each code cell the kinds of its outputs."""
    return [[output.output_type for output in cell.outputs] for cell in code_cells(notebook)]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 5


@each
def test_committed_notebook_is_in_order(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    check_in_order(notebook)
    assert path.stat().st_size < LARGEST
    for cell in notebook.cells:
        assert not PRIVATE.search(cell.source)
        for output in cell.get("outputs", []):
            text = output.get("text", "") or str(output.get("data", {}).get("text/plain", ""))
            assert not PRIVATE.search(text)
    assert any("image/png" in o.get("data", {}) for c in code_cells(notebook) for o in c.outputs)


@each
def test_linked_notebooks_exist(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Return by name the copies of the notebooks, executed one after the other."""
    folder = tmp_path_factory.mktemp("notebooks")
    found = {path.stem: folder / path.name for path in NOTEBOOKS}
    for path, copy in zip(NOTEBOOKS, found.values(), strict=True):
        notebook = nbformat.read(path, as_version=4)
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, copy)
    # In a process of its own, as the warnings of what runs notebooks are not ours; those of the kernel are
    # in the outputs. In turn, since a notebook finds the kernels that those before it have compiled.
    done = subprocess.run(
        [sys.executable, "-m", "notebooks.execute", *found.values()],
        cwd=ROOT,
        env={**os.environ, **SHORT},
        capture_output=True,
        text=True,
        timeout=900,
    )
    return done, found


@pytest.mark.cpu_only
@each
def test_notebook_runs(path, copies):
    done, found = copies
    assert f"{path.name}: " in done.stdout, done.stderr
    committed, executed = (nbformat.read(file, as_version=4) for file in (path, found[path.stem]))
    check_in_order(executed)
    assert kinds(executed) == kinds(committed)


@pytest.mark.cpu_only
def test_running_notebooks_says_nothing_else(copies):
    done, _ = copies
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(NOTEBOOKS)
