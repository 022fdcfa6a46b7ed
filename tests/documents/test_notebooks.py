"""The notebooks run from start to end, and what is committed of them is in order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
# At the same time: most of it is starting programs, on one core each.
WORKERS = 2
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


def run(path, folder):
    """Execute a copy of a notebook; return what came of the program, and the copy."""
    copy = Path(shutil.copy(path, folder))
    # In a process of its own, as the warnings of what runs notebooks are not ours; those of the kernel are
    # in the outputs.
    done = subprocess.run(
        [sys.executable, "-m", "notebooks.execute", copy],
        cwd=ROOT,
        env={**os.environ, **SHORT},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done, copy


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return by the name of each notebook what will have come of running it."""
    folder = tmp_path_factory.mktemp("notebooks")
    with ThreadPoolExecutor(WORKERS) as pool:
        yield {path.stem: pool.submit(run, path, folder) for path in NOTEBOOKS}


@pytest.mark.cpu_only
@each
def test_notebook_runs(path, runs):
    done, copy = runs[path.stem].result()
    assert done.returncode == 0, done.stderr
    committed, executed = (nbformat.read(file, as_version=4) for file in (path, copy))
    check_in_order(executed)
    assert kinds(executed) == kinds(committed)
