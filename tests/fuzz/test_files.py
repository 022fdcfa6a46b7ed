"""Damaged mesh files: a finite mesh with all faces that the file states, or an error that names the file.

``FUZZ_SCENES`` says how many are tried.
"""

from __future__ import annotations

import os
import re
import warnings

import numpy as np
import pytest

import taichisoft as ts
from tests.fuzz.files import DAMAGES, triangles_stated, write_whole_files

COUNT = max(350, int(os.environ.get("FUZZ_SCENES", "0")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_whole_files(tmp_path_factory.mktemp("whole"))


def outcome(path) -> tuple[ts.Mesh | None, str]:
    """Return the mesh, or what is said instead; another error, or a warning of no file, is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # what is left out of the file
        warnings.filterwarnings("ignore", f"{re.escape(str(path))}: ", UserWarning)
        try:
            return ts.load_mesh(path), ""
        except (ValueError, OSError) as error:
            return None, str(error)


def test_whole_files_hold_what_they_state(whole):
    for path in whole:
        assert ts.load_mesh(path).num_faces == triangles_stated(path)


@pytest.mark.parametrize("part", range(7))
def test_damaged_files(part, whole, tmp_path):
    refused, read = 0, 0
    for seed in range(part, COUNT, 7):
        generator = np.random.default_rng(seed)
        source = whole[generator.integers(len(whole))]
        damage = DAMAGES[generator.integers(len(DAMAGES))]
        path = tmp_path / f"{seed}{source.suffix}"
        path.write_bytes(damage(source.read_bytes(), generator))
        said = f"{damage.__name__}, {source.name}, seed {seed}"
        mesh, message = outcome(path)
        if mesh is None:
            assert re.match("path must (be a readable|hold a mesh)", message), said
            assert str(path) in message, said
            refused += 1
            continue
        assert mesh.vertices.isfinite().all(), said
        assert mesh.num_faces == triangles_stated(path), said
        read += 1
    # Damage is found, and what it left whole is read.
    assert refused > 10
    assert read > 5
